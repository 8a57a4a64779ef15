"""Every way a run can end, as an exit code and a message with the next step.

What lives here: the one mapping from exceptions to what the user sees. Must not know: commands.
"""

from __future__ import annotations

import os
import sys
import traceback
from typing import TYPE_CHECKING

import click

from dbsync.cli.signals import Interrupted
from dbsync.errors import ArchiveError, DbsyncError

if TYPE_CHECKING:
    from dbsync.cli.output import Output

BUG = 1
USAGE = 2
SOURCE = 3
UNHEALTHY = 3
"""Of ``health``: what was looked at is not as it should be, as with ``check``."""
STORAGE = 5
REFUSED = 7
"""Also the exit code of ``verify --against`` and ``--verify`` where the data differ."""
INTERRUPTED = 130
BROKEN_PIPE = 141
"""Whoever read stdout went away: as shells report a process that died of SIGPIPE."""

EXIT_CODES = """\
0    done
1    a bug in dbsync
2    usage or configuration
3    the source failed; or check or health found something that is not ok
4    the target failed
5    the storage failed
6    the archive is not valid
7    refused, because data would be lost; or verify --against or --verify found differences
8    locked, or in conflict with something that exists
130  interrupted (SIGINT); 143 for SIGTERM, 129 for SIGHUP
141  whoever read the output went away"""


def exit_code(error: BaseException) -> int:
    """Return the exit code of a run that ends with `error`."""
    if isinstance(error, BrokenPipeError):
        return BROKEN_PIPE
    if isinstance(error, Interrupted | DbsyncError | click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return INTERRUPTED
    return USAGE if isinstance(error, click.ClickException) else BUG


def report(error: BaseException, output: Output) -> None:
    """Say on `output` what failed and what to do next."""
    if isinstance(error, click.exceptions.Exit | BrokenPipeError):
        return
    if output.debug:
        output.trace("".join(traceback.format_exception(error)))
    message, hint, more = _describe(error, output)
    output.error(message, hint=hint, exit_code=exit_code(error), **more)


def _describe(error: BaseException, output: Output) -> tuple[str, str | None, dict[str, object]]:
    if isinstance(error, KeyboardInterrupt | click.Abort):
        cause = f"interrupted by {error}" if isinstance(error, Interrupted) else "interrupted"
        return cause, output.if_interrupted, {"type": "Interrupted"}
    if isinstance(error, DbsyncError) and error.exit_code != BUG:
        more: dict[str, object] = {"type": type(error).__name__, "retryable": error.retryable}
        if isinstance(error, ArchiveError):
            more["code"] = error.code
        return str(error), error.hint or "--debug shows where it comes from", more
    if isinstance(error, click.ClickException):
        context = error.ctx if isinstance(error, click.UsageError) else None
        command = context.command_path if context is not None else "dbsync"
        hint = f"{command} --help lists what it takes"
        return error.format_message().rstrip("."), hint, {"type": "UsageError", "retryable": False}
    frame = traceback.extract_tb(error.__traceback__)[-1:]
    where = f" ({_relative(frame[0].filename)}, line {frame[0].lineno})" if frame else ""
    hint = "report the trace above" if output.debug else "run it again with --debug and report it"
    name = type(error).__name__
    return f"this is a bug in dbsync: {name}: {error}{where}", hint, {"type": name}


def settle_stdout() -> None:
    """Flush stdout; point it nowhere where that fails, so that the interpreter does not try again.

    The failure itself has been reported; a second one would change the exit code to 120.
    """
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _relative(path: str) -> str:
    _, found, rest = path.rpartition(f"{os.sep}dbsync{os.sep}")
    return f"dbsync/{rest}" if found else path
