"""Where everything that is said goes: results to stdout, all else to stderr, as text or JSON.

What lives here: the two streams, tables, the one ``--json`` object, and log lines. Must not know:
what a result or an event means.
"""

from __future__ import annotations

import io
import json
import re
import sys
import threading
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, cast

from dbsync.cli.redaction import RedactingStream, Redactor

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

# Control characters and text direction overrides: a hostile name could forge lines of output.
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
# Wide enough that no line of a table is ever folded in a file or a pipe.
_UNBOUNDED = 10_000

Column = str | tuple[str, Literal["right"]]


class Output:
    """The streams of one run. `json` and `log_json` are settled once the options are read."""

    def __init__(self, stdout: RedactingStream, stderr: RedactingStream, redactor: Redactor):
        self._stdout = stdout
        self._stderr = stderr
        self.redactor = redactor
        self.json = False
        self.log_json = False
        self.verbose = False
        self.debug = False
        self.stdout_is_archive = False
        """The archive goes to stdout, so that everything else goes to stderr."""
        self.if_interrupted: str | None = None
        """The next step for a user who interrupts this run."""
        self.live: Console | None = None
        """The console of running progress bars, above which lines are printed."""

    # Results

    def line(self, text: str = "") -> None:
        """Print a line of the result for people; nothing under ``--json``."""
        if not self.json:
            self._results().write(printable(text) + "\n")

    def table(self, columns: Sequence[Column], rows: Iterable[Sequence[object]]) -> None:
        """Print a table of the result for people; nothing under ``--json``."""
        if not self.json:
            self._print_table(self._results(), columns, rows)

    def expect_table(self) -> None:
        """Load what a table needs beside the work, which would otherwise wait for it at its end."""
        if not self.json:
            threading.Thread(target=_load_rich, name="dbsync-rich").start()

    def result(self, value: object) -> None:
        """Print the one object of ``--json``; nothing without it."""
        if self.json:
            self._write_json(self._results(), value)

    def _results(self) -> RedactingStream:
        return self._stderr if self.stdout_is_archive else self._stdout

    # What happens meanwhile, on stderr

    def note(self, text: str) -> None:
        """Say something that is good to know, under ``--verbose``."""
        if self.verbose:
            self._say("note", text)

    def warn(self, text: str) -> None:
        """Say something that may need attention."""
        self._say("warning", text)

    def progress(self, text: str) -> None:
        """Print a plain line of progress."""
        self._err(f"dbsync: {text}")

    def log_table(self, columns: Sequence[Column], rows: Iterable[Sequence[object]]) -> None:
        """Print a table on stderr; with JSON logs its content travels in an event instead."""
        if not self.log_json:
            self._print_table(self._stderr, columns, rows)

    def event(self, fields: dict[str, Any]) -> None:
        """Log one event as a line of JSON."""
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._write_json(self._stderr, {"time": stamp, **fields})

    def error(self, message: str, *, hint: str | None, exit_code: int, **more: object) -> None:
        """Report the error that ends this run: for people or logs, and as ``--json`` object."""
        fields = {"message": message, "hint": hint, "exit_code": exit_code, **more}
        if self.log_json:
            self.event({"event": "error", **fields})
        elif not (self.json and self.stdout_is_archive):
            self._err(f"dbsync: error: {message}")
            if hint:
                self._err(f"  next: {hint}")
        if self.json:
            self._write_json(self._results(), {"error": fields})

    def trace(self, text: str) -> None:
        """Print a stack trace."""
        if self.log_json:
            self.event({"event": "trace", "message": text})
        else:
            self._err(text.rstrip("\n"))

    def flush(self) -> None:
        """Hand everything to the operating system; raises as writing does."""
        self._stdout.flush()
        self._stderr.flush()

    def error_console(self) -> Console:
        """Make a rich console on stderr."""
        return _console(self._stderr, terminal=bool(self._stderr.isatty()))

    def is_terminal(self) -> bool:
        """Say whether bars can be drawn on stderr."""
        return bool(self._stderr.isatty()) and not self.error_console().is_dumb_terminal

    def _say(self, kind: str, text: str) -> None:
        if self.log_json:
            self.event({"event": kind, "message": text})
        else:
            self._err(f"dbsync: {kind}: {text}")

    def _err(self, text: str) -> None:
        text = printable(text)
        if self.live is not None:
            self.live.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            self._stderr.write(text + "\n")
            self._stderr.flush()

    def _write_json(self, stream: RedactingStream, value: object) -> None:
        # JSON is cleaned value by value: masking its text could break it.
        line = json.dumps(self.redactor.clean_value(value), ensure_ascii=False)
        stream.write_clean(line + "\n")
        stream.flush()

    def _print_table(
        self, stream: RedactingStream, columns: Sequence[Column], rows: Iterable[Sequence[object]]
    ) -> None:
        table = _rich_table(columns, rows, self.redactor)
        if self.live is not None and stream is self._stderr:
            self.live.print(table)
            return
        terminal = bool(stream.isatty())
        text = io.StringIO()
        # Rendered here and written by us: rich ends the process when its stream breaks.
        console = _console(text, terminal=terminal)
        console.print(table)
        stream.write("".join(f"{line.rstrip()}\n" for line in text.getvalue().splitlines()))


def printable(text: str) -> str:
    """Return `text` with control characters written as escapes; line breaks and tabs stay."""
    return _UNPRINTABLE.sub(lambda match: ascii(match.group())[1:-1], text)


def wrap_streams(redactor: Redactor) -> tuple[RedactingStream, RedactingStream]:
    """Put redacting streams in the place of `sys.stdout` and `sys.stderr`."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            # Names may hold what the terminal's encoding does not know.
            reconfigure(errors="backslashreplace")
    streams = RedactingStream(sys.stdout, redactor), RedactingStream(sys.stderr, redactor)
    sys.stdout, sys.stderr = cast(Any, streams)
    return streams


def _load_rich() -> None:
    for module in ("rich.console", "rich.table", "rich.text"):
        import_module(module)


def _console(file: Any, *, terminal: bool) -> Console:
    from rich.console import Console

    width = None if terminal else _UNBOUNDED
    return Console(
        file=file,
        width=width,
        force_terminal=terminal,
        markup=False,
        highlight=False,
        emoji=False,
    )


def _rich_table(
    columns: Sequence[Column], rows: Iterable[Sequence[object]], redactor: Redactor
) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for column in columns:
        name, justify = (column, "left") if isinstance(column, str) else column
        table.add_column(name, justify=cast(Any, justify), overflow="fold")
    for row in rows:
        table.add_row(*(Text(redactor.clean(_cell(cell))) for cell in row))
    return table


def _cell(value: object) -> str:
    """Write a value on one line, whatever a name holds."""
    return printable(str(value)).replace("\n", "\\n").replace("\t", "\\t")
