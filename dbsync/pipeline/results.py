"""What a finished run reports: plain values that the command line prints and ``--json`` encodes."""

from __future__ import annotations

from typing import Literal

import msgspec

from dbsync.connectors.base import Consistency, Counts, ImportPlan, TableFailure
from dbsync.model.schema import Loss, Name


class TableResult(msgspec.Struct, frozen=True, kw_only=True):
    """One table of a finished export or import."""

    table: Name
    rows: int
    bytes: int = 0
    chunks: int = 0
    action: str = "export"
    counts: Counts | None = None
    """Imports only."""


class ExportResult(msgspec.Struct, frozen=True, kw_only=True):
    """A finished export, or with ``dry_run`` what it would read (rows are then estimates)."""

    archive: str | None
    archive_id: str
    database: str = ""
    """Its name, by which its archives in a folder are told from those of others."""
    tables: tuple[TableResult, ...]
    consistency: Consistency
    losses: tuple[Loss, ...] = ()
    warnings: tuple[str, ...] = ()
    rows: int = 0
    bytes: int = 0
    seconds: float = 0.0
    dry_run: bool = False


class ImportResult(msgspec.Struct, frozen=True, kw_only=True):
    """A finished import, or with ``dry_run`` only its plan."""

    archive: str | None = None
    """Its full name: of a folder, the archive that was taken. None for the import of a clone."""
    archive_id: str
    plan: ImportPlan
    tables: tuple[TableResult, ...] = ()
    rows: int = 0
    resumed_chunks: int = 0
    seconds: float = 0.0
    dry_run: bool = False
    separately: bool = False
    """Each table by itself, as the target's tables are independent."""
    failed: tuple[TableFailure, ...] = ()
    """Then: the tables that did not arrive, in the order in which they failed; nothing of them is
    visible. With ``dry_run`` those that would be refused."""
    verified: Comparison | None = None
    """With ``verify``: what came of comparing the target with the archive."""


class CloneResult(msgspec.Struct, frozen=True, kw_only=True):
    """A finished clone: both halves."""

    exported: ExportResult
    imported: ImportResult
    verified: Comparison | None = None
    """With ``verify``: what came of comparing the target with what was exported."""


class ArchiveTable(msgspec.Struct, frozen=True, kw_only=True):
    """One table as `inspect` shows it."""

    table: Name
    rows: int
    bytes: int
    """Stored bytes of its chunks."""
    chunks: int
    columns: tuple[tuple[str, str, str], ...]
    """Name, logical type, native type."""
    primary_key: tuple[str, ...] = ()
    where: str | None = None


class ArchiveInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What the tail of an archive says about it."""

    archive: str
    archive_id: str
    format_version: str
    writer: str
    started: str
    finished: str
    engine: str
    engine_version: str
    database: str
    consistency: Consistency
    size: int
    rows: int
    tables: tuple[ArchiveTable, ...]
    objects: tuple[tuple[str, int], ...]
    """Kind of native object or sequence, and how many."""
    features: tuple[str, ...] = ()
    losses: tuple[Loss, ...] = ()
    warnings: tuple[str, ...] = ()


class RowDifference(msgspec.Struct, frozen=True, kw_only=True):
    """One row that differs, by its key: column to value, as text."""

    key: dict[str, str]
    difference: Literal["only_archive", "only_database", "differs"]
    columns: tuple[str, ...] = ()
    """Where both sides have the key: the columns that differ, as the archive calls them."""


class RangeDifference(msgspec.Struct, frozen=True, kw_only=True):
    """Keys from `first` to `last` among which rows differ.

    `first` and `last` differ themselves, unless `examined` is false: then only digests were
    compared, the range may be wider than the difference, and the counts of differing rows are 0.
    """

    first: dict[str, str]
    last: dict[str, str]
    rows_archive: int
    """All rows of the range."""
    rows_database: int
    only_archive: int = 0
    only_database: int = 0
    differing: int = 0
    """Keys on both sides with other values."""
    columns: tuple[str, ...] = ()
    examples: tuple[RowDifference, ...] = ()
    examined: bool = True


class TableDifference(msgspec.Struct, frozen=True, kw_only=True):
    """A table whose content differs. For a clone, read "archive" as what was exported."""

    table: Name
    reason: str
    rows_archive: int
    rows_database: int
    only_archive: int = 0
    only_database: int = 0
    differing: int = 0
    complete: bool = True
    """False where some ranges hold too many rows to look at each: then the three counts above are
    of the others."""
    examples: tuple[str, ...] = ()
    """A few rows that differ, by their key, for people."""
    ranges: tuple[RangeDifference, ...] = ()
    """In the order of the keys; the first ones where there are very many. Empty for a table
    without a key."""
    ranges_total: int = 0


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a database compared with what was loaded into it."""

    against: str
    tables: int
    rows: int
    """Rows that were expected, of the tables that were compared."""
    not_compared: tuple[Name, ...] = ()
    """Tables that the import left alone."""
    differences: tuple[TableDifference, ...] = ()
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Say whether everything that was compared is equal."""
        return not self.differences


class VerifyResult(msgspec.Struct, frozen=True, kw_only=True):
    """What `verify` checked; `ok` is false only where ``against`` found a difference."""

    archive: str
    archive_id: str
    members: int
    chunks: int
    rows: int
    bytes: int
    against: str | None = None
    differences: tuple[TableDifference, ...] = ()
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Say whether everything that was compared is equal."""
        return not self.differences


class RehearsalResult(msgspec.Struct, frozen=True, kw_only=True):
    """How an archive came back when it was restored into a throwaway database."""

    archive: str
    archive_id: str
    against: str
    """Engine and version of that database."""
    ok: bool
    """Everything that was rehearsed came back as it was."""
    differences: tuple[str, ...] = ()
    """What did not, a line each."""
    tables_different: tuple[TableDifference, ...] = ()
    """Rows that differ, in full."""
    not_rehearsed: tuple[str, ...] = ()
    """What that database cannot hold, a line each; no fault of the archive."""
    tables: int
    rows: int
    seconds: float = 0.0
    attestation: str | None = None
    """Where the outcome was written; None where it was not."""


class ParquetFile(msgspec.Struct, frozen=True, kw_only=True):
    """One Parquet file of a table."""

    path: str
    rows: int
    bytes: int


class ParquetResult(msgspec.Struct, frozen=True, kw_only=True):
    """The Parquet files of one table, all with the same columns."""

    table: Name
    directory: str
    """The folder that holds the files and nothing else."""
    files: tuple[ParquetFile, ...]
    columns: tuple[tuple[str, str, str], ...]
    """Name, logical type, native type."""
    consistency: Consistency
    rows: int
    bytes: int
    seconds: float = 0.0


class ExtractResult(msgspec.Struct, frozen=True, kw_only=True):
    """The files that `extract` wrote: table, path, rows."""

    directory: str
    files: tuple[tuple[Name, str, int], ...]
