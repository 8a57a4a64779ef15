"""A database into files: an archive, or the Parquet files of one table.

Must not know: the command line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from glob import escape
from pathlib import Path
from typing import BinaryIO

from msgspec.structs import replace

from dbsync.api.arguments import LEDGER, Columns, Where, readers, select
from dbsync.connectors.options import TreasureDataOptions
from dbsync.connectors.registry import open_source
from dbsync.pipeline import access
from dbsync.pipeline.events import OnEvent, ignore
from dbsync.pipeline.results import ExportResult, ParquetResult
from dbsync.storage.options import StorageOptions


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
    chunk_bytes: int = 32 << 20,
    compression_level: int = 3,
    jobs: int | None = None,
    overwrite_archive: bool = False,
    strict: bool = False,
    dry_run: bool = False,
    encrypt_to: Sequence[str] = (),
    storage_options: StorageOptions | None = None,
    treasure_data: TreasureDataOptions | None = None,
    on_event: OnEvent = ignore,
) -> ExportResult:
    """Write a database, or the selected part of it, into one archive.

    All tables are read as of one moment where the engine can do that; `ExportResult.consistency`
    says what was achieved. `tables` and `exclude_tables` are globs; `columns` and `where` map a
    table pattern to columns or to a condition in the database's dialect, and a plain string as
    `where` applies to every selected table. `chunk_bytes` counts Arrow memory; peak memory is about
    twice (`jobs` + 1) chunks. Nothing is visible under the archive's name unless it is complete;
    an existing archive raises `ConflictError` unless `overwrite_archive`. `strict` refuses with
    `LossError` before the archive is begun when something cannot be carried. `encrypt_to` names
    age public keys (``age1...``), or files of them (``@FILE``); the archive is then encrypted.
    """
    from dbsync.pipeline import exporter, keys

    options = exporter.ExportOptions(
        selection=select(tables, (*exclude_tables, LEDGER), columns, where),
        include_schema=include_schema,
        chunk_bytes=chunk_bytes,
        compression_level=compression_level,
        jobs=readers(url, jobs, treasure_data),
        strict=strict,
        encryption=keys.read_recipients(encrypt_to),
    )
    with (
        closing(
            open_source(url, schema=schema, jobs=options.jobs, treasure_data=treasure_data)
        ) as source,
        source.snapshot(options.selection, include_schema=include_schema) as snapshot,
    ):
        place, opened = access.writing(
            archive,
            database=snapshot.database.name,
            overwrite=overwrite_archive,
            size_hint=exporter.estimated_bytes(snapshot),
            storage_options=storage_options,
        )
        exporter.plan_export(snapshot, options, on_event)
        if dry_run:
            return exporter.dry_run(snapshot, place)
        with opened as out:
            result = exporter.export_snapshot(snapshot, out.write, options, on_event)
    return replace(result, archive=place)


def table_to_parquet(
    url: str,
    table: str,
    directory: str,
    *,
    columns: Sequence[str] | Columns | None = None,
    where: Where | None = None,
    schema: str | None = None,
    chunk_bytes: int = 32 << 20,
    compression_level: int = 3,
    jobs: int | None = None,
    overwrite: bool = False,
    treasure_data: TreasureDataOptions | None = None,
    on_event: OnEvent = ignore,
) -> ParquetResult:
    """Write one table as Parquet files into the folder ``directory/<table>/``.

    `table` is a name or ``schema.name``, no glob; the folder is called as it is written. `where`
    is a condition in the database's dialect. The files are typed as the table's definition says,
    and an empty table gives one file without rows. Each holds about `chunk_bytes` of Arrow memory.
    The folder appears when all files are whole; one that holds a set already raises
    `ConflictError` unless `overwrite`, which replaces the whole set, and nothing but a set.
    """
    from dbsync.pipeline import parquet_files, to_parquet

    pattern = escape(table)
    named = columns if isinstance(columns, Mapping) or columns is None else {pattern: columns}
    options = to_parquet.ParquetOptions(
        chunk_bytes=chunk_bytes,
        compression_level=compression_level,
        jobs=readers(url, jobs, treasure_data),
        overwrite=overwrite,
    )
    with (
        closing(
            open_source(url, schema=schema, jobs=options.jobs, treasure_data=treasure_data)
        ) as source,
        source.snapshot(select([pattern], (), named, where), include_schema=False) as snapshot,
    ):
        found = to_parquet.only_table(snapshot, table)
        folder = Path(directory) / parquet_files.folder_name(table)
        return to_parquet.write_table(snapshot, found, folder, options, on_event)
