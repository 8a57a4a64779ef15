"""One table on one side of a comparison, as parts that can be read side by side, and again.

What lives here: what the rows of an archive, a database or an export mean under the archive's
types, and which parts of each have to be read for some key ranges. Must not know: what is made of
the rows; SQL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import pairwise
from typing import NamedTuple, Protocol

import pyarrow as pa
from msgspec.structs import replace

from dbsync.archive import Archive, CatalogEntry
from dbsync.connectors.base import KeyRanges, Partition, Snapshot
from dbsync.model.schema import Column, Table
from dbsync.model.values import canonical
from dbsync.pipeline.comparing.digests import chosen_rows, highest, row_hashes
from dbsync.pipeline.comparing.keys import KeyOrder, integer_of, key_columns

PARTITION_BYTES = 32 << 20
_WHOLE = 1 << 62
"""As the size of a partition: leave it to the database to find the rows of a few key ranges."""
_SLICE_ROWS = 1 << 15
"""Rows that are in memory as Python objects at a time, for each job."""
_RANGES_ASKED = 64

Batches = Iterable[pa.RecordBatch]
Read = Callable[[], Batches]


class Region(NamedTuple):
    """Some bins of a `RangeDigests` with `bits` bits."""

    bits: int
    bins: frozenset[bytes]

    def edges(self) -> list[tuple[bytes, bytes]]:
        """List the bins as first and last position, in order."""
        return [(name, highest(name, self.bits)) for name in sorted(self.bins)]


class Rows(NamedTuple):
    """Rows as they are compared: a position and a hash each, with the batch that they stood in."""

    batch: pa.RecordBatch
    positions: pa.Array
    hashes: list[bytes]


class Meaning:
    """How rows of one side are read: `table` as it is there, under the archive's types.

    `archived` is the archive's table, and `names` are its columns as they are called there, in its
    order. Rows of a table without a key have their own hash as position.
    """

    def __init__(self, archived: Table, table: Table, names: Sequence[str]):
        by_name = {column.name: column for column in table.columns}
        pairs = list(zip(archived.columns, names, strict=True))
        self.columns: tuple[Column, ...] = tuple(
            replace(by_name[name], type=column.type) for column, name in pairs
        )
        self.table = replace(table, columns=self.columns)
        self.names = tuple(names)
        here = {column.name: name for column, name in pairs}
        key = key_columns(archived)
        self.key = tuple(here[name] for name in key)
        self.order = KeyOrder([archived.column(name) for name in key]) if key else None
        self.width = self.order.width if self.order else 16

    def rows(self, batches: Batches, region: Region | None = None) -> Iterator[Rows]:
        """Yield the rows, or those that lie in `region`, in slices of bounded size."""
        for batch in batches:
            for start in range(0, batch.num_rows, _SLICE_ROWS):
                rows = self._slice(batch.slice(start, _SLICE_ROWS), region)
                if rows.hashes:
                    yield rows

    def _slice(self, batch: pa.RecordBatch, region: Region | None) -> Rows:
        if self.order is None:
            hashes = row_hashes(canonical(batch, self.table, self.names))
            positions = pa.array(hashes, pa.binary())
            if region is not None:
                mask = chosen_rows(positions, region.bits, region.bins)
                batch, positions = batch.filter(mask), positions.filter(mask)
                hashes = positions.to_pylist()
            return Rows(batch, positions, hashes)
        positions = self.order.positions(self.order.cells(batch, self.table, self.key))
        if region is not None:
            mask = chosen_rows(positions, region.bits, region.bins)
            batch, positions = batch.filter(mask), positions.filter(mask)
        return Rows(batch, positions, row_hashes(canonical(batch, self.table, self.names)))


class Side(Protocol):
    """One table on one side."""

    meaning: Meaning

    def parts(self, region: Region | None) -> Iterator[Read]:
        """Yield parts that together hold every row, or every row of `region` and perhaps others.

        Parts may be read in several threads at once, and all of them again.
        """
        ...


class ArchiveSide:
    """A table in an archive that can be read at random."""

    def __init__(self, archive: Archive, index: int):
        """Take the table at position `index` of ``archive.database.tables``."""
        self._archive = archive
        self._index = index
        table = archive.database.tables[index]
        self.meaning = Meaning(table, table, [column.name for column in table.columns])

    def parts(self, region: Region | None) -> Iterator[Read]:
        """Yield the chunks; for a region, those whose keys may lie in it."""
        near = None if region is None else self._near(region)
        for chunk in self._archive.chunks({self._index}):
            if near is None or chunk.number in near:
                yield chunk.batches

    def _near(self, region: Region) -> set[int]:
        edges = region.edges()
        return {
            entry.chunk
            for entry in self._archive.entries
            if entry.table == self._index + 1
            and entry.chunk is not None
            and self._meets(entry, edges)
        }

    def _meets(self, entry: CatalogEntry, edges: list[tuple[bytes, bytes]]) -> bool:
        """Say whether a chunk's range of the first key column, where it is known, meets one."""
        order, table = self.meaning.order, self.meaning.table
        primary = table.primary_key
        if order is None or primary is None or entry.key_min is None or entry.key_max is None:
            return True
        column = table.column(primary.columns[0])
        if not _catalog_order_is_ours(column):
            return True
        kind = pa.int64() if column.type.name == "integer" else pa.string()
        try:
            values = pa.array([entry.key_min, entry.key_max], pa.string()).cast(kind)
        except pa.ArrowInvalid:  # the catalog's bounds are informative: nobody has checked them
            return True
        batch = pa.RecordBatch.from_arrays([values], names=[column.name])
        cells = order.cells(batch, table, [column.name])
        low, high = order.positions(cells).to_pylist()
        size = order.width
        low, high = low[:size], (high + b"\xff" * size)[:size]
        return any(first <= high and low <= last + b"\xff" * size for first, last in edges)


