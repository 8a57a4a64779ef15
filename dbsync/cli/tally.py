"""Counts of a run under way, and what they say about the rest of it.

Must not know: where they are shown.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from dbsync.cli import text
from dbsync.model.schema import Name
from dbsync.pipeline.events import ChunkDone, Event, Planned, StageStarted, TableDone


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
        elif isinstance(event, TableDone):
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
        if self.stage:
            parts.append(self.stage)
        return ", ".join(parts)
