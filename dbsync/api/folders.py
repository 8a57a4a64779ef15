"""Folders of archives: what lies in them, and what may go.

Must not know: the command line.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from dbsync.pipeline.inventory import ListedArchive, PruneResult
from dbsync.pipeline.retention import RetentionPolicy
from dbsync.storage.location import open_folder
from dbsync.storage.options import StorageOptions


def list_archives(
    location: str,
    *,
    database: str | None = None,
    identities: Sequence[str] = (),
    storage_options: StorageOptions | None = None,
) -> tuple[ListedArchive, ...]:
    """Describe every archive in a folder, or those of `database`, the newest first.

    Reads the two ends of each, several at once; see `ListedArchive` for what is then known. One
    that is damaged or cannot be read is in the list, with the reason. Encrypted ones that none of
    `identities` opens are in it too, with what can be known of them.
    """
    from dbsync.pipeline import keys, listing

    found = listing.survey(
        open_folder(location, storage_options), database, keys.read_identities(identities)
    )
    return tuple(one.listed for one in found.archives)


def prune(
    location: str,
    policy: RetentionPolicy,
    *,
    database: str | None = None,
    timezone: str = "UTC",
    incomplete: bool = False,
    dry_run: bool = False,
    now: datetime | None = None,
    storage_options: StorageOptions | None = None,
) -> PruneResult:
    """Delete the archives in a folder, or those of `database`, that no rule of `policy` keeps.

    `dbsync.pipeline.retention` says what the rules mean; days begin in `timezone`, and age is
    counted back from `now`, which carries a time zone. The newest complete archive of each
    database and the newest that passed a rehearsal always stay, and so does everything that dbsync
    has not named itself. `incomplete` also deletes what is not whole and older than a day.
    `dry_run` only decides. What could not be deleted is in `PruneResult.failed`, not raised.
    """
    from dbsync.pipeline import pruner

    return pruner.prune(
        open_folder(location, storage_options),
        policy,
        database=database,
        timezone=timezone,
        now=now or datetime.now(UTC),
        incomplete=incomplete,
        dry_run=dry_run,
    )


def check_location(location: str, *, storage_options: StorageOptions | None = None) -> None:
    """Look whether a folder of archives can be listed and written to; leaves nothing there."""
    from dbsync.pipeline import probe

    probe.probe_folder(location, storage_options)