def _catalog_order_is_ours(column: Column) -> bool:
    """Say whether the catalog's bounds are in the order of positions; numbers as text are not."""
    if column.type.name == "integer":
        return column.storage.startswith("int")
    return column.type.name == "string" and column.storage == "string"


class DatabaseSide:
    """A table of a snapshot; `archived` gives the types under which it is read.

    `names` are the archive's columns as they are called here. `where` leaves out rows.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        archived: Table,
        found: Table,
        names: Sequence[str],
        *,
        where: str | None = None,
    ):
        self._snapshot = snapshot
        self.meaning = Meaning(archived, found, names)
        own = {column.name: column for column in found.columns}
        columns = tuple(own[name] for name in names)
        self._table = replace(found, columns=columns, where=where)

    def parts(self, region: Region | None) -> Iterator[Read]:
        """Yield the partitions; for a region, with a condition where the database takes one."""
        table, size = self._table, PARTITION_BYTES
        narrowed = None if region is None else self._narrowed(region)
        if narrowed is not None:
            table, size = narrowed, _WHOLE
        for partition in self._snapshot.partitions(table, size):
            yield self._reader(table, partition)

    def _narrowed(self, region: Region) -> Table | None:
        order, snapshot = self.meaning.order, self._snapshot
        if order is None or not order.leads_with_integer or not isinstance(snapshot, KeyRanges):
            return None
        ranges: list[tuple[int, int]] = []
        for first, last in region.edges():
            low, high = integer_of(first, upper=False), integer_of(last, upper=True)
            if low is None or high is None:
                return None
            ranges.append((low, high))
        return snapshot.within(self._table, self.meaning.key[0], _few(ranges))

    def _reader(self, table: Table, partition: Partition) -> Read:
        return lambda: self._snapshot.read(table, partition)


def _few(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join the ranges that lie closest together, until a statement can name them all."""
    ranges = sorted(ranges)
    if len(ranges) <= _RANGES_ASKED:
        return ranges
    gaps = sorted(right[0] - left[1] for left, right in pairwise(ranges))
    limit = gaps[-_RANGES_ASKED] if len(gaps) >= _RANGES_ASKED else 0
    joined = [ranges[0]]
    for low, high in ranges[1:]:
        if low - joined[-1][1] <= limit:
            joined[-1] = (joined[-1][0], high)
        else:
            joined.append((low, high))
    return joined


def read_part(read: Read) -> Iterator[pa.RecordBatch]:
    """Yield the batches of a part, and close it when it is left early."""
    batches = read()
    if hasattr(batches, "close"):
        with closing(batches):  # type: ignore[type-var]
            yield from batches
    else:
        yield from batches
