"""Settings of `dbsync list` and `dbsync prune`, and the policy that `dbsync schedule` shares.

Must not know: where a `Given` came from, or what is done with the settings.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any

from dbsync.config.given import Given, archived_database
from dbsync.config.shared import identity_files
from dbsync.config.stores import storage_options
from dbsync.config.text import parse_duration
from dbsync.errors import UsageError
from dbsync.pipeline.retention import RetentionPolicy
from dbsync.storage.options import StorageOptions


@dataclass(frozen=True, kw_only=True)
class _FolderSettings:
    location: str
    database: str | None
    storage_options: StorageOptions

    def arguments(self) -> dict[str, Any]:
        """Return the keyword arguments for the library function."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True, kw_only=True)
class ListSettings(_FolderSettings):
    """Arguments of `dbsync.list_archives`."""

    identities: tuple[str, ...]

    @classmethod
    def of(cls, given: Given) -> ListSettings:
        """Resolve what was given; raises `UsageError`."""
        return cls(
            location=_location(given),
            database=archived_database(given),
            identities=identity_files(given),
            storage_options=storage_options(given),
        )


@dataclass(frozen=True, kw_only=True)
class PruneSettings(_FolderSettings):
    """Arguments of `dbsync.prune`."""

    policy: RetentionPolicy
    timezone: str
    incomplete: bool
    dry_run: bool

    @classmethod
    def of(cls, given: Given) -> PruneSettings:
        """Resolve what was given; raises `UsageError` also where no rule is given."""
        policy = retention_policy(given)
        if policy is None:
            raise UsageError(
                "no policy says which archives to keep",
                hint="give at least one of --keep-last, --keep-daily, --keep-weekly, "
                "--keep-monthly, --keep-yearly and --older-than, or set their variables",
            )
        return cls(
            location=_location(given),
            database=archived_database(given),
            storage_options=storage_options(given),
            policy=policy,
            timezone=given.text("timezone") or "UTC",
            incomplete=given.flag("incomplete"),
            dry_run=given.flag("dry_run") or not given.flag("yes"),
        )


def retention_policy(given: Given) -> RetentionPolicy | None:
    """Read the rules that say what to keep; None where there is none. Raises `UsageError`."""
    older_than = given.text("older_than")
    policy = RetentionPolicy(
        keep_last=given.number("keep_last") or 0,
        keep_daily=given.number("keep_daily") or 0,
        keep_weekly=given.number("keep_weekly") or 0,
        keep_monthly=given.number("keep_monthly") or 0,
        keep_yearly=given.number("keep_yearly") or 0,
        older_than=parse_duration(
            older_than, given.label("older_than"), minimum=timedelta(seconds=1)
        )
        if older_than is not None
        else None,
    )
    return None if policy.is_empty else policy


def _location(given: Given) -> str:
    location = given.text("archive")
    if location is None:
        raise UsageError(
            "nothing says which folder of archives",
            hint="name it, such as backups/ or s3://bucket/backups/, or set DBSYNC_ARCHIVE",
        )
    return location
