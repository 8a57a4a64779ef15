"""A run as it happens: the loss report, bars on a terminal, plain lines elsewhere, JSON logs.

What lives here: what each event of `dbsync.pipeline.events` becomes on stderr. Must not know:
commands or results.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import msgspec

from dbsync.cli import text
from dbsync.cli.tally import Tally
from dbsync.model.schema import Loss, Name
from dbsync.pipeline.events import (
    ChunkDone,
    ChunkWritten,
    Event,
    Finished,
    PassedOver,
    Planned,
    StageStarted,
    TableDone,
    TableFailed,
    TableStarted,
)

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from dbsync.cli.output import Output

LINE_SECONDS = 5.0
"""How often a plain line appears."""
MAX_BARS = 8
"""How many tables are shown at once on a terminal."""


class _Watcher(Protocol):
    def __call__(self, event: Event) -> None: ...

    def close(self) -> None: ...


class Watch:
    """Passes events on to all who show them."""

    def __init__(self, losses: PlanReport, watchers: list[_Watcher]):
        self._losses = losses
        self._watchers: list[_Watcher] = [losses, *watchers]

    def on_event(self, event: Event) -> None:
        """Show one event."""
        for watcher in self._watchers:
            watcher(event)

    def report(self, losses: Iterable[Loss]) -> None:
        """Print the losses that were not printed before."""
        self._losses.report(losses)

    def close(self) -> None:
        """Take progress bars off the terminal."""
        for watcher in self._watchers:
            watcher.close()


@contextmanager
def watching(
    output: Output, command: str, *, show: bool, clock: Callable[[], float] = time.monotonic
) -> Generator[Watch]:
    """Watch one run; without `show` only the loss report and the main events appear."""
    watchers: list[_Watcher] = []
    if output.log_json:
        watchers.append(_JsonLines(output, details=show))
    elif show and output.is_terminal():
        watchers.append(_Bars(output, Tally(command, clock)))
    elif show:
        watchers.append(_Lines(output, Tally(command, clock), clock))
    if output.verbose and not output.log_json:
        watchers.append(_Stages(output))
    watch = Watch(PlanReport(output), watchers)
    try:
        yield watch
    finally:
        watch.close()


class PlanReport:
    """Prints, before anything is written, what will not arrive and what an abort would leave."""

    def __init__(self, output: Output):
        self._output = output
        self._printed: set[Loss] = set()

    def __call__(self, event: Event) -> None:
        """Print what a plan has to say, and before it which archive was not good enough."""
        if isinstance(event, PassedOver) and not self._output.log_json:
            self._output.warn(f"{event.archive} is not complete and is passed over: {event.reason}")
        if isinstance(event, TableFailed) and not self._output.log_json:
            self._output.warn(f"table {event.table} failed: {event.message}")
        if not isinstance(event, Planned):
            return
        self.report(event.losses)
        self._output.expect_table()
        if event.guarantee == "none":
            self._output.warn(
                "the target keeps no record of what has arrived: if this import is interrupted, "
                "running it again may repeat rows of tables without a key"
            )
        if event.resuming and not self._output.log_json:
            self._output.progress("goes on where an earlier run of this import stopped")

    def report(self, losses: Iterable[Loss]) -> None:
        """Print a table of the losses that were not printed before."""
        new = [loss for loss in dict.fromkeys(losses) if loss not in self._printed]
        self._printed.update(new)
        if not new:
            return
        new.sort(key=lambda loss: loss.severity != "lost")
        if not self._output.log_json:
            self._output.progress(_losses_headline(new))
        self._output.log_table(
            ["object", "what happens", "reason"],
            [(loss.object, loss.severity, loss.reason) for loss in new],
        )

    def close(self) -> None:
        """Nothing is open."""


def _losses_headline(losses: list[Loss]) -> str:
    lost = sum(loss.severity == "lost" for loss in losses)
    changed = len(losses) - lost
    parts = [f"{text.plural(lost, 'thing')} will be lost"] if lost else []
    if changed:
        parts.append(f"{text.plural(changed, 'thing')} will arrive in another form")
    return "loss report: " + ", ".join(parts)


class _Lines:
    """A plain line every few seconds, for logs; driven by the events themselves."""

    def __init__(self, output: Output, tally: Tally, clock: Callable[[], float]):
        self._output = output
        self._tally = tally
        self._clock = clock
        self._next = clock() + LINE_SECONDS

    def __call__(self, event: Event) -> None:
        self._tally.add(event)
        now = self._clock()
        if now >= self._next and not isinstance(event, Finished):
            self._next = now + LINE_SECONDS
            self._output.progress(self._tally.line())

    def close(self) -> None:
        """Nothing is open."""


class _Stages:
    """Every step of an import, under --verbose."""

    def __init__(self, output: Output):
        self._output = output

    def __call__(self, event: Event) -> None:
        if isinstance(event, StageStarted):
            stage = event.stage.replace("_", " ")
            self._output.progress(f"{stage}: {event.object}" if event.object else stage)

    def close(self) -> None:
        """Nothing is open."""


class _JsonLines:
    """Every event as one JSON object a line."""

    def __init__(self, output: Output, *, details: bool):
        self._output = output
        self._details = details

    def __call__(self, event: Event) -> None:
        if self._details or not isinstance(event, ChunkWritten | ChunkDone | StageStarted):
            self._output.event(msgspec.to_builtins(event))

    def close(self) -> None:
        """Nothing is open."""


class _Bars:
    """One bar for everything, and one for each table under way."""

    def __init__(self, output: Output, tally: Tally):
        self._output = output
        self._tally = tally
        self._bars: Progress | None = None
        self._overall: TaskID | None = None
        self._tables: dict[Name, TaskID] = {}

    def __call__(self, event: Event) -> None:
        self._tally.add(event)
        if isinstance(event, Planned) and self._bars is None:
            self._start()
        if self._bars is None or self._overall is None:
            return
        if isinstance(event, ChunkDone | TableStarted):
            self._show_table(self._bars, event.table)
        elif isinstance(event, TableDone | TableFailed) and event.table in self._tables:
            self._bars.remove_task(self._tables.pop(event.table))
        tally = self._tally
        self._bars.update(
            self._overall,
            total=tally.total(),
            completed=tally.rows,
            description=tally.stage or tally.command,
            bytes=text.size(tally.bytes),
            rate=_rate(tally.rate()),
        )
        if isinstance(event, Finished):
            self.close()

    def close(self) -> None:
        """Stop drawing and leave the terminal clean."""
        if self._bars is not None:
            self._output.live = None
            self._bars.stop()
            self._bars = None
            # A second part of the run, such as a comparison, draws bars of its own.
            self._tables.clear()

    def _start(self) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TaskProgressColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        console = self._output.error_console()
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[bytes]}", markup=False),
            TextColumn("{task.fields[rate]}", markup=False),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            # stdout may carry the archive: nothing may stand between it and its bytes.
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._overall = self._bars.add_task(self._tally.command, total=None, bytes="", rate="")
        self._output.live = console
        self._bars.start()

    def _show_table(self, bars: Progress, name: Name) -> None:
        from dbsync.cli.output import printable

        rows, total = self._tally.done.get(name, 0), self._tally.totals.get(name)
        total = None if total is None else max(total, rows)
        task = self._tables.pop(name, None)
        if task is None:
            task = bars.add_task(
                f"  {printable(str(name))}", total=total, completed=rows, bytes="", rate=""
            )
        else:
            bars.update(task, total=total, completed=rows)
        # Latest last: a table that has not moved for longest makes room.
        self._tables[name] = task
        while len(self._tables) > MAX_BARS:
            bars.remove_task(self._tables.pop(next(iter(self._tables))))


def _rate(rows_per_second: float) -> str:
    return f"{text.count(round(rows_per_second))} rows/s"
