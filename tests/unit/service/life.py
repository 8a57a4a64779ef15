"""A service whose time, work and surroundings are in the hand of a test."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from dbsync.api import ExportResult
from dbsync.connectors.base import Consistency
from dbsync.errors import DbsyncError
from dbsync.service.report import Recipient, RunReport, ServiceEvent, Warned
from dbsync.service.run import Rehearsal, Steps
from dbsync.service.scheduler import Plan, Service
from dbsync.service.state import State
from dbsync.service.timetable import Timetable

START = datetime(2024, 3, 1, 12, 0, tzinfo=UTC)
LOCATION = "backups/"


class FakeClock:
    """Time that passes only when the service waits, and ends as a signal would end it."""

    def __init__(self, now: datetime = START, until: datetime | None = None):
        self.time = now
        self.until = until

    def now(self) -> datetime:
        return self.time

    def wait(self, seconds: float) -> None:
        assert seconds > 0
        self.time += timedelta(seconds=seconds)
        if self.until is not None and self.time >= self.until:
            self.time = self.until
            raise KeyboardInterrupt

    def pass_by(self, **span: float) -> None:
        self.time += timedelta(**span)


class Listener:
    """Keeps every event."""

    def __init__(self) -> None:
        self.events: list[ServiceEvent] = []

    def __call__(self, event: ServiceEvent) -> None:
        self.events.append(event)

    @property
    def reports(self) -> list[RunReport]:
        return [event for event in self.events if isinstance(event, RunReport)]

    @property
    def warnings(self) -> list[str]:
        return [event.message for event in self.events if isinstance(event, Warned)]


class Told:
    """A recipient that keeps what it is told, and fails if asked to."""

    name = "test"

    def __init__(self, error: DbsyncError | None = None) -> None:
        self.reports: list[RunReport | None] = []
        self.error = error

    def tell(self, report: RunReport | None, state: State) -> None:
        self.reports.append(report)
        if self.error is not None:
            raise self.error


class Life:
    """One service with its clock and steps that can be made to fail, last or be interrupted."""

    def __init__(
        self,
        *,
        cron: str | None = "0 2 * * *",
        zone: str = "UTC",
        state: Path | None = None,
        clock: FakeClock | None = None,
        recipients: Sequence[Recipient] = (),
        prunes: bool = False,
        rehearses: bool = False,
        rehearse_cron: str | None = None,
        chance: random.Random | None = None,
        **plan: Any,
    ):
        self.clock = clock or FakeClock()
        self.listener = Listener()
        self.calls: list[tuple[str, datetime]] = []
        self.on: dict[str, Callable[[], None]] = {}
        """What happens in a step, after its call is noted."""
        self.passes = True
        timetable = Timetable(cron, zone) if cron else None
        rehearsals = Timetable(rehearse_cron, zone) if rehearse_cron else None
        self.service = Service(
            Plan(
                location=LOCATION, timetable=timetable, rehearsals=rehearsals, state=state, **plan
            ),
            Steps(
                check=lambda: self._step("check"),
                export=self._export,
                prune=self._prune if prunes else None,
                rehearse=self._rehearse if rehearses or rehearse_cron else None,
            ),
            clock=self.clock,
            listen=self.listener,
            recipients=recipients,
            chance=chance,
        )

    def live(self, **span: float) -> State:
        """Let the service run for a time, until a signal ends it between runs."""
        self.clock.until = self.clock.time + timedelta(**span)
        return self.service.serve()

    def fail(self, step: str, *errors: DbsyncError) -> None:
        """Have a step raise these errors, one at each call, and then succeed."""
        left = list(errors)

        def happen() -> None:
            if left:
                raise left.pop(0)

        self.on[step] = happen

    def times(self, step: str) -> list[str]:
        return [f"{time:%m-%d %H:%M}" for name, time in self.calls if name == step]

    def _step(self, name: str) -> None:
        self.calls.append((name, self.clock.time))
        self.on.get(name, lambda: None)()

    def _export(self) -> ExportResult:
        began = self.clock.time
        self._step("export")
        return ExportResult(
            archive=f"{LOCATION}shop-{began:%Y%m%dT%H%M%SZ}.dbsync.tar",
            archive_id="id",
            database="shop",
            tables=(),
            consistency=Consistency(level="snapshot"),
            rows=7,
            bytes=4096,
            seconds=1.5,
        )

    def _prune(self, database: str) -> int:
        assert database == "shop"
        self._step("prune")
        return 2

    def _rehearse(self, archive: str | None) -> Rehearsal:
        self._step("rehearse")
        return Rehearsal(
            archive=archive or f"{LOCATION}newest.dbsync.tar",
            archive_time=self.clock.time,
            passed=self.passes,
            differences=() if self.passes else ("table a: 1 row is missing",),
        )
