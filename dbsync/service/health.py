"""Whether backups are as they should be: the age of the newest archive that counts.

What lives here: the judgement, from a state file or from what a folder holds. Must not know: how
either came about, or a terminal.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from dbsync.config import HealthSettings, redact
from dbsync.service.state import Failure, State, read_state


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `dbsync health`."""

    healthy: bool
    reason: str
    """One line, for people."""
    location: str
    archive: str | None = None
    archive_time: datetime | None = None
    age_s: float | None = None
    max_age_s: float
    rehearsed: bool
    """Whether only archives whose rehearsal passed were counted."""
    last_failure: Failure | None = None


class Newest(msgspec.Struct, frozen=True, kw_only=True):
    """The newest archive that counts."""

    archive: str
    time: datetime


def look(settings: HealthSettings, now: datetime) -> Health:
    """Judge by the place that `settings` name.

    Raises `UsageError` for a file of something else, and `StorageError` where the place cannot be
    looked at.
    """
    if settings.state is None:
        return _of_location(settings, now)
    state = read_state(settings.state)
    if state is None:
        return Health(
            healthy=False,
            reason=f"there is no state file {settings.state}: the service has not begun",
            location="",
            max_age_s=settings.max_age.total_seconds(),
            rehearsed=settings.rehearsed,
        )
    return of_state(state, max_age=settings.max_age, rehearsed=settings.rehearsed, now=now)


def of_state(state: State, *, max_age: timedelta, rehearsed: bool, now: datetime) -> Health:
    """Judge by what the service remembers.

    A service that has not yet made its first archive is healthy until that would be too old.
    """
    newest = None
    last, tried = state.last_success, state.last_rehearsal
    if rehearsed:
        if tried is not None and tried.passed_of is not None:
            newest = Newest(archive=tried.passed_archive or tried.archive, time=tried.passed_of)
    elif last is not None:
        newest = Newest(archive=last.archive, time=last.time)
    failure = state.last_failure
    if failure is not None and not state.consecutive_failures:
        failure = None
    if newest is None and now - state.since <= max_age:
        due = f", the first is due at {_shown(state.next_run)}" if state.next_run else ""
        return Health(
            healthy=True,
            reason=f"no archive yet{due}",
            location=state.location,
            max_age_s=max_age.total_seconds(),
            rehearsed=rehearsed,
            last_failure=failure,
        )
    return judge(
        newest,
        state.location,
        max_age=max_age,
        rehearsed=rehearsed,
        now=now,
        last_failure=failure,
    )


def _of_location(settings: HealthSettings, now: datetime) -> Health:
    from dbsync import api

    location = settings.archive or ""
    archives = api.list_archives(
        location=location,
        database=settings.database,
        storage_options=settings.storage_options,
    )
    counting = (
        Newest(archive=one.archive, time=one.time)
        for one in archives
        if one.time is not None and (one.rehearsed if settings.rehearsed else one.complete)
    )
    return judge(
        max(counting, key=lambda one: one.time, default=None),
        redact(location),
        max_age=settings.max_age,
        rehearsed=settings.rehearsed,
        now=now,
    )


def judge(
    newest: Newest | None,
    location: str,
    *,
    max_age: timedelta,
    rehearsed: bool,
    now: datetime,
    last_failure: Failure | None = None,
) -> Health:
    """Judge by the newest archive; none at all is not healthy."""
    what = "rehearsed archive" if rehearsed else "complete archive"
    limit = f"the limit is {_span(max_age)}"
    if newest is None:
        healthy, reason, age = False, f"there is no {what} in {location}", None
    else:
        age = now - newest.time
        healthy = age <= max_age
        reason = f"the newest {what} is {_span(age)} old, {limit}: {newest.archive}"
    if last_failure is not None:
        reason += f"; the last run failed: {last_failure.message}"
    return Health(
        healthy=healthy,
        reason=reason,
        location=location,
        archive=newest.archive if newest is not None else None,
        archive_time=newest.time if newest is not None else None,
        age_s=age.total_seconds() if age is not None else None,
        max_age_s=max_age.total_seconds(),
        rehearsed=rehearsed,
        last_failure=last_failure,
    )


def _span(time: timedelta) -> str:
    minutes = max(0, int(time.total_seconds() // 60))
    days, hours = minutes // 1440, minutes // 60
    if days >= 2:
        return f"{days} days {hours % 24} h"
    return f"{hours} h {minutes % 60:02d} min" if hours else f"{minutes} min"


def _shown(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")
