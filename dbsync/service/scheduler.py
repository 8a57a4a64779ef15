"""The loop around runs: what is due, what was missed, what is tried again, when the service ends.

What lives here: the life of `dbsync schedule`. Time comes from a `Clock` and work from `Steps`, so
all of it can be lived through in a test. Must not know: cron's grammar, databases, stores.

A run that became due while the service was down is made up for once, however many were missed. One
that becomes due while another is under way is skipped. A failed attempt is repeated from the stage
that failed, after pauses that double, until the attempts are used up or the next run is due. A
failure that time does not heal, such as a password that is wrong, is followed by the checks of the
start: if they fail as well, the service ends as it would have ended at its start.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from dbsync.errors import DbsyncError, UsageError
from dbsync.service.clock import Clock
from dbsync.service.history import History
from dbsync.service.report import Listener, Recipient, RunReport, Started, Waiting, Warned
from dbsync.service.run import Broken, Kind, Run, Steps
from dbsync.service.state import State, only_one
from dbsync.service.timetable import Timetable

_LONGEST_PAUSE_S = 3600.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What was asked for, with everything that has a form read already."""

    location: str
    """The folder of the archives, without secrets."""
    timetable: Timetable | None
    """None for one run at once."""
    jitter_s: float = 0.0
    """Runs begin up to so much later, at random."""
    retries: int = 3
    retry_pause_s: float = 60.0
    rehearse_every: int = 0
    """Rehearse in each Nth run; 0 for never."""
    rehearsals: Timetable | None = None
    """Rehearse the newest archive at moments of their own."""
    state: Path | None = None


