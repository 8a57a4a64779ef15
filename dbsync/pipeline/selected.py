"""An archive seen through a choice of columns and rows: the part that an import asks for.

What lives here: which columns and chunks are read, which rows are handed on, and what is left of
a table's definition. Must not know: databases, how conditions are written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import msgspec
import pyarrow as pa
from msgspec.structs import replace

from dbsync.archive import Archive, ChunkRef
from dbsync.errors import UsageError
from dbsync.model.schema import Column, Database, Loss, NativeObject, Table
from dbsync.model.selection import Selection
from dbsync.pipeline.conditions import Condition


def selected(archive: Archive, selection: Selection) -> Archive:
    """Return `archive` with the columns and rows of `selection` only, whose tables are all kept.

    Conditions are those of `dbsync.pipeline.conditions`. Raises `UsageError`, naming table and
    column, for a column that a table does not have and a condition that does not fit it. Without
    columns and conditions, returns `archive` itself.
    """
    if not selection.columns and not selection.where:
        return archive
    parts: dict[int, _Part] = {}
    for index, table in enumerate(archive.database.tables):
        if not selection.selects(table.name):
            continue
        columns, text = selection.columns_of(table.name), selection.where_of(table.name)
        if columns is None and text is None:
            continue
        chosen = None if columns is None else _chosen(table, columns)
        parts[index] = _Part(chosen, None if text is None else Condition(text, table))
    return _SelectedArchive(archive, parts)


def import_id(archive: Archive) -> str:
    """Name an import for the ledger: another choice of columns or rows is another import."""
    archive_id = archive.head.archive_id
    if not isinstance(archive, _SelectedArchive) or not archive.parts:
        return archive_id
    choice = [
        (index, part.columns, part.condition.text if part.condition else None)
        for index, part in sorted(archive.parts.items())
    ]
    digest = hashlib.sha256(msgspec.json.encode((archive_id, choice))).hexdigest()
    return f"{archive_id[:39]}.{digest[:24]}"  # the ledger has room for 64 characters


@dataclass(frozen=True, slots=True)
class _Part:
    """What is taken of one table; None for everything."""

    columns: tuple[str, ...] | None
    condition: Condition | None

    def read(self) -> tuple[str, ...] | None:
        """Name the columns that are read, those of the condition included."""
        if self.columns is None:
            return None
        wanted = self.condition.columns if self.condition else ()
        return tuple(dict.fromkeys((*self.columns, *wanted)))


class _SelectedArchive(Archive):
    """Hands out narrowed tables, and only chunks and rows that may be wanted."""

    def __init__(self, archive: Archive, parts: dict[int, _Part]) -> None:
        self._archive = archive
        self.parts = parts
        self.database = _narrowed(archive.database, parts)
        self._take_over()

    def _take_over(self) -> None:
        archive = self._archive
        self.head, self.manifest, self.entries = archive.head, archive.manifest, archive.entries
        self.sequential, self.size, self.remote = archive.sequential, archive.size, archive.remote
        self.manifest_sha256, self.encrypted = archive.manifest_sha256, archive.encrypted

    def chunks(self, tables: Container[int] | None = None) -> Iterator[ChunkRef]:
        for chunk in self._archive.chunks(tables):
            part = self.parts.get(chunk.table_index)
            if part is None:
                yield chunk
            elif _may_match(part, chunk):
                yield _SelectedChunk.of(chunk, part)
        self._take_over()  # of a stream, more is known now

    def load_together(self, chunks: Sequence[ChunkRef]) -> list[pa.Buffer]:
        return self._archive.load_together(chunks)

    def check_others(self) -> None:
        self._archive.check_others()


def _may_match(part: _Part, chunk: ChunkRef) -> bool:
    if part.condition is None or chunk.key_range is None:
        return True
    return part.condition.may_match(*chunk.key_range)


@dataclass(frozen=True, slots=True, kw_only=True)
class _SelectedChunk(ChunkRef):
    """A chunk of which some columns and rows are handed out."""

    part: _Part

    @classmethod
    def of(cls, chunk: ChunkRef, part: _Part) -> _SelectedChunk:
        """Narrow a chunk."""
        known: dict[str, Any] = {f.name: getattr(chunk, f.name) for f in fields(ChunkRef)}
        known |= {"only": part.read(), "part": part}
        return cls(**known)

    @property
    def rows_known(self) -> int | None:
        return self.rows if self.part.condition is None else None

    def narrowed(self, columns: Sequence[str], *, odd: Sequence[str] = ()) -> ChunkRef:
        return ChunkRef.narrowed(self, self._with_condition(columns), odd=odd)

    def batches(
        self, columns: Sequence[str] | None = None, *, odd: Sequence[str] = ()
    ) -> Iterator[pa.RecordBatch]:
        wanted = self.part.columns if columns is None else columns
        condition = self.part.condition
        if condition is None:
            yield from ChunkRef.batches(self, wanted, odd=odd)
            return
        read = None if wanted is None else self._with_condition(wanted)
        for batch in ChunkRef.batches(self, read, odd=odd):
            found = batch.filter(condition.mask(batch))
            yield found if wanted is None else self._project(found, wanted, odd)

    def check(self) -> None:
        if self.part.condition is None:
            ChunkRef.check(self)
            return
        for _ in self.batches([]):
            pass

    def _with_condition(self, columns: Sequence[str]) -> list[str]:
        more = self.part.condition.columns if self.part.condition else ()
        return list(dict.fromkeys((*columns, *more)))

    def _project(
        self, batch: pa.RecordBatch, wanted: Sequence[str], odd: Sequence[str]
    ) -> pa.RecordBatch:
        """Leave out the columns that only the condition needed."""
        present = set(batch.schema.names)

        def keeps(column: Column) -> bool:
            return column.name in wanted or (column.name in odd and column.exceptions in present)

        kept = {
            name
            for column in self.table.columns
            if keeps(column)
            for name in (column.name, column.exceptions)
        }
        return batch.select([name for name in batch.schema.names if name in kept])


def _chosen(table: Table, columns: Sequence[str]) -> tuple[str, ...]:
    known = [column.name for column in table.columns]
    for name in columns:
        if name not in known:
            raise UsageError(
                f"table {table.name} has no column {name!r}, which --columns names",
                hint=f"it has {', '.join(known)}",
            )
    return tuple(name for name in known if name in columns)


def _narrowed(database: Database, parts: dict[int, _Part]) -> Database:
    """Take columns out of tables, and what speaks of them; each such object is a loss."""
    losses = list(database.losses)
    tables = list(database.tables)
    partial: set[str] = set()
    for index, part in parts.items():
        table = tables[index]
        if part.condition is not None:
            both = f"({table.where}) AND ({part.condition.text})"
            where = part.condition.text if table.where is None else both
            table = replace(table, where=where, rows_estimate=None, bytes_estimate=None)
        if part.columns is not None and len(part.columns) < len(table.columns):
            partial.add(str(table.name))
            table = _with_columns(table, frozenset(part.columns), losses)
        tables[index] = table
    return replace(
        database,
        tables=tuple(tables),
        native=tuple(item for item in database.native if not _speaks_of(item, partial)),
        losses=tuple(losses),
    )


def _speaks_of(item: NativeObject, partial: set[str]) -> bool:
    """Say whether a native object belongs to a table that has lost columns."""
    return item.table is not None and str(item.table) in partial


def _with_columns(table: Table, kept: frozenset[str], losses: list[Loss]) -> Table:
    def keeps(kind: str, name: str | None, columns: Sequence[str | None]) -> bool:
        gone = [column for column in columns if column not in kept]
        if gone:
            shown = ", ".join(column or "an expression" for column in gone)
            losses.append(
                Loss(
                    object=f"{kind} {name or ''}".rstrip() + f" of table {table.name}",
                    reason=f"column {shown} was not chosen",
                )
            )
        return not gone

    losses.extend(
        Loss(
            object=f"check {check.name or check.expression} of table {table.name}",
            reason="some columns were not chosen",
        )
        for check in table.checks
    )
    key = table.primary_key
    return replace(
        table,
        columns=tuple(column for column in table.columns if column.name in kept),
        primary_key=key if key and keeps("primary key", key.name, key.columns) else None,
        uniques=tuple(u for u in table.uniques if keeps("unique key", u.name, u.columns)),
        foreign_keys=tuple(
            fk for fk in table.foreign_keys if keeps("foreign key", fk.name, fk.columns)
        ),
        checks=(),
        indexes=tuple(
            index
            for index in table.indexes
            if keeps("index", index.name, [part.column for part in index.columns])
        ),
        all_columns=False,
    )
