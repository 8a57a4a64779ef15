"""The command `dbsync`: its group, and the frame in which every run starts and ends.

Must not know: what a command does.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

import click

from dbsync import __version__
from dbsync.cli.auth import auth
from dbsync.cli.check import check
from dbsync.cli.clone import clone
from dbsync.cli.export import export
from dbsync.cli.extract import extract
from dbsync.cli.failures import EXIT_CODES, exit_code, report, settle_stdout
from dbsync.cli.health import health
from dbsync.cli.import_ import import_
from dbsync.cli.inspect import inspect
from dbsync.cli.keygen import keygen
from dbsync.cli.list_ import list_
from dbsync.cli.output import Output, wrap_streams
from dbsync.cli.prune import prune
from dbsync.cli.redaction import Redactor
from dbsync.cli.rehearse import rehearse
from dbsync.cli.schedule import schedule
from dbsync.cli.signals import interruptible
from dbsync.cli.to_parquet import to_parquet
from dbsync.cli.verify import verify
from dbsync.config.environment import TRUE
from dbsync.errors import DbsyncError

_EPILOG = (
    "Every option has a variable DBSYNC_<OPTION>, passwords and URLs also "
    "DBSYNC_<OPTION>_FILE, the name of a file that holds the value. Flags beat the environment, "
    "the environment beats the .env file. An option that may be repeated takes one value a line "
    "from its variable.\n\n\b\nExit codes:\n" + EXIT_CODES
)


@click.group(
    name="dbsync",
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="dbsync", message="%(prog)s %(version)s")
def cli() -> None:
    """Export a database into one portable archive, and import it again.

    The archive is a tar file of Parquet files. It imports into the same engine or another, and
    every byte in it is checked.
    """


for _command in (
    export,
    import_,
    clone,
    inspect,
    verify,
    extract,
    to_parquet,
    check,
    keygen,
    auth,
    list_,
    prune,
    rehearse,
    schedule,
    health,
):
    cli.add_command(_command)


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line and leave the process with its exit code."""
    # Batches of nested values are hundreds of thousands of objects without cycles: looking through
    # everything each time that a quarter is new took a fifth of the time of some exports.
    gc.set_threshold(50_000, 20, 100)
    # Arrow's allocator gives memory back after 10 ms and takes it again for the next chunk, cleared
    # by the kernel, which took a twentieth of an export's work. After 2 s the peak still does not
    # grow with the table; it did after a minute. It reads this when it is loaded.
    os.environ.setdefault("MIMALLOC_PURGE_DELAY", "2000")
    # NumPy comes with a library for matrices, whose threads spin from the start for nothing.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if "_DBSYNC_COMPLETE" in os.environ:
        cli.main(prog_name="dbsync")
    code = run(list(sys.argv[1:] if args is None else args))
    settle_stdout()
    # What is left ends with the process: looking through it took a tenth of a second.
    gc.freeze()
    sys.exit(code)


def run(args: list[str]) -> int:
    """Run the command line; returns the exit code."""
    streams = sys.stdout, sys.stderr
    redactor = Redactor()
    output = Output(*wrap_streams(redactor), redactor)
    # Settled from the options later; an error in the options must be reported in form, too.
    output.json = "--json" in args or os.environ.get("DBSYNC_JSON", "").lower() in TRUE
    output.debug = "--debug" in args
    try:
        try:
            with interruptible():
                code = _invoke(args, output)
                output.flush()
                return code
        except BaseException as error:  # the one place where every failure ends
            with suppress(OSError, DbsyncError):  # the output itself may be what failed
                report(error, output)
                output.flush()
            return exit_code(error)
    finally:
        sys.stdout, sys.stderr = streams


def _invoke(args: list[str], output: Output) -> int:
    context = cli.make_context("dbsync", args or ["--help"], obj=output)
    with context:
        code = cli.invoke(context)
    return code if isinstance(code, int) else 0
