"""The library: what every command calls, with the same names and defaults.

Each function opens what it needs, does one job and closes everything again. All raise the errors
of `dbsync.errors`; `on_event` receives `dbsync.pipeline.events`. Nothing here prints or reads the
environment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import BinaryIO, Literal

from dbsync.connectors.base import CheckItem, ConflictMode, ExistingMode
from dbsync.pipeline.events import OnEvent, ignore
from dbsync.pipeline.results import (
    ArchiveInfo,
    CloneResult,
    ExportResult,
    ExtractResult,
    ImportResult,
    VerifyResult,
)

Where = str | Mapping[str, str]
Columns = Mapping[str, Sequence[str]]


def export_database(
    url: str,
    archive: str | BinaryIO,
    *,
    tables: Sequence[str] = (),
    exclude_tables: Sequence[str] = (),
    columns: Columns | None = None,
    where: Where | None = None,
    schema: str | None = None,
    include_schema: bool = True,
    chunk_bytes: int = 64 << 20,
    compression_level: int = 3,
    jobs: int | None = None,
    overwrite_archive: bool = False,
    strict: bool = False,
    dry_run: bool = False,
    on_event: OnEvent = ignore,
) -> ExportResult:
    raise RuntimeError


def import_archive(
    archive: str | BinaryIO,
    url: str,
    *,
    tables: Sequence[str] = (),
    exclude_tables: Sequence[str] = (),
    schema: str | None = None,
    include_schema: bool = False,
    ddl: Literal["auto", "native", "portable"] = "auto",
    on_conflict: ConflictMode = "update",
    conflict_keys: Mapping[str, Sequence[str]] | None = None,
    existing: ExistingMode = "append",
    single_transaction: bool = False,
    strict: bool = False,
    resume: bool = True,
    jobs: int | None = None,
    dry_run: bool = False,
    on_event: OnEvent = ignore,
) -> ImportResult:
    raise RuntimeError


def clone(
    source: str,
    target: str,
    *,
    tables: Sequence[str] = (),
    exclude_tables: Sequence[str] = (),
    columns: Columns | None = None,
    where: Where | None = None,
    schema: str | None = None,
    include_schema: bool = False,
    ddl: Literal["auto", "native", "portable"] = "auto",
    on_conflict: ConflictMode = "update",
    conflict_keys: Mapping[str, Sequence[str]] | None = None,
    existing: ExistingMode = "append",
    single_transaction: bool = False,
    strict: bool = False,
    keep: str | None = None,
    overwrite_archive: bool = False,
    chunk_bytes: int = 64 << 20,
    compression_level: int | None = None,
    jobs: int | None = None,
    dry_run: bool = False,
    on_event: OnEvent = ignore,
) -> CloneResult:
    raise RuntimeError


def inspect(archive: str | BinaryIO) -> ArchiveInfo:
    raise RuntimeError


def verify(
    archive: str | BinaryIO,
    *,
    against: str | None = None,
    tables: Sequence[str] = (),
    schema: str | None = None,
    jobs: int | None = None,
    on_event: OnEvent = ignore,
) -> VerifyResult:
    raise RuntimeError


def extract(
    archive: str | BinaryIO,
    directory: str,
    *,
    tables: Sequence[str] = (),
    exclude_tables: Sequence[str] = (),
    on_event: OnEvent = ignore,
) -> ExtractResult:
    raise RuntimeError


def check(url: str) -> tuple[CheckItem, ...]:
    raise RuntimeError
