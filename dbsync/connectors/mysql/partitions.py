"""Splitting a table into ranges of its key, by searching the index instead of scanning it.

What lives here: how cuts are chosen, and the meaning of `Partition.bounds` for MySQL: how many
values the lower bound has, its values, then the values of the upper one; none means an open end.
Must not know: batches, columns that are no part of a key.

The search halves the stretch of keys between two cuts until the server's own estimate of its rows
is small enough. The estimate (EXPLAIN) takes two dives into the index, is current where the
table's statistics are old, and seldom wrong by more than a factor of two. Each half begins at a
key that exists, so gaps cost one step. Where half-way is unknown, or one value fills a stretch,
the keys of that stretch alone are counted off.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import msgspec

from dbsync.connectors.base import Partition
from dbsync.connectors.mysql.connection import Session, quote_name
from dbsync.connectors.mysql.information import RawTable
from dbsync.connectors.mysql.keys import RangeKey, Value, range_key
from dbsync.connectors.mysql.middle import middle
from dbsync.model.schema import Name, Table
from dbsync.model.types import parse_storage

MAX_PARTITIONS = 5_000
_SAMPLED_ROWS = 100
_LEAST_ROWS = 100
"""A stretch with fewer rows is never split: estimates of few rows are exact enough."""
_FINER = 3
"""Stretches are so many times smaller than ranges, which are put together from them."""

Bound = tuple[Value, ...]


class Stretch(msgspec.Struct, frozen=True):
    """Keys from `cut` on (None: from the first) and about how many rows they are."""

    cut: Bound | None
    rows: float


def split(session: Session, raw: RawTable, table: Table, target_bytes: int) -> list[Partition]:
    """Split a table into ranges of about `target_bytes` as Arrow; one where it has no usable key.

    Reads only the index, but for a hundred rows. Raises `SourceError`.
    """
    whole = [Partition(table=table.name, number=0)]
    key = range_key(raw)
    if key is None:
        return whole
    search = _Search(session, raw.name, key)
    # The server never estimates more than half of the table for a part of it.
    rows = max(search.estimate(None, None), raw.rows or 0)
    if rows < 2 * _LEAST_ROWS and (raw.data_bytes or 0) < target_bytes:
        return whole
    size = rows * _row_bytes(session, raw, table)
    parts = min(-(-int(size) // max(1, target_bytes)), MAX_PARTITIONS, int(rows))
    if parts < 2:
        return whole
    stretches = search.stretches(max(rows / parts / _FINER, 1))
    cuts = [None, *_even(stretches, parts), None]
    return [
        Partition(table=table.name, number=number, bounds=_pack(low, high))
        for number, (low, high) in enumerate(itertools.pairwise(cuts))
    ]


def from_clause(raw: RawTable, partition: Partition) -> str:
    """Write what follows FROM for one partition, up to an open AND."""
    if not partition.bounds:
        return f"{quote_name(raw.name)} WHERE TRUE"
    key = range_key(raw)
    if key is None:
        raise ValueError(f"table {raw.name} has no key that a range could be of")
    low, high = _unpack(partition.bounds)
    # The range is what is wanted of the index; another one would be read for every range anew.
    index = f"FORCE INDEX ({quote_name(key.index)})"
    return f"{quote_name(raw.name)} {index} WHERE {key.between(low, high)}"


class _Search:
    """Questions to one table's index."""

    def __init__(self, session: Session, table: str, key: RangeKey) -> None:
        self._session = session
        self._key = key
        self._doing = f"finding the ranges of table {Name(None, table)}"
        self._from = f"{quote_name(table)} FORCE INDEX ({quote_name(key.index)})"

    def estimate(self, low: Bound | None, high: Bound | None) -> float:
        """Ask for the server's estimate of the rows in ``low <= key < high``."""
        first = low or self._end("ASC")
        if first is None:
            return 0
        condition = self._between(first, high)
        found = self._session.rows(
            f"EXPLAIN FORMAT=TRADITIONAL SELECT 1 FROM {self._from} WHERE {condition}", self._doing
        )
        return float(found[0]["rows"] or 0)

    def stretches(self, limit: float) -> list[Stretch]:
        """List stretches of about at most `limit` rows, in the order of the key."""
        first, last = self._end("ASC"), self._end("DESC")
        if first is None or last is None:
            return []
        return list(self._halve(None, None, first, last, limit))

    def _halve(
        self, cut: Bound | None, end: Bound | None, first: Bound, last: Bound, limit: float
    ) -> Iterator[Stretch]:
        """Split the keys ``cut <= key < end``, of which `first` and `last` exist."""
        rows = self._weigh(cut, end, first, last)
        if rows <= limit or rows < _LEAST_ROWS or first == last:
            yield Stretch(cut, rows)
            return
        half = self._half(first, last)
        after = self._edge(half, end, "ASC") if half else None
        before = self._edge(cut, half, "DESC") if half else None
        if half is None or after is None or before is None:
            yield from self._count_off(cut, end, rows, limit)
            return
        yield from self._halve(cut, half, first, before, limit)
        yield from self._halve(half, end, after, last, limit)

    def _half(self, first: Bound, last: Bound) -> Bound | None:
        """Find a bound about half-way, by the first column in which two keys differ."""
        for at, column in enumerate(self._key.columns):
            if first[at] != last[at]:
                found = middle(column, first[at], last[at])
                bound = None if found is None else (*first[:at], found)
                return bound if self._writable(bound) else None
        return None

    def _count_off(
        self, cut: Bound | None, end: Bound | None, rows: float, limit: float
    ) -> Iterator[Stretch]:
        """Cut a stretch at every so many keys, which reads all of its index entries."""
        step, left = max(1, int(limit)), rows
        while True:
            found = self._edge(cut, end, "ASC", skip=step)
            if found is None or not self._writable(found):
                yield Stretch(cut, max(left, 1))
                return
            if found == cut or (cut is None and found == self._end("ASC")):
                # The columns that serve are not the whole key, and repeat.
                step *= 2
                continue
            yield Stretch(cut, step)
            cut, left, step = found, left - step, max(1, int(limit))

    def _weigh(self, cut: Bound | None, end: Bound | None, first: Bound, last: Bound) -> float:
        rows = self.estimate(cut or first, end)
        if (
            len(self._key.columns) == 1
            and self._key.columns[0].kind == "integer"
            and self._key.whole
        ):
            # No two rows have the same number.
            rows = min(rows, int(last[0]) - int(first[0]) + 1)
        return rows

    def _end(self, direction: str) -> Bound | None:
        return self._edge(None, None, direction)

    def _edge(
        self, low: Bound | None, high: Bound | None, direction: str, *, skip: int = 0
    ) -> Bound | None:
        """Read the first or last key of ``low <= key < high``, or the one after `skip` of them."""
        columns = self._key.columns
        selected = ", ".join(f"{c.selected} AS c{n}" for n, c in enumerate(columns))
        order = ", ".join(f"{quote_name(c.name)} {direction}" for c in columns)
        found = self._session.rows(
            f"SELECT {selected} FROM {self._from} WHERE {self._between(low, high)}"
            f" ORDER BY {order} LIMIT 1 OFFSET {skip:d}",
            self._doing,
        )
        if not found:
            return None
        return tuple(v if isinstance(v, int) else str(v) for v in found[0].values())

    def _between(self, low: Bound | None, high: Bound | None) -> str:
        return self._key.between(
            low if self._writable(low) else None, high if self._writable(high) else None
        )

    def _writable(self, bound: Bound | None) -> bool:
        """Say whether a bound can stand in a condition; dates that no calendar has cannot."""
        if bound is None:
            return False
        try:
            self._key.from_on(bound)
        except ValueError:
            return False
        return True


