"""What `list` and `prune` report: plain values that the command line prints and ``--json`` encodes.

Must not know: how archives are found, or which rules decide.
"""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Literal

import msgspec

from dbsync.pipeline.attestation import Attestation
from dbsync.pipeline.retention import RetentionPolicy, find_zone

ArchiveState = Literal["complete", "incomplete", "unreadable"]


class ListedArchive(msgspec.Struct, frozen=True, kw_only=True):
    """One archive of a folder; what is None is not known without reading, or without a key."""

    archive: str
    """Its full name, which every command takes."""
    name: str
    """Its name in the folder."""
    routine: bool
    """The name is one that `dbsync export` gives in a folder, and fits what is in the archive."""
    time: datetime | None
    """When its export began, in UTC."""
    database: str | None
    engine: str | None = None
    engine_version: str | None = None
    tables: int | None = None
    rows: int | None = None
    bytes: int
    state: ArchiveState
    """Incomplete: cut off, damaged at its ends, or no archive. Unreadable: written by a later
    version, or the store refused to read it."""
    problem: str | None = None
    """Why it is not complete."""
    encrypted: bool = False
    archive_id: str | None = None
    rehearsal: Attestation | None = None
    """How its last rehearsal ended; None where it was never rehearsed."""

    @property
    def complete(self) -> bool:
        """Say whether it was published whole. Only `verify` reads all of it."""
        return self.state == "complete"

    @property
    def rehearsed(self) -> bool:
        """Say whether it is complete and its last rehearsal passed."""
        return self.complete and self.rehearsal is not None and self.rehearsal.passed


class PrunedArchive(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one archive, or with ``dry_run`` would become of it."""

    archive: ListedArchive
    keep: bool
    reasons: tuple[str, ...]
    deleted: bool = False
    error: str | None = None
    """Why it could not be deleted, or only in part."""


class PruneResult(msgspec.Struct, frozen=True, kw_only=True):
    """A finished pruning, or with ``dry_run`` what it would do; newest archives first."""

    location: str
    policy: RetentionPolicy
    timezone: str
    archives: tuple[PrunedArchive, ...]
    dry_run: bool
    orphans: tuple[str, ...] = ()
    """Full names of attestations whose archives are gone; they go too."""
    deleted: int = 0
    freed_bytes: int = 0
    failed: tuple[str, ...] = ()
    """Full names of objects that were to go and are still there."""

    @property
    def zone(self) -> tzinfo:
        """The time zone in which days began."""
        return find_zone(self.timezone)

    @property
    def ok(self) -> bool:
        """Say whether everything that was to be deleted is gone."""
        return not self.failed
