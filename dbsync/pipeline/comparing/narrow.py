"""From digests that differ to the keys that differ, reading only the ranges that matter.

What lives here: which bins are looked at row by row, and what is found there. Must not know:
archives, databases, how results are printed.

Bins that differ hold few rows as long as the differences are few. Where they hold more than may
be kept, the first of them are divided once more by a pass of their own; what is still too much is
reported by its digests alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from dbsync.model.values import RowsDigest, canonical
from dbsync.pipeline.comparing.digests import BINS, RangeDigests, cut, highest
from dbsync.pipeline.comparing.keys import KeyOrder
from dbsync.pipeline.comparing.sides import Meaning, Read, Region, Rows, Side, read_part
from dbsync.pipeline.executor import ThreadExecutor

ROWS_KEPT = 100_000
"""Rows of both sides that are compared one by one, for each table."""
_DIVIDED = 64
"""Bins that are divided once more where all together hold too many rows."""
_EXAMPLES = 5
"""Rows that are named for each range."""

_EMPTY = RowsDigest()


class Bin(NamedTuple):
    """A bin that differs: its digests on both sides, and which run of such bins it is part of."""

    name: bytes
    left: RowsDigest
    right: RowsDigest
    run: int

    @property
    def rows(self) -> int:
        """Count the rows of both sides."""
        return self.left.count + self.right.count


class Entry(NamedTuple):
    """One row that was looked at. `cells` are its key; `columns` hash each of its columns."""

    position: bytes
    cells: tuple[bytes, ...]
    digest: bytes
    columns: bytes


class RowFound(NamedTuple):
    """A row that differs, by its key; `columns` are positions of columns, where both have it."""

    key: dict[str, str]
    left: bool
    right: bool
    columns: tuple[int, ...] = ()


class RangeFound(NamedTuple):
    """A run of keys in which the sides differ, from the first to the last key that does.

    `rows_left` and `rows_right` count all rows of the range. `examined` is false where only
    digests are known; then the range is as wide as the bins are, and nothing else is known.
    """

    first: dict[str, str]
    last: dict[str, str]
    rows_left: int
    rows_right: int
    only_left: int = 0
    only_right: int = 0
    differing: int = 0
    columns: tuple[int, ...] = ()
    examples: tuple[RowFound, ...] = ()
    examined: bool = True


def digest_side(
    side: Side,
    executor: ThreadExecutor,
    *,
    region: Region | None = None,
    limit: int = BINS,
    on_rows: Callable[[int], None] | None = None,
) -> RangeDigests:
    """Read one side, or the rows of it that lie in `region`, and digest it by key range."""
    total = RangeDigests(side.meaning.width, limit)

    def one(read: Read) -> RangeDigests:
        return digest_part(
            side.meaning, read, total.bits, region=region, limit=limit, on_rows=on_rows
        )

    for part in executor.run(one, side.parts(region)):
        total.merge(part)
    return total


def digest_part(
    meaning: Meaning,
    read: Read,
    bits: int,
    *,
    region: Region | None = None,
    limit: int = BINS,
    on_rows: Callable[[int], None] | None = None,
) -> RangeDigests:
    """Digest one part; `bits` is how finely others are divided already."""
    digests = RangeDigests(meaning.width, limit, bits=bits)
    for rows in meaning.rows(read_part(read), region):
        digests.add(rows.positions, rows.hashes)
        if on_rows is not None:
            on_rows(len(rows.hashes))
    return digests


def differing(left: RangeDigests, right: RangeDigests) -> tuple[int, list[Bin]]:
    """Compare two sides bin by bin; returns the common bits, and the bins that differ in order.

    Bins that follow one another with no equal one between them are one run.
    """
    left.coarsen(right.bits)
    right.coarsen(left.bits)
    ours, theirs = dict(left.items()), dict(right.items())
    found: list[Bin] = []
    run, inside = 0, False
    for name in sorted(ours.keys() | theirs.keys()):
        pair = ours.get(name, _EMPTY), theirs.get(name, _EMPTY)
        if pair[0] == pair[1]:
            inside = False
            continue
        run += not inside
        inside = True
        found.append(Bin(name, *pair, run))
    return left.bits, found


class Narrowing:
    """The search for the rows that differ in one table; without `left` only digests tell."""

    def __init__(self, left: Side | None, right: Side, jobs: int, *, rows_kept: int = ROWS_KEPT):
        self._left = left
        self._right = right
        self._jobs = jobs
        self._rows_kept = rows_kept

    def ranges(self, bits: int, bins: Sequence[Bin]) -> list[RangeFound]:
        """Look at the rows of `bins`, as `differing` found them, and list the ranges in order."""
        if self._left is None:
            return self._unexamined(bits, bins)
        sides = (self._left, self._right)
        rest: list[RangeFound] = []
        kept, beyond = self._affordable(bins)
        if beyond:
            head, tail = bins[:_DIVIDED], bins[_DIVIDED:]
            rest = self._unexamined(bits, tail)
            bits, bins = self._divided(sides, bits, head)
            kept, beyond = self._affordable(bins)
        rest = self._unexamined(bits, beyond) + rest
        return [*self._examined(sides, bits, kept), *rest]

    def _affordable(self, bins: Sequence[Bin]) -> tuple[list[Bin], list[Bin]]:
        """Cut the list where more rows would have to be kept than may be."""
        kept, rows = 0, 0
        for item in bins:
            rows += item.rows
            if rows > self._rows_kept:
                break
            kept += 1
        return list(bins[:kept]), list(bins[kept:])

    def _divided(
        self, sides: tuple[Side, Side], bits: int, bins: Sequence[Bin]
    ) -> tuple[int, list[Bin]]:
        region = Region(bits, frozenset(item.name for item in bins))
        runs = {item.name: item.run for item in bins}
        left, right = (
            digest_side(side, ThreadExecutor(self._jobs), region=region) for side in sides
        )
        finer, found = differing(left, right)
        if not found or finer <= bits:
            return bits, list(bins)
        # Neighbours here may have had an equal bin between them before.
        numbers: dict[tuple[int, int], int] = {}
        return finer, [
            item._replace(
                run=numbers.setdefault((runs[cut(item.name, bits)], item.run), len(numbers))
            )
            for item in found
        ]

    def _unexamined(self, bits: int, bins: Sequence[Bin]) -> list[RangeFound]:
        order = self._right.meaning.order
        return [
            RangeFound(
                first=order.bound(run[0].name, upper=False) if order else {},
                last=order.bound(highest(run[-1].name, bits), upper=True) if order else {},
                rows_left=sum(item.left.count for item in run),
                rows_right=sum(item.right.count for item in run),
                examined=False,
            )
            for run in _runs(bins)
        ]

    def _examined(
        self, sides: tuple[Side, Side], bits: int, bins: Sequence[Bin]
    ) -> list[RangeFound]:
        if not bins:
            return []
        region = Region(bits, frozenset(item.name for item in bins))
        runs = {item.name: number for number, run in enumerate(_runs(bins)) for item in run}
        parts = [_by_run(self._entries(side, region), bits, runs, _count(runs)) for side in sides]
        order = self._right.meaning.order
        found: list[RangeFound] = []
        for run, left, right in zip(_runs(bins), *parts, strict=True):
            differences = _differences(left, right)
            if not differences:
                # The digests differed, and the rows read again do not: they have changed.
                found += self._unexamined(bits, run)
                continue
            summed = _summed(differences, order)
            found.append(
                summed._replace(
                    rows_left=_within(left, differences), rows_right=_within(right, differences)
                )
            )
        return found

    def _entries(self, side: Side, region: Region) -> list[Entry]:
        entries: list[Entry] = []
        lock = threading.Lock()

        def one(read: Read) -> None:
            for rows in side.meaning.rows(read_part(read), region):
                part = list(_entries(side.meaning, rows))
                with lock:
                    entries.extend(part)

        for _ in ThreadExecutor(self._jobs).run(one, side.parts(region)):
            pass
        return entries


def _entries(meaning: Meaning, rows: Rows) -> Iterator[Entry]:
    positions = rows.positions.to_pylist()
    if meaning.order is None:
        for position, digest in zip(positions, rows.hashes, strict=True):
            yield Entry(position, (digest,), digest, b"")
        return
    keys = [
        cells.to_pylist() for cells in meaning.order.cells(rows.batch, meaning.table, meaning.key)
    ]
    # Python's own hash is enough to tell which columns of two differing rows are not the same.
    columns = [
        np.fromiter(map(hash, _column(meaning, rows.batch, name)), np.int64, len(positions))
        for name in meaning.names
    ]
    stacked = np.stack(columns, axis=1)
    for number, cells in enumerate(zip(*keys, strict=True)):
        yield Entry(positions[number], cells, rows.hashes[number], stacked[number].tobytes())


def _column(meaning: Meaning, batch: pa.RecordBatch, name: str) -> list[bytes]:
    return canonical(batch, meaning.table, [name]).to_pylist()


def _runs(bins: Sequence[Bin]) -> list[list[Bin]]:
    runs: list[list[Bin]] = []
    for item in bins:
        if runs and runs[-1][-1].run == item.run:
            runs[-1].append(item)
        else:
            runs.append([item])
    return runs


def _count(runs: dict[bytes, int]) -> int:
    return max(runs.values()) + 1


def _by_run(
    entries: list[Entry], bits: int, runs: dict[bytes, int], count: int
) -> list[list[Entry]]:
    size = -(-bits // 8)
    sorted_out: list[list[Entry]] = [[] for _ in range(count)]
    for entry in entries:
        sorted_out[runs[cut(entry.position.ljust(size, b"\0"), bits)]].append(entry)
    return sorted_out


class _Difference(NamedTuple):
    """Rows of one key: the entries that have no equal on the other side."""

    left: list[Entry]
    right: list[Entry]


def _differences(left: list[Entry], right: list[Entry]) -> list[_Difference]:
    """Pair rows by their key, take away what is equal, and list the rest in the order of keys."""
    by_key: dict[tuple[bytes, ...], _Difference] = {}
    for side, entries in enumerate((left, right)):
        for entry in entries:
            by_key.setdefault(entry.cells, _Difference([], []))[side].append(entry)
    found: list[_Difference] = []
    for pair in by_key.values():
        rest = _without_equals(pair)
        if rest.left or rest.right:
            found.append(rest)
    found.sort(key=lambda d: (d.left or d.right)[0].position)
    return found


def _without_equals(pair: _Difference) -> _Difference:
    if len(pair.left) == len(pair.right) == 1:
        return pair if pair.left[0].digest != pair.right[0].digest else _Difference([], [])
    theirs = list(pair.right)
    ours: list[Entry] = []
    counts: dict[bytes, list[Entry]] = {}
    for entry in theirs:
        counts.setdefault(entry.digest, []).append(entry)
    for entry in pair.left:
        if counts.get(entry.digest):
            counts[entry.digest].pop()
        else:
            ours.append(entry)
    return _Difference(ours, [entry for entries in counts.values() for entry in entries])


def _within(entries: Sequence[Entry], differences: Sequence[_Difference]) -> int:
    """Count the rows between the first and the last key that differ."""
    low, high = ((d.left or d.right)[0].position for d in (differences[0], differences[-1]))
    return sum(low <= entry.position <= high for entry in entries)


def _summed(differences: Sequence[_Difference], order: KeyOrder | None) -> RangeFound:
    only_left = only_right = changed = 0
    columns: set[int] = set()
    examples: list[RowFound] = []
    for left, right in differences:
        both = min(len(left), len(right))
        changed += both
        only_left += len(left) - both
        only_right += len(right) - both
        pairs = [_unlike(a, b) for a, b in zip(left, right, strict=False)]
        columns.update(*pairs)
        if order is not None and len(examples) < _EXAMPLES:
            key = order.text((left or right)[0].cells)
            examples += [
                RowFound(key, number < len(left), number < len(right), pair)
                for number, pair in enumerate([*pairs, *[()] * abs(len(left) - len(right))])
            ]
    first, last = ((d.left or d.right)[0].cells for d in (differences[0], differences[-1]))
    return RangeFound(
        first=order.text(first) if order else {},
        last=order.text(last) if order else {},
        rows_left=0,
        rows_right=0,
        only_left=only_left,
        only_right=only_right,
        differing=changed,
        columns=tuple(sorted(columns)),
        examples=tuple(examples[:_EXAMPLES]),
    )


def _unlike(left: Entry, right: Entry) -> tuple[int, ...]:
    ours, theirs = (np.frombuffer(entry.columns, np.int64) for entry in (left, right))
    return tuple(np.flatnonzero(ours != theirs).tolist())
