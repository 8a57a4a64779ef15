"""Reading an archive once before the target is touched: digests, and values that would not fit.

What lives here: which chunks are looked at, counting misfits over whole tables, and naming a row
of each. Must not know: why a value fits or not, which the target's `Examiner` says.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import NamedTuple

import pyarrow as pa

from dbsync.archive import Archive, ChunkRef
from dbsync.connectors.base import Examiner, ImportPlan, Misfit, TablePlan, Target
from dbsync.errors import LossError
from dbsync.model.schema import Name, Table
from dbsync.model.values import MisfitError, key_text, misfit_text
from dbsync.pipeline.ahead import ahead
from dbsync.pipeline.executor import ThreadExecutor
from dbsync.pipeline.merging import MergingRows

HELD_BYTES = 64 << 20
"""Stored bytes of an import from a remote archive that are kept from the check to the load."""

_MOST_LINES = 20
"""Reasons shown; the number of the others is told."""


def check_before_writing(
    archive: Archive, plan: ImportPlan, target: Target, jobs: int, *, values_only: bool = False
) -> dict[int, ChunkRef]:
    """Read every chunk that will be loaded, so that nothing is written that has to be undone.

    Finds damage (`ArchiveError`) and values that the target cannot hold exactly: raises
    `LossError` with a line for each column and reason, how many values of the whole table, and
    the key of one row. With `values_only`, chunks without anything to examine are not read.

    A remote archive is not read twice: what is read of a small import is returned, by the chunks'
    positions, to be loaded from memory; of a large one only the columns to be examined are read,
    and each chunk's digest is checked when it is loaded.
    """
    examination, held = _examine(archive, plan, target, jobs, values_only=values_only)
    examination.raise_misfits()
    return held


class Unfit(NamedTuple):
    """Values of some columns of a table that a target cannot hold, as a line for people."""

    table: Name
    columns: tuple[str, ...]
    line: str


def find_unfit(
    archive: Archive, plan: ImportPlan, target: Target, jobs: int
) -> tuple[tuple[Unfit, ...], dict[int, ChunkRef]]:
    """Do what `check_before_writing` does, but return what cannot be held in place of raising."""
    examination, held = _examine(archive, plan, target, jobs, values_only=False)
    return tuple(examination.unfit()), held


def _examine(
    archive: Archive, plan: ImportPlan, target: Target, jobs: int, *, values_only: bool
) -> tuple[_Examination, dict[int, ChunkRef]]:
    names = {table.name: index for index, table in enumerate(archive.database.tables)}
    wanted = [t for t in plan.tables if t.action != "skip"]
    examiners = {names[t.source.name]: target.examiner(t) for t in wanted}
    examination = _Examination(archive, {i: e for i, e in examiners.items() if e is not None})
    read = examination.tables if values_only else set(examiners)
    held: dict[int, ChunkRef] = {}
    keep = not values_only and sum(c.size for c in archive.chunks(read)) <= HELD_BYTES
    chunks = archive.chunks(examination.tables if archive.remote and not keep else read)
    if archive.remote and not keep:
        chunks = map(examination.narrowed, chunks)
    with closing(ahead(archive, chunks)) as reading:

        def look(chunk: ChunkRef) -> None:
            examination.look(chunk)
            if archive.remote and keep and chunk.position is not None:
                held[chunk.position] = chunk

        for _ in ThreadExecutor(jobs).run(look, reading):
            pass
    return examination, held


def with_key(error: MisfitError, plan: TablePlan, batch: pa.RecordBatch) -> LossError:
    """Add the row's key to what a writer has refused."""
    key = _key(plan.source)
    message = misfit_text(
        error.table,
        error.column,
        error.count,
        error.reason,
        example=error.example,
        key=key_text(batch, error.first, plan.source, key) if key else "",
    )
    return LossError(message, hint=error.hint)


def _key(table: Table) -> tuple[str, ...]:
    """Give the columns that name a row; none where the archive does not have all of them."""
    key = table.primary_key.columns if table.primary_key else ()
    return key if set(key) <= {column.name for column in table.columns} else ()


