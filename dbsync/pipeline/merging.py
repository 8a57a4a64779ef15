"""Keys that differ in the archive and are equal on the target, found over a whole table.

What lives here: the hashes of one table's keys, and reading the rows again whose hashes meet.
Must not know: collations; the target's `MergingKey` folds and compares.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from dbsync.connectors.base import MergingKey
from dbsync.model.schema import Table
from dbsync.model.values import canonical, key_text

MOST_ROWS = 10_000_000
"""16 bytes a row. Keys of larger tables are left to the target, which compares them chunk by
chunk and with the rows that it holds."""

_MOST_GROUPS = 1000
"""Keys that are read again to be shown or compared; more of them are counted only."""
_MOST_KEYS = 20
"""Of one such group."""

_Pairs = np.ndarray[tuple[int, int], np.dtype[np.int64]]
_Hashes = np.ndarray[tuple[int], np.dtype[np.int64]]


class MergingRows:
    """The hashes of one key of a table; `add` may be called from several threads."""

    def __init__(self, key: MergingKey, table: Table, rows: int):
        self.columns = key.columns
        self._key = key
        self._table = table
        self._lock = threading.Lock()
        self._used = 0
        self._pairs: _Pairs | None = (
            np.empty((rows, 2), dtype=np.int64) if rows <= MOST_ROWS else None
        )

    def add(self, batch: pa.RecordBatch) -> None:
        """Note the keys of some rows: a hash of what the target compares, and of the key itself."""
        if self._pairs is None:
            return
        folded = self._key.fold(batch)
        exact = canonical(batch, self._table, self.columns).filter(folded.is_valid())
        both = (_hashes(folded.drop_null()), _hashes(exact))
        with self._lock:
            end = self._used + len(exact)
            self._pairs[self._used : end, 0], self._pairs[self._used : end, 1] = both
            self._used = end

    def lines(self, batches: Iterable[pa.RecordBatch]) -> Iterator[str]:
        """Tell how many keys meet another, with two that do; `batches` give the rows again."""
        meeting = self._meeting()
        if not len(meeting):
            return
        groups = self._groups(meeting[:_MOST_GROUPS], batches)
        pairs = [pair for rows in groups if (pair := self._equal(rows)) is not None]
        if pairs:
            # Those that were not read again are taken for equal only where none turned out not to.
            unread = len(meeting) - len(groups) if len(pairs) == len(groups) else 0
            count = len(pairs) + unread
            (one, other), noun = pairs[0], "key" if count == 1 else "keys"
            yield (
                f"table {self._table.name}, key ({', '.join(self.columns)}): {count} {noun} of "
                f"different rows {self._key.reason}, such as {one} and {other}"
            )

    def _meeting(self) -> _Hashes:
        """Find the folded hashes under which different keys stand."""
        if self._pairs is None:
            return np.empty(0, dtype=np.int64)
        pairs, self._pairs = self._pairs[: self._used], None
        order = np.lexsort((pairs[:, 1], pairs[:, 0]))
        folded, exact = pairs[order, 0], pairs[order, 1]
        met = (folded[1:] == folded[:-1]) & (exact[1:] != exact[:-1])
        return np.unique(folded[1:][met])

    def _groups(
        self, meeting: _Hashes, batches: Iterable[pa.RecordBatch]
    ) -> list[dict[tuple[str | None, ...], str]]:
        """Read the keys of the hashes in question: their values as text, and the text to show."""
        groups: dict[int, dict[tuple[str | None, ...], str]] = {int(h): {} for h in meeting}
        for batch in batches:
            folded = self._key.fold(batch)
            for row, found in enumerate(_hashes(folded).tolist()):
                group = groups.get(found) if folded[row].is_valid else None
                if group is not None and len(group) < _MOST_KEYS:
                    group[self._texts(batch, row)] = key_text(batch, row, self._table, self.columns)
        return list(groups.values())

    def _texts(self, batch: pa.RecordBatch, row: int) -> tuple[str | None, ...]:
        cells = (batch.column(batch.schema.get_field_index(name))[row] for name in self.columns)
        return tuple(str(cell.as_py()) if cell.is_valid else None for cell in cells)

    def _equal(self, rows: dict[tuple[str | None, ...], str]) -> tuple[str, str] | None:
        """Give two keys of a group that the target finds equal, as text to show."""
        keys = list(rows)
        same = self._key.same
        for number, one in enumerate(keys):
            for other in keys[number + 1 :]:
                if same is None or same(one, other):
                    return rows[one], rows[other]
        return None


def _hashes(values: pa.Array) -> _Hashes:
    # Python's own hash: seeded anew in each process, so nobody can prepare collisions.
    return np.fromiter(map(hash, values.cast(pa.binary()).to_pylist()), np.int64, len(values))
