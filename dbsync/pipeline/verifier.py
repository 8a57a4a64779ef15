"""Proving an archive whole, and its rows equal to those of a database.

What lives here: the order of work. Must not know: how archives are laid out, SQL, how rows are
compared (`dbsync.pipeline.comparing`).
"""

from __future__ import annotations

import threading
from time import monotonic

from msgspec.structs import replace

from dbsync.archive import Archive, ChunkRef, verify_chunk
from dbsync.connectors.base import Source
from dbsync.errors import UsageError
from dbsync.model.schema import Database, Table
from dbsync.model.selection import Selection
from dbsync.pipeline.comparing.digests import RangeDigests
from dbsync.pipeline.comparing.match import matched_snapshot
from dbsync.pipeline.comparing.narrow import digest_part
from dbsync.pipeline.comparing.sides import ArchiveSide
from dbsync.pipeline.comparing.tables import DatabaseTables, Expected, bins_for
from dbsync.pipeline.events import ChunkDone, Finished, OnEvent, Planned
from dbsync.pipeline.executor import ThreadExecutor
from dbsync.pipeline.restrict import restrict
from dbsync.pipeline.results import VerifyResult


def verify_members(archive: Archive, place: str, *, jobs: int, on_event: OnEvent) -> VerifyResult:
    """Check every member, page and count; raises `ArchiveError` for a fault."""
    return _Verification(archive, frozenset(), jobs, on_event).run(place)


def verify_against(
    archive: Archive,
    place: str,
    source: Source,
    *,
    selection: Selection,
    schema: str | None,
    jobs: int,
    on_event: OnEvent,
) -> VerifyResult:
    """Check an archive, and compare the rows of the selected tables with a database.

    The database is read as of one moment, and only those of its tables that correspond to a
    selected one. Columns that the archive does not have are not looked at; its conditions apply
    to the database too where both are the same engine. Each side is read once whole, and a second
    time where it differs. Raises `UsageError` for an archive that cannot be read twice.
    """
    if archive.sequential:
        raise UsageError(
            "--against needs an archive that can be read at random, not a pipe",
            hint="write the archive to a file first",
        )
    started = monotonic()
    database = restrict(archive.database, selection)
    wanted = {table.name for table in database.tables}
    indexes = [i for i, table in enumerate(archive.database.tables) if table.name in wanted]
    verification = _Verification(archive, frozenset(indexes), jobs, on_event)
    result = verification.run(place)
    names = [table.name for table in database.tables]
    with matched_snapshot(source, names, schema) as (snapshot, found):
        there = snapshot.database
        tables = [archive.database.tables[index] for index in indexes]
        expected = [
            Expected(
                table=table,
                digests=verification.digests[index],
                side=verification.sides[index],
                found=found[table.name],
                where=_condition(table, database, there),
            )
            for index, table in zip(indexes, tables, strict=True)
        ]
        differences = DatabaseTables(snapshot, expected, jobs, on_event).differences()
    seconds = monotonic() - started
    on_event(Finished(rows=result.rows, bytes=result.bytes, seconds=seconds))
    return replace(
        result,
        against=f"{there.engine} {there.name}",
        differences=tuple(differences),
        seconds=seconds,
    )


def _condition(table: Table, archived: Database, there: Database) -> str | None:
    """Give the condition that chose the archive's rows, where the database can understand it."""
    return table.where if archived.engine == there.engine else None


class _Verification:
    """The pass over an archive: every chunk is checked, and those of some tables digested."""

    def __init__(self, archive: Archive, compared: frozenset[int], jobs: int, on_event: OnEvent):
        self._archive = archive
        self._jobs = jobs
        self._on_event = on_event
        self._lock = threading.Lock()
        self._limit = bins_for(len(compared))
        self.sides = {index: ArchiveSide(archive, index) for index in compared}
        self.digests = {
            index: RangeDigests(side.meaning.width, self._limit)
            for index, side in self.sides.items()
        }

    def run(self, place: str) -> VerifyResult:
        """Read everything; see `verify_members`."""
        archive, started = self._archive, monotonic()
        known = {t.number: t.rows for t in archive.manifest.tables} if archive.manifest else {}
        tables = archive.database.tables
        self._on_event(
            Planned(
                command="verify",
                tables=tuple((t.name, known.get(i)) for i, t in enumerate(tables, 1)),
            )
        )
        chunks = rows = 0
        for count in ThreadExecutor(self._jobs).run(self._check, archive.chunks()):
            chunks += 1
            rows += count
        archive.check_others()
        seconds = monotonic() - started
        self._on_event(Finished(rows=rows, bytes=archive.size, seconds=seconds))
        return VerifyResult(
            archive=place,
            archive_id=archive.head.archive_id,
            members=len(archive.entries),
            chunks=chunks,
            rows=rows,
            bytes=archive.size,
            seconds=seconds,
        )

    def _check(self, chunk: ChunkRef) -> int:
        index = chunk.table_index
        if index in self.digests:
            part = digest_part(
                self.sides[index].meaning, chunk.batches, self.digests[index].bits,
                limit=self._limit,
            )  # fmt: skip
            rows = part.total().count
        else:
            part, rows = None, verify_chunk(chunk)
        with self._lock:
            if part is not None:
                self.digests[index].merge(part)
            name = chunk.table.name
            self._on_event(ChunkDone(table=name, chunk=chunk.number, rows=rows, bytes=chunk.size))
        return rows
