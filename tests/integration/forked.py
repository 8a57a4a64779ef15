"""The command line in processes of its own that begin with everything imported.

`Commands` starts one process that imports dbsync once; each command is a fork of it, with its own
arguments, environment and output, and can be killed like any other. Where a test runs dozens of
commands, this saves the second that each would take to start.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

from tests.integration.command import Done, environment

_MODULES = (
    "pyarrow.parquet",
    "pyarrow.compute",
    "numpy",
    "sqlalchemy",
    "tdclient",
    "rich.progress",
    "psycopg2.extras",
    "adbc_driver_postgresql.dbapi",
    "adbc_driver_sqlite.dbapi",
    "pymysql.cursors",
    "boto3.session",
    "googleapiclient.discovery",
    "google.oauth2.service_account",
    "pyrage",
)
"""What commands import when they need it."""


@dataclass
class Running:
    """A command that was started; `kill` may be called from any thread."""

    pid: int
    _commands: Commands
    _folder: Path

    def kill(self) -> None:
        """End it without any clean-up; returns when it is gone."""
        os.kill(self.pid, signal.SIGKILL)
        # A process that was forked by another one cannot be waited for from here.
        while Path(f"/proc/{self.pid}").exists() and not _is_zombie(self.pid):
            os.sched_yield()

    def wait(self) -> Done:
        """Wait for its end; the code of a killed one is the negative signal."""
        code = self._commands.receive()["code"]
        out, err = self._folder / "out", self._folder / "err"
        return Done(code, out.read_bytes(), err.read_text("utf-8", "replace"))


class Commands:
    """Runs commands one at a time; a context manager."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="dbsync-forked-")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.forked"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        self._number = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._folder.cleanup()

    def start(
        self,
        *arguments: object,
        env: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        cwd: Path | None = None,
    ) -> Running:
        """Start a command and return it; `environment` is all that it has, `env` is added."""
        self._number += 1
        folder = Path(self._folder.name) / str(self._number)
        folder.mkdir()
        (folder / "in").write_bytes(stdin)
        given = {
            "arguments": [str(argument) for argument in arguments],
            "environment": None if environment is None else dict(environment),
            "more": dict(env or {}),
            "folder": str(folder),
            "cwd": str(Path.cwd() if cwd is None else cwd),
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(given) + "\n")
        self._process.stdin.flush()
        return Running(self.receive()["pid"], self, folder)

    def run(
        self, *arguments: object, env: Mapping[str, str] | None = None, code: int | None = 0
    ) -> Done:
        """Run a command to its end and require its exit code (None accepts any)."""
        done = self.start(*arguments, env=env).wait()
        if code is not None:
            assert done.code == code, (done.code, done.err, done.out[-2000:])
        return done

    def receive(self) -> Any:
        """Read the next message of the process that forks."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the process that forks commands has ended"
        return json.loads(line)


def _is_zombie(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"


def _child(arguments: Sequence[str], given: Mapping[str, Any], folder: Path) -> NoReturn:
    from dbsync.cli.main import main

    if given["environment"] is not None:
        os.environ.clear()
        os.environ.update(given["environment"])
    os.environ.update(given["more"])
    os.chdir(given["cwd"])
    os.dup2(os.open(folder / "in", os.O_RDONLY), 0)
    for number, name in ((1, "out"), (2, "err")):
        file = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
    sys.argv = ["dbsync", *arguments]
    code = 1
    try:
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _serve() -> None:
    import importlib

    import dbsync.api
    import dbsync.cli.main  # noqa: F401

    for module in _MODULES:
        importlib.import_module(module)
    for line in sys.stdin:
        given = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _child(given["arguments"], given, Path(given["folder"]))
        print(json.dumps({"pid": pid}), flush=True)
        _, status = os.waitpid(pid, 0)
        print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), flush=True)


if __name__ == "__main__":
    _serve()