def _even(stretches: Sequence[Stretch], parts: int) -> list[Bound]:
    """Put stretches together to about `parts` ranges; the cuts where one begins."""
    share = sum(stretch.rows for stretch in stretches) / parts
    cuts: list[Bound] = []
    filled = 0.0
    for stretch in stretches:
        if stretch.cut is not None and filled > 0 and filled + stretch.rows / 2 > share:
            cuts.append(stretch.cut)
            filled = 0.0
        filled += stretch.rows
    return cuts


def _row_bytes(session: Session, raw: RawTable, table: Table) -> float:
    """Estimate a row's bytes as Arrow, from the table's statistics and from its first rows."""
    fixed, varying = 0.0, list[str]()
    for column in table.columns:
        storage = parse_storage(column.storage)
        try:
            fixed += storage.bit_width / 8
        except ValueError:
            fixed += 4
            varying.append(quote_name(column.name))
    sampled = 0.0
    if varying:
        length = " + ".join(f"COALESCE(LENGTH({name}), 0)" for name in varying)
        found = session.value(
            f"SELECT AVG({length}) FROM (SELECT {', '.join(varying)} FROM {quote_name(raw.name)}"
            f" LIMIT {_SAMPLED_ROWS}) first_rows",
            f"measuring rows of table {table.name}",
        )
        sampled = float(found or 0)
    known = (raw.data_bytes or 0) / raw.rows if raw.rows else 0.0
    return max(fixed + sampled, known)


def _pack(low: Bound | None, high: Bound | None) -> tuple[str | int | None, ...]:
    return (len(low or ()), *(low or ()), *(high or ())) if low or high else ()


def _unpack(bounds: Sequence[str | int | None]) -> tuple[Bound, Bound]:
    values = [bound for bound in bounds if bound is not None]
    end = 1 + int(values[0])
    return tuple(values[1:end]), tuple(values[end:])
