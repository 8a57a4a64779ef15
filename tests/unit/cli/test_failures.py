"""Every end of a run: exit code, message, next step, JSON form."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from dbsync import errors
from dbsync.cli.failures import EXIT_CODES, exit_code
from dbsync.cli.signals import Interrupted
from tests.unit.cli.conftest import COMMANDS, Library, Run

_FAILURES: list[tuple[BaseException, int]] = [
    (errors.UsageError("m"), 2),
    (errors.SourceError("m"), 3),
    (errors.TargetError("m"), 4),
    (errors.StorageError("m"), 5),
    (errors.ArchiveError("E_CHECKSUM", "m"), 6),
    (errors.LossError("m"), 7),
    (errors.ConflictError("m"), 8),
    (click.UsageError("m"), 2),
    (Interrupted(15), 143),
    (Interrupted(2), 130),
    (KeyboardInterrupt(), 130),
    (BrokenPipeError(32, "m"), 141),
    (ValueError("m"), 1),
    (errors.DbsyncError("m"), 1),
    (OSError(5, "m"), 1),
    (MemoryError(), 1),
]


@pytest.mark.parametrize(("error", "code"), _FAILURES, ids=lambda v: type(v).__name__)
def test_exit_codes(error: BaseException, code: int, dbsync: Run, library: Library) -> None:
    """Each failure of the library ends with its documented exit code, and without a trace."""
    assert exit_code(error) == code
    assert str(code) in EXIT_CODES
    library.fail = error
    ran = dbsync(*COMMANDS["export_database"])
    assert ran.code == code
    assert "Traceback" not in ran.err
    assert ran.out == ""


def test_message_and_next_step(dbsync: Run, library: Library) -> None:
    """The message and its hint are two lines on stderr."""
    library.fail = errors.TargetError("table t is missing", hint="add --include-schema")
    ran = dbsync(*COMMANDS["import_archive"])
    assert ran.err == "dbsync: error: table t is missing\n  next: add --include-schema\n"


def test_every_failure_has_a_next_step(dbsync: Run, library: Library) -> None:
    """Even an error without a hint of its own says how to learn more."""
    library.fail = errors.SourceError("gone")
    assert "next:" in dbsync(*COMMANDS["export_database"]).err


def test_json_errors(dbsync: Run, library: Library) -> None:
    """--json prints one object with the error on stdout; the message for people stays on stderr."""
    library.fail = errors.ArchiveError("E_TRUNCATED", "cut short", hint="fetch it again")
    ran = dbsync("verify", "a", "--json")
    assert ran.code == 6
    assert json.loads(ran.out) == {
        "error": {
            "message": "E_TRUNCATED: cut short",
            "hint": "fetch it again",
            "exit_code": 6,
            "type": "ArchiveError",
            "retryable": False,
            "code": "E_TRUNCATED",
        }
    }
    assert "cut short" in ran.err


@pytest.mark.parametrize(
    "args", [["export", "--bad"], ["no-command"], ["export", "a", "b", "c"], ["export", "a"]]
)
def test_json_usage_errors(args: list[str], dbsync: Run) -> None:
    """Mistakes on the command line are reported in JSON, too."""
    ran = dbsync(*args, "--json")
    assert ran.code == 2
    assert json.loads(ran.out)["error"]["exit_code"] == 2


def test_json_errors_beside_an_archive(dbsync: Run, library: Library) -> None:
    """When stdout is the archive, the error object is alone on stderr."""
    library.fail = errors.SourceError("gone")
    ran = dbsync("export", "-", "--url", "sqlite:///x", "--json")
    assert ran.out == ""
    assert json.loads(ran.err)["error"]["message"] == "gone"


def test_bugs(dbsync: Run, library: Library) -> None:
    """Anything unexpected is called a bug with its place; --debug shows the trace."""
    library.fail = KeyError("thing")
    ran = dbsync(*COMMANDS["inspect"])
    assert ran.code == 1
    assert "this is a bug in dbsync: KeyError: 'thing'" in ran.err
    assert "--debug" in ran.err
    ran = dbsync(*COMMANDS["inspect"], "--debug")
    assert "Traceback" in ran.err
    assert "report the trace above" in ran.err


def test_debug_shows_the_cause(dbsync: Run, library: Library) -> None:
    """--debug also shows what an expected failure was chained to."""
    error = errors.SourceError("gone")
    error.__cause__ = OSError("the driver said no")
    library.fail = error
    assert "the driver said no" in dbsync(*COMMANDS["export_database"], "--debug").err
    assert "the driver said no" not in dbsync(*COMMANDS["export_database"]).err


def test_interrupted_import_says_what_to_do(dbsync: Run, library: Library) -> None:
    """An interrupted import can be run again; one in a single transaction changed nothing."""
    library.fail = Interrupted(15)
    ran = dbsync(*COMMANDS["import_archive"])
    assert "interrupted by SIGTERM" in ran.err
    assert "goes on where it stopped" in ran.err
    ran = dbsync(*COMMANDS["import_archive"], "--single-transaction")
    assert "nothing was changed" in ran.err


def test_unknown_words(dbsync: Run) -> None:
    """Unknown commands and options are named, with the nearest option and the help to read."""
    ran = dbsync("expor")
    assert ran.code == 2
    assert "'expor'" in ran.err
    ran = dbsync("export", "--tabels", "x")
    assert "--tables" in ran.err
    assert "next: dbsync export --help" in ran.err


def _process(*args: str, **options: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, *args],
        stderr=subprocess.PIPE,
        **options,  # type: ignore[call-overload]
    )


# A command whose result is longer than any buffer.
_LONG = """
from dbsync import api
from dbsync.cli.main import main
from dbsync.connectors.base import CheckItem

api.check = lambda **_: tuple(CheckItem(item=str(i), ok=True, found="x" * 50) for i in range(5000))
main(["check", "--url", "sqlite:///x"])
"""


@pytest.mark.parametrize("program", [["-m", "dbsync", "--help"], ["-c", _LONG]])
def test_closed_pipe(program: list[str]) -> None:
    """A reader that goes away ends the run quietly with 141."""
    reading, writing = os.pipe()
    os.close(reading)
    process = _process(*program, stdout=writing)
    os.close(writing)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 141
    assert err == b""


def test_full_output() -> None:
    """A stdout that is full is a storage error, and no bug."""
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with full.open("wb") as out:
        process = _process("-m", "dbsync", "--help", stdout=out)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 5
    assert b"cannot write the output" in err
    assert b"Traceback" not in err
