"""Deleting archives that a policy no longer keeps.

What lives here: which archives the policy is asked about, and the deletions. Must not know: the
rules themselves.

Never deleted, whatever the policy: what does not carry a routine name that fits its content, what
cannot be read, and what was changed between the look and the deletion.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from msgspec.structs import replace

from dbsync.errors import StorageError, UsageError
from dbsync.pipeline.executor import ThreadExecutor
from dbsync.pipeline.inventory import PrunedArchive, PruneResult
from dbsync.pipeline.listing import JOBS, Survey, Surveyed, no_archive, survey
from dbsync.pipeline.retention import Candidate, Decision, RetentionPolicy, decide, find_zone
from dbsync.storage.base import ObjectInfo
from dbsync.storage.location import Location
from dbsync.storage.naming import stem_of

INCOMPLETE_AGE = timedelta(days=1)
"""What is not whole may still be on its way for so long."""


def prune(
    location: Location,
    policy: RetentionPolicy,
    *,
    database: str | None,
    timezone: str,
    now: datetime,
    incomplete: bool,
    dry_run: bool,
) -> PruneResult:
    """Decide about every archive in a folder, or those of `database`, and delete what may go.

    Days begin in `timezone`. A `database` without archives is a `StorageError`: a name that is
    misspelt must not look like a folder that needs no pruning.
    With `incomplete`, archives that are not whole go too, once they are a day old. What cannot be
    deleted is in the result, and does not keep others from being deleted. An attestation goes
    with its archive, as do those whose archive is gone already.
    """
    if policy.is_empty:
        raise UsageError(
            "no policy says which archives to keep",
            hint="give at least one of --keep-last, --keep-daily, --keep-weekly, --keep-monthly, "
            "--keep-yearly and --older-than",
        )
    zone = find_zone(timezone)
    found = survey(location, database)
    if database is not None and stem_of(database) not in found.databases:
        raise no_archive(location, database, found.databases)
    candidates = [_candidate(one) for one in found.archives if _is_ours(one) and one.name]
    decisions = decide(candidates, policy, zone=zone, now=now)
    plan = [_plan(one, decisions, now=now, incomplete=incomplete) for one in found.archives]
    result = PruneResult(
        location=location.display,
        policy=policy,
        timezone=timezone,
        archives=tuple(plan),
        dry_run=dry_run,
        orphans=tuple(location.join(info.key).display for info in found.orphans),
    )
    return result if dry_run else _delete_all(location, found, result)


def _is_ours(one: Surveyed) -> bool:
    return one.listed.complete and one.listed.routine


def _candidate(one: Surveyed) -> Candidate:
    assert one.name is not None  # noqa: S101  # only archives with routine names are asked about
    return Candidate(
        key=one.info.key,
        database=one.name.stem,
        moment=one.name.moment,
        rehearsed=one.listed.rehearsed,
    )


def _plan(
    one: Surveyed, decisions: Mapping[str, Decision], *, now: datetime, incomplete: bool
) -> PrunedArchive:
    decision = decisions.get(one.info.key) or _left_alone(one, now, incomplete=incomplete)
    return PrunedArchive(archive=one.listed, keep=decision.keep, reasons=decision.reasons)


def _left_alone(one: Surveyed, now: datetime, *, incomplete: bool) -> Decision:
    def keep(reason: str) -> Decision:
        return Decision(keep=True, reasons=(reason,))

    listed = one.listed
    if one.name is None:
        return keep("named by hand")
    if listed.state == "unreadable":
        return keep("cannot be read")
    if listed.state == "complete":
        return keep(f"its name says {one.name.stem}, but it holds {listed.database}")
    if not incomplete:
        return keep("incomplete, and nobody asked to delete such archives")
    if now - max(one.info.modified, one.name.moment) <= INCOMPLETE_AGE:
        return keep("incomplete, but not older than a day")
    return Decision(keep=False, reasons=("incomplete, and older than a day",))


def _delete_all(location: Location, found: Survey, result: PruneResult) -> PruneResult:
    """Delete what the plan gives up; whatever has changed since it was looked at is left alone."""
    surveyed = {one.info.key: one for one in found.archives}
    going = [one.archive.name for one in result.archives if not one.keep]
    if not going and not found.orphans:
        return result
    now_there = {info.key: info for info in location.storage.list("", recursive=False)}

    def delete(key: str) -> tuple[str, str | None]:
        return key, _delete(location, surveyed[key], now_there.get(key))

    errors = dict(ThreadExecutor(JOBS).run(delete, going))
    orphans = {info.key: _delete_object(location, info.key) for info in found.orphans}
    done = tuple(_done(one, errors) for one in result.archives)
    stays = [one.archive.archive for one in done if one.error is not None]
    stays += [location.join(key).display for key, error in orphans.items() if error is not None]
    return replace(
        result,
        archives=done,
        deleted=sum(one.deleted for one in done),
        freed_bytes=sum(one.archive.bytes for one in done if one.deleted),
        failed=tuple(stays),
    )


def _done(one: PrunedArchive, errors: Mapping[str, str | None]) -> PrunedArchive:
    if one.keep:
        return one
    error = errors[one.archive.name]
    return replace(one, deleted=error is None, error=error)


def _delete(location: Location, one: Surveyed, there: ObjectInfo | None) -> str | None:
    """Delete an archive, then its attestation; says why not, or nothing."""
    if there is not None and there.version != one.info.version:
        return "it was replaced meanwhile"
    # In this order: an archive without its note could lose the protection that the note gives.
    error = _delete_object(location, one.info.key) if there is not None else None
    if error is None and one.note is not None:
        error = _delete_object(location, one.note.key)
    return error


def _delete_object(location: Location, key: str) -> str | None:
    try:
        location.storage.delete(key)
    except StorageError as error:
        return error.message
    return None