@dataclass
class _Found:
    """Misfits of one column for one reason, and where the first of them in the archive is."""

    chunk: ChunkRef
    row: int
    misfit: Misfit
    count: int = 0

    def add(self, chunk: ChunkRef, row: int, misfit: Misfit) -> None:
        self.count += misfit.count
        if (chunk.number, row) < (self.chunk.number, self.row):
            self.chunk, self.row, self.misfit = chunk, row, misfit


_Place = tuple[int, str, str]
"""Table, column, reason."""


@dataclass
class _Examination:
    """What was found so far; `look` runs in several threads."""

    archive: Archive
    examiners: Mapping[int, Examiner]
    _found: dict[_Place, _Found] = field(default_factory=dict[_Place, _Found])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        rows = {i: sum(c.rows or 0 for c in self.archive.chunks({i})) for i in self.examiners}
        tables = self.archive.database.tables
        self._keys = {
            index: [MergingRows(key, tables[index], rows[index]) for key in examiner.keys]
            for index, examiner in self.examiners.items()
        }

    @property
    def tables(self) -> set[int]:
        return set(self.examiners)

    def look(self, chunk: ChunkRef) -> None:
        """Check one chunk's digest, and examine its values where there is anything to examine."""
        examiner = self.examiners.get(chunk.table_index)
        if examiner is None:
            chunk.check()
            return
        keys = self._keys[chunk.table_index]
        start = 0
        for batch in chunk.batches(self._columns(chunk), odd=examiner.odd_columns):
            misfits = examiner.examine(batch)
            for key in keys:
                key.add(batch)
            if misfits:
                with self._lock:
                    self._note(chunk.released(), start, misfits)
            start += batch.num_rows

    def narrowed(self, chunk: ChunkRef) -> ChunkRef:
        """Leave out of a chunk what `look` does not look at."""
        odd = self.examiners[chunk.table_index].odd_columns
        return chunk.narrowed(self._columns(chunk), odd=odd)

    def _columns(self, chunk: ChunkRef) -> list[str]:
        examiner, keys = self.examiners[chunk.table_index], self._keys[chunk.table_index]
        return list(dict.fromkeys((*examiner.columns, *(c for k in keys for c in k.columns))))

    def _note(self, chunk: ChunkRef, start: int, misfits: Sequence[Misfit]) -> None:
        for misfit in misfits:
            place = (chunk.table_index, misfit.column, misfit.reason)
            row = start + misfit.row
            self._found.setdefault(place, _Found(chunk, row, misfit)).add(chunk, row, misfit)

    def unfit(self) -> list[Unfit]:
        """List everything that was found, in the order of tables."""
        return [*self._lines(), *self._merged()]

    def raise_misfits(self) -> None:
        """Raise `LossError` for everything that was found, in the order of tables."""
        lines = [found.line for found in self.unfit()]
        if not lines:
            return
        if len(lines) > _MOST_LINES:
            lines[_MOST_LINES:] = [f"and {len(lines) - _MOST_LINES} more reasons like these"]
        hints = {found.misfit.hint for found in self._found.values()}
        hint = hints.pop() if len(hints) == 1 else None
        raise LossError(
            "\n".join(lines),
            hint=f"nothing was written; {hint or 'correct the values, or leave the columns out'}",
        )

    def _lines(self) -> Iterator[Unfit]:
        for (index, column, reason), found in sorted(self._found.items(), key=lambda i: i[0]):
            table = self.archive.database.tables[index]
            line = misfit_text(
                str(table.name),
                column,
                found.count,
                reason,
                example=found.misfit.example,
                key=_row_key(found.chunk, found.row, table),
            )
            yield Unfit(table.name, (column,), line)

    def _merged(self) -> Iterator[Unfit]:
        for index, keys in self._keys.items():
            for key in keys:
                chunks = self.archive.chunks({index})
                batches = (
                    batch
                    for chunk in chunks
                    for batch in chunk.narrowed(key.columns).batches(key.columns)
                )
                name = self.archive.database.tables[index].name
                yield from (Unfit(name, key.columns, line) for line in key.lines(batches))


def _row_key(chunk: ChunkRef, row: int, table: Table) -> str:
    """Read the key of one row of a chunk, for the message alone."""
    key = _key(table)
    if not key:
        return ""
    for batch in chunk.narrowed(key).batches(list(key)):
        if row < batch.num_rows:
            return key_text(batch, row, table, key)
        row -= batch.num_rows
    return ""
