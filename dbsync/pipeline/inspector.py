"""What an archive says about itself, and its chunks as plain Parquet files.

Must not know: databases, and how archives are laid out.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from dbsync.archive import Archive
from dbsync.connectors.base import Consistency
from dbsync.errors import ConflictError, StorageError
from dbsync.model.schema import Database, Name
from dbsync.model.selection import Selection
from dbsync.pipeline.events import ChunkDone, OnEvent, Planned
from dbsync.pipeline.parquet_files import file_name, folder_names, write_file
from dbsync.pipeline.restrict import restrict
from dbsync.pipeline.results import ArchiveInfo, ArchiveTable, ExtractResult


def describe_archive(archive: Archive, place: str) -> ArchiveInfo:
    """Gather what `inspect` shows; from a pipe this reads the archive to its verified end."""
    if archive.sequential:
        for _ in archive.chunks():
            pass
    manifest, head, database = archive.manifest, archive.head, archive.database
    assert manifest is not None  # noqa: S101  # known at once at random, or after the last chunk
    totals = {entry.table_index: entry for entry in manifest.tables}
    tables = tuple(
        ArchiveTable(
            table=table.name,
            rows=totals[index].rows,
            bytes=totals[index].bytes,
            chunks=totals[index].chunks,
            columns=tuple((c.name, str(c.type), c.native_type) for c in table.columns),
            primary_key=table.primary_key.columns if table.primary_key else (),
            where=table.where,
        )
        for index, table in enumerate(database.tables)
    )
    return ArchiveInfo(
        archive=place,
        archive_id=head.archive_id,
        format_version=head.version,
        writer=head.writer,
        started=head.started,
        finished=manifest.finished,
        engine=database.engine,
        engine_version=database.version,
        database=database.name,
        consistency=Consistency(
            level=head.consistency.level,
            token=head.consistency.token,
            note=head.consistency.note,
        ),
        size=archive.size,
        rows=sum(table.rows for table in tables),
        tables=tables,
        objects=_objects(database),
        features=tuple(f.name for f in (*head.features_required, *head.features_optional)),
        losses=database.losses,
        warnings=manifest.warnings,
    )


def _objects(database: Database) -> tuple[tuple[str, int], ...]:
    kinds = Counter(item.kind.lower() for item in database.native)
    kinds["sequence"] = max(kinds["sequence"], len(database.sequences))
    return tuple(sorted((kind, count) for kind, count in kinds.items() if count))


def extract_parquet(
    archive: Archive, directory: str, selection: Selection, on_event: OnEvent
) -> ExtractResult:
    """Write each table's chunks to ``directory/<table>/<number>.parquet``.

    The folder must be new or empty (`ConflictError`). Files appear under their final name only
    when whole, each checked against its digest. Folder names keep letters, digits, ``_``, ``-``
    and dots of the table's name; the result says which is which.
    """
    root = Path(directory)
    database = restrict(archive.database, selection)
    selected = {table.name for table in database.tables}
    folders = folder_names(table.name for table in archive.database.tables)
    try:
        root.mkdir(parents=True, exist_ok=True)
        if any(root.iterdir()):
            raise ConflictError(f"{directory} is not empty", hint="choose a new or an empty folder")
        on_event(Planned(command="extract", tables=tuple((n, None) for n in sorted(selected))))
        files: list[tuple[Name, str, int]] = []
        for name in sorted(selected):
            (root / folders[name]).mkdir()
        wanted = {i for i, t in enumerate(archive.database.tables) if t.name in selected}
        for chunk in archive.chunks(wanted):
            if chunk.table_index not in wanted:
                continue
            table = archive.database.tables[chunk.table_index]
            path = root / folders[table.name] / file_name(chunk.number)
            write_file(path, chunk.load())
            rows = chunk.rows or 0
            files.append((table.name, str(path), rows))
            on_event(ChunkDone(table=table.name, chunk=chunk.number, rows=rows, bytes=chunk.size))
    except OSError as error:
        raise StorageError(
            f"{directory}: {error.strerror}", hint="choose a folder that can be written"
        ) from error
    return ExtractResult(directory=directory, files=tuple(files))