class Service:
    """Makes runs, one after the other."""

    def __init__(
        self,
        plan: Plan,
        steps: Steps,
        *,
        clock: Clock,
        listen: Listener,
        recipients: Sequence[Recipient] = (),
        chance: random.Random | None = None,
    ):
        self._plan = plan
        self._steps = steps
        self._clock = clock
        self._listen = listen
        self._chance = chance or random.Random()  # noqa: S311 - spreads load, keeps no secret
        self._at_work = False
        self._history = History(
            location=plan.location,
            path=plan.state,
            clock=clock,
            listen=listen,
            recipients=recipients,
        )

    def run_once(self) -> RunReport:
        """Make one run now; raises what it failed with, after everyone was told.

        Raises `ConflictError` where a service has the state file.
        """
        with only_one(self._plan.state):
            self._history.load(self._timetables())
            self._check_at_start()
            report, broken = self._make("backup", self._clock.now())
        if broken is not None:
            raise broken.error
        return report

    def serve(self) -> State:
        """Make runs until a signal arrives; returns if that was between runs.

        Everything is checked before the first wait: what will not heal raises, and a server that
        cannot be reached yet is a warning. A signal during a run is passed on as it came, so that
        the run undoes what it began; that run is made up for after a restart.
        """
        timetable = self._plan.timetable
        if timetable is None:
            raise UsageError("nothing says when to run", hint="give --cron, or --once for one run")
        with only_one(self._plan.state):
            self._history.load(self._timetables())
            try:
                self._check_at_start()
                self._plan_next(timetable)
                self._history.tell(None)
                while True:
                    kind, due = self._next(timetable)
                    if due > self._clock.now():
                        self._listen(Waiting(until=due, kind=kind))
                        self._wait_until(due + self._jitter())
                    _, broken = self._make(kind, due)
                    if broken is not None:
                        self._end_if_hopeless(broken)
            except KeyboardInterrupt:
                if self._at_work:
                    raise
                return self._history.state

    # What is due

    def _next(self, timetable: Timetable) -> tuple[Kind, datetime]:
        due = timetable.after(self._history.state.handled_until)
        if self._plan.rehearsals is not None:
            rehearsal = self._plan.rehearsals.after(self._history.state.rehearsals_until)
            # Of two that were missed, the backup comes first: it is what may then be rehearsed.
            if rehearsal < due and due > self._clock.now():
                return "rehearsal", rehearsal
        return "backup", due

    def _plan_next(self, timetable: Timetable) -> None:
        state = self._history.state
        state.next_run = timetable.after(state.handled_until)
        self._history.save()

    def _jitter(self) -> timedelta:
        """Spread runs that are to come; one that was missed is late enough."""
        return timedelta(seconds=self._chance.uniform(0, self._plan.jitter_s))

    def _wait_until(self, moment: datetime) -> None:
        while (left := (moment - self._clock.now()).total_seconds()) > 0:
            self._clock.wait(left)

    def _timetables(self) -> str | None:
        if self._plan.timetable is None:
            return None
        both = (self._plan.timetable, self._plan.rehearsals)
        return ", ".join(f"{t.expression} {t.zone}" for t in both if t is not None)

    # One run with its attempts

    def _make(self, kind: Kind, due: datetime) -> tuple[RunReport, Broken | None]:
        started = self._clock.now()
        self._listen(Started(kind=kind, due=due, late_s=(started - due).total_seconds()))
        last = self._history.state.last_success
        run = Run(
            kind=kind,
            steps=self._steps,
            with_rehearsal=kind == "rehearsal" or self._is_nth(),
            newest=last.archive if last is not None else None,
        )
        attempt = 1
        while True:
            began = self._clock.now()
            self._at_work = True
            broken = run.attempt()
            self._at_work = False
            retry_at = None if broken is None else self._retry_at(kind, broken, attempt)
            if retry_at is None:
                self._close(kind, started)
            self._history.remember(run, broken, began=began, final=retry_at is None)
            report = self._history.report(
                kind, run, broken, attempt=attempt, due=due, began=began, retry_at=retry_at
            )
            self._listen(report)
            self._history.tell(report)
            if retry_at is None:
                return report, broken
            self._wait_until(retry_at)
            attempt += 1

    def _is_nth(self) -> bool:
        every = self._plan.rehearse_every
        return every > 0 and self._history.state.runs_since_rehearsal + 1 >= every

    def _retry_at(self, kind: Kind, broken: Broken, attempt: int) -> datetime | None:
        """Say when to try again, or None where that is of no use."""
        if not broken.outside or attempt > self._plan.retries:
            return None
        if not broken.retryable and self._still_wrong() is not None:
            return None
        pause_s = min(self._plan.retry_pause_s * 2.0 ** (attempt - 1), _LONGEST_PAUSE_S)
        now = self._clock.now()
        moment = now + timedelta(seconds=pause_s)
        timetable = self._plan.timetable if kind == "backup" else self._plan.rehearsals
        if timetable is not None and timetable.after(now) <= moment:
            return None
        return moment

    def _close(self, kind: Kind, started: datetime) -> None:
        """Settle what was due until now, before it is written down."""
        state, now = self._history.state, self._clock.now()
        if kind == "rehearsal":
            state.rehearsals_until = now
            return
        state.handled_until = now
        timetable = self._plan.timetable
        if timetable is None:
            return
        state.next_run = timetable.after(now)
        if (skipped := timetable.after(started)) <= now:
            moment = skipped.strftime("%Y-%m-%d %H:%M UTC")
            self._listen(
                Warned(message=f"the run of {moment} is skipped: the one before took longer")
            )

    # What is checked

    def _check_at_start(self) -> None:
        try:
            self._steps.check()
        except DbsyncError as error:
            if error.retryable:
                self._listen(Warned(message=f"{error.message}; it is tried again by each run"))
                return
            self._history.tell_of_check(Broken(stage="check", error=error), self._clock.now())
            raise

    def _end_if_hopeless(self, broken: Broken) -> None:
        if broken.outside and not broken.retryable:
            error = self._still_wrong()
            if error is not None:
                raise error

    def _still_wrong(self) -> DbsyncError | None:
        """Check as at the start; returns what will not heal by itself."""
        try:
            self._steps.check()
        except DbsyncError as error:
            return None if error.retryable else error
        return None
