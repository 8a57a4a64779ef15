"""Running the command line as a user does: a process of its own, its output and its exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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
    **options: Any,
) -> Done:
    """Run ``dbsync`` and require the exit code `code` (None accepts any)."""
    done = subprocess.run(
        [*DBSYNC, *map(str, arguments)],
        input=stdin if stdin is not None else b"",
        capture_output=True,
        env=environment(env),
        timeout=300,
        check=False,
        **options,
    )
    result = Done(done.returncode, done.stdout, done.stderr.decode("utf-8", "replace"))
    if code is not None:
        assert result.code == code, (result.code, result.err, result.out[-2000:])
    return result
