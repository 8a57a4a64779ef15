"""What the service knows of its past, and who else is told: state file, reports, recipients.

Must not know: what is due, or when something is tried again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from dbsync.errors import DbsyncError
from dbsync.service.clock import Clock
from dbsync.service.report import Listener, Recipient, RunError, RunReport, Warned
from dbsync.service.run import Broken, Kind, Rehearsal, Run
from dbsync.service.state import (
    Failure,
    Rehearsed,
    State,
    Success,
    read_state,
    write_state,
)


class History:
    """The state of one location, kept in a file if there is one."""

    def __init__(
        self,
        *,
        location: str,
        path: Path | None,
        clock: Clock,
        listen: Listener,
        recipients: Sequence[Recipient] = (),
    ):
        self._location = location
        self._path = path
        self._clock = clock
        self._listen = listen
        self._recipients = recipients
        self.state = self._fresh("")

    def load(self, timetable: str | None) -> None:
        """Read the file; starts afresh for another location.

        Nothing counts as missed of a `timetable` that did not hold before; None leaves it alone.
        Raises `UsageError` for a file of something else.
        """
        found = read_state(self._path) if self._path is not None else None
        if found is None or found.location != self._location:
            found = self._fresh(timetable or "")
        elif timetable is not None and found.timetable != timetable:
            found.timetable = timetable
            found.handled_until = found.rehearsals_until = self._clock.now()
        # A clock that was ahead for a while must not stop backups until that time comes.
        found.handled_until = min(found.handled_until, self._clock.now())
        found.rehearsals_until = min(found.rehearsals_until, self._clock.now())
        self.state = found

    def save(self) -> None:
        """Write the file; a failure is a warning, since a backup is worth more than its note."""
        if self._path is None:
            return
        try:
            write_state(self._path, self.state)
        except DbsyncError as error:
            self._listen(Warned(message=error.message))

    def remember(self, run: Run, broken: Broken | None, *, began: datetime, final: bool) -> None:
        """Take note of an attempt, and with `final` of the whole run."""
        state, now = self.state, self._clock.now()
        exported = run.exported
        if exported is not None and exported.archive is not None:
            known = state.last_success
            # A later attempt of the same run has not exported again.
            if known is None or known.archive != exported.archive:
                state.last_success = Success(
                    time=began,
                    archive=exported.archive,
                    rows=exported.rows,
                    bytes=exported.bytes,
                    seconds=exported.seconds,
                )
        if run.rehearsal is not None:
            state.last_rehearsal = _rehearsed(state.last_rehearsal, run.rehearsal, now)
        if broken is not None:
            self._fail(broken, now)
        if final:
            self._count(run, failed=broken is not None)
        self.save()

    def tell(self, report: RunReport | None) -> None:
        """Pass a report on to everyone; None says that the service begins."""
        for recipient in self._recipients:
            try:
                recipient.tell(report, self.state)
            except DbsyncError as error:
                self._listen(Warned(message=error.message))

    def tell_of_check(self, broken: Broken, due: datetime) -> None:
        """Say that a check failed for good; the same failure is told once, not at each restart."""
        last = self.state.last_failure
        if last is None or (last.stage, last.message) != (broken.stage, broken.message):
            self.state.failures += 1
            self.state.consecutive_failures += 1
            self._fail(broken, self._clock.now())
            self.save()
            nothing_done = self.report("backup", None, broken, attempt=1, due=due, began=due)
            self._listen(nothing_done)
            self.tell(nothing_done)

    def report(
        self,
        kind: Kind,
        run: Run | None,
        broken: Broken | None,
        *,
        attempt: int,
        due: datetime,
        began: datetime,
        retry_at: datetime | None = None,
    ) -> RunReport:
        """Put an attempt into the form in which others are told of it."""
        exported = run.exported if run is not None else None
        rehearsal = run.rehearsal if run is not None else None
        return RunReport(
            event="success" if broken is None else "failure",
            kind=kind,
            final=retry_at is None,
            attempt=attempt,
            due=due,
            started=began,
            finished=self._clock.now(),
            location=self._location,
            archive=exported.archive if exported is not None else None,
            tables=len(exported.tables) if exported is not None else 0,
            rows=exported.rows if exported is not None else 0,
            bytes=exported.bytes if exported is not None else 0,
            seconds=exported.seconds if exported is not None else 0.0,
            warnings=exported.warnings if exported is not None else (),
            pruned=run.pruned if run is not None else None,
            rehearsal=None if rehearsal is None else ("passed" if rehearsal.passed else "failed"),
            error=None if broken is None else _run_error(broken),
            retry_at=retry_at,
            next_run=self.state.next_run,
        )

    def _fresh(self, timetable: str) -> State:
        now = self._clock.now()
        return State(
            location=self._location,
            since=now,
            timetable=timetable,
            handled_until=now,
            rehearsals_until=now,
        )

    def _fail(self, broken: Broken, now: datetime) -> None:
        self.state.last_failure = Failure(
            time=now, stage=broken.stage, message=broken.message, exit_code=broken.exit_code
        )

    def _count(self, run: Run, *, failed: bool) -> None:
        state = self.state
        if failed:
            state.failures += 1
            state.consecutive_failures += 1
        else:
            state.runs += 1
            state.consecutive_failures = 0
        if run.kind == "rehearsal":
            return
        if run.rehearsal is not None:
            state.runs_since_rehearsal = 0
        elif run.exported is not None:
            state.runs_since_rehearsal += 1


def _rehearsed(before: Rehearsed | None, rehearsal: Rehearsal, now: datetime) -> Rehearsed:
    passed_of = before.passed_of if before is not None else None
    passed_archive = before.passed_archive if before is not None else None
    if rehearsal.passed:
        passed_of, passed_archive = rehearsal.archive_time, rehearsal.archive
    return Rehearsed(
        time=now,
        archive=rehearsal.archive,
        passed=rehearsal.passed,
        passed_of=passed_of,
        passed_archive=passed_archive,
    )


def _run_error(broken: Broken) -> RunError:
    return RunError(
        stage=broken.stage,
        message=broken.message,
        hint=broken.hint,
        exit_code=broken.exit_code,
        retryable=broken.retryable,
    )
