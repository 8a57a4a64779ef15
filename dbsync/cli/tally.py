"""Counts of a run under way, and what they say about the rest of it.

Must not know: where they are shown.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from dbsync.cli import text
from dbsync.model.schema import Name
from dbsync.pipeline.events import (
    ChunkDone,
    Event,
    Planned,
    StageStarted,
    TableDone,
    TableFailed,
    TableStarted,
)

MAX_TABLES = 4
"""How many tables under way one line tells of."""


class Tally:
    """Counts of a run so far, and what they say about the rest of it."""

    def __init__(self, command: str, clock: Callable[[], float] = time.monotonic):
        self.command = command
        self.stage = ""
        self.rows = 0
        self.bytes = 0
        self.totals: dict[Name, int | None] = {}
        self.done: dict[Name, int] = {}
        """Rows so far, by table."""
        self.finished: set[Name] = set()
        self.failed: set[Name] = set()
        self.started: dict[Name, float] = {}
        """When tables that go by themselves began; those that are under way."""
        self._clock = clock
        self._started = clock()
        self._fresh = 0

    def add(self, event: Event) -> None:
        """Count one event."""
        if isinstance(event, Planned):
            self._begin(event)
        elif isinstance(event, StageStarted):
            self.stage = f"{event.stage.replace('_', ' ')} {event.object}".strip()
        elif isinstance(event, ChunkDone):
            self.rows += event.rows
            self.bytes += event.bytes
            self.done[event.table] = self.done.get(event.table, 0) + event.rows
            # What an earlier run loaded took no time now.
            self._fresh += 0 if event.resumed else event.rows
        elif isinstance(event, TableStarted):
            self.started[event.table] = self._clock()
        elif isinstance(event, TableFailed):
            self.started.pop(event.table, None)
            self.failed.add(event.table)
            # Its other rows will not come.
            self.totals[event.table] = self.done.get(event.table, 0)
        elif isinstance(event, TableDone):
            self.started.pop(event.table, None)
            self.finished.add(event.table)
            self.totals[event.table] = event.rows

    def _begin(self, plan: Planned) -> None:
        """Start counting; a run may have two parts, such as verify and its comparison."""
        if self.command != "clone" or plan.command == "compare":
            self.command = plan.command
        self.stage = ""
        self.totals = dict(plan.tables)
        self.rows = self.bytes = self._fresh = 0
        self.done = {}
        self.finished = set()
        self.failed = set()
        self.started = {}
        self._started = self._clock()

    def total(self) -> int | None:
        """Return the rows expected in all, or None where a table's number is unknown."""
        known = 0
        for name, rows in self.totals.items():
            if rows is None:
                return None
            known += max(rows, self.done.get(name, 0))
        return known

    def rate(self) -> float:
        """Return rows a second."""
        return self._fresh / max(self._clock() - self._started, 1e-3)

    def eta(self) -> float | None:
        """Return the seconds that are left, or None where that cannot be told."""
        total, rate = self.total(), self.rate()
        return (total - self.rows) / rate if total is not None and rate > 0 else None

    def table_eta(self, name: Name) -> float | None:
        """Return the seconds that are left for a table under way by itself, or None."""
        total, done = self.totals.get(name), self.done.get(name, 0)
        spent = self._clock() - self.started[name]
        if total is None or not done or spent <= 0:
            return None
        return max(0, total - done) * spent / done

    def line(self) -> str:
        """Put everything into one line."""
        total, eta = self.total(), self.eta()
        parts = [self.command]
        if total:
            parts.append(f"{min(99, self.rows * 100 // total)} %")
        of = f" of about {text.count(total)}" if total else ""
        parts.append(f"{text.count(self.rows)}{of} rows")
        parts.append(text.size(self.bytes))
        parts.append(f"{len(self.finished)} of {text.plural(len(self.totals), 'table')}")
        parts.append(f"{text.count(round(self.rate()))} rows/s")
        if eta is not None:
            parts.append(f"{text.duration(eta)} left")
        if self.failed:
            parts.append(f"{text.plural(len(self.failed), 'table')} failed")
        if self.stage and not self.started:
            parts.append(self.stage)
        tables = [self._table(name) for name in list(self.started)[:MAX_TABLES]]
        return "; ".join((", ".join(parts), *tables))

    def _table(self, name: Name) -> str:
        total, done, eta = self.totals.get(name), self.done.get(name, 0), self.table_eta(name)
        share = f"{min(99, done * 100 // total)} %" if total else f"{text.count(done)} rows"
        return f"{name} {share}" + (f", {text.duration(eta)} left" if eta is not None else "")
