"""Running the command line as a user does: a process of its own, its output and its exit code."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.integration.forked import Commands

DBSYNC = (sys.executable, "-m", "dbsync")


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment without any dbsync setting, plus `extra`."""
    left_out = ("DBSYNC_", "PG", "PYTHONUNBUFFERED")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(left_out)}
    return {**kept, **(extra or {})}


@dataclass(frozen=True)
class Done:
    """What a finished command left."""

    code: int
    out: bytes
    err: str

    def json(self) -> Any:
        """Return the one result object that ``--json`` prints."""
        return json.loads(self.out)


def dbsync(
    *arguments: object,
    stdin: bytes | None = None,
    env: Mapping[str, str] | None = None,
    code: int | None = 0,
    cwd: Path | None = None,
    **options: Any,
) -> Done:
    """Run ``dbsync`` and require the exit code `code` (None accepts any).

    The process is a fork of one in which everything is imported, which saves the second that a
    start takes; one with further `options` of `subprocess.run`, and one beside another, is started
    anew.
    """
    whole = environment(env)
    if not options and _free.acquire(blocking=False):
        try:
            result = (
                _forks().start(*arguments, environment=whole, stdin=stdin or b"", cwd=cwd).wait()
            )
        finally:
            _free.release()
    else:
        done = subprocess.run(
            [*DBSYNC, *map(str, arguments)],
            input=stdin if stdin is not None else b"",
            capture_output=True,
            env=whole,
            timeout=300,
            check=False,
            cwd=cwd,
            **options,
        )
        result = Done(done.returncode, done.stdout, done.stderr.decode("utf-8", "replace"))
    if code is not None:
        assert result.code == code, (result.code, result.err, result.out[-2000:])
    return result


_free = threading.Lock()


@functools.cache
def _forks() -> Commands:
    """Start the process that is forked; it ends with this one, whose pipe it reads."""
    from tests.integration.forked import Commands

    return Commands()
