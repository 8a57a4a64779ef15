"""The tables of a database against digests of what they should hold.

What lives here: one pass over the database for all tables, and what is reported of those that
differ. Must not know: whether the other side is an archive or another database.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from dbsync.connectors.base import Snapshot
from dbsync.model.schema import Table
from dbsync.model.values import RowsDigest
from dbsync.pipeline.comparing.digests import BINS, RangeDigests
from dbsync.pipeline.comparing.keys import key_text
from dbsync.pipeline.comparing.match import column_names
from dbsync.pipeline.comparing.narrow import (
    Narrowing,
    RangeFound,
    RowFound,
    differing,
    digest_part,
)
from dbsync.pipeline.comparing.sides import DatabaseSide, Read, Side
from dbsync.pipeline.events import ChunkDone, OnEvent, Planned, TableDone
from dbsync.pipeline.executor import ThreadExecutor
from dbsync.pipeline.results import RangeDifference, RowDifference, TableDifference

_ALL_BINS = 1 << 20
"""Bins of all tables together."""
_FEWEST_BINS = 64
_RANGES = 100
"""Ranges that are listed for each table."""
_EXAMPLES = 5
_ROWS_AN_EVENT = 100_000
"""How often progress is told within one part."""


class Expected(NamedTuple):
    """What a table should hold: its rows by digest, and again where these differ."""

    table: Table
    """As it stands in the archive."""
    digests: RangeDigests
    side: Side | None
    """None where the rows cannot be had again: then ranges are told by their digests alone."""
    found: Table | None
    """The table of the database; None where there is none."""
    where: str | None = None
    """A condition that the rows of the database must meet to be looked at."""
    renamed: Mapping[str, str] = {}
    """Columns that are called otherwise in the database."""


def bins_for(tables: int) -> int:
    """Say how many bins each of so many tables may have."""
    return max(_FEWEST_BINS, min(BINS, _ALL_BINS // max(1, tables)))


class _Task(NamedTuple):
    table: int
    side: DatabaseSide
    read: Read
    part: int


class DatabaseTables:
    """The comparison of a database's tables with what is expected of them."""

    def __init__(
        self, snapshot: Snapshot, expected: Sequence[Expected], jobs: int, on_event: OnEvent
    ):
        self._snapshot = snapshot
        self._expected = expected
        self._jobs = jobs
        self._on_event = on_event
        self._lock = threading.Lock()
        self._limit = bins_for(len(expected))
        self._missing: dict[int, str] = {}
        self._sides: dict[int, DatabaseSide] = {}
        self._open: dict[int, int] = {}
        self._digests: dict[int, RangeDigests] = {}
        for index, item in enumerate(expected):
            self._match(index, item)

    def _match(self, index: int, item: Expected) -> None:
        if item.found is None:
            self._missing[index] = "the database has no such table"
            return
        names, missing = column_names(item.table, item.found, item.renamed)
        if missing:
            self._missing[index] = f"the database lacks column {', '.join(missing)}"
            return
        side = DatabaseSide(self._snapshot, item.table, item.found, names, where=item.where)
        self._sides[index] = side
        self._digests[index] = RangeDigests(side.meaning.width, self._limit)

    def differences(self) -> list[TableDifference]:
        """Read every table once, and ranges that differ a second time."""
        self._on_event(
            Planned(
                command="compare",
                tables=tuple(
                    (self._expected[i].table.name, self._rows(i)) for i in sorted(self._sides)
                ),
            )
        )
        for _ in ThreadExecutor(self._jobs).run(self._digest, self._tasks()):
            pass
        found = (self._difference(index, item) for index, item in enumerate(self._expected))
        return [difference for difference in found if difference is not None]

    def _rows(self, index: int) -> int:
        return self._expected[index].digests.total().count

    def _tasks(self) -> Iterator[_Task]:
        # The largest first, so that no worker idles at the end.
        for index in sorted(self._sides, key=self._rows, reverse=True):
            side = self._sides[index]
            parts = list(side.parts(None))
            with self._lock:
                self._open[index] = len(parts)
            for number, read in enumerate(parts):
                yield _Task(index, side, read, number)

    def _digest(self, task: _Task) -> None:
        name = self._expected[task.table].table.name
        total, waiting = self._digests[task.table], 0

        def tell() -> None:
            self._on_event(ChunkDone(table=name, chunk=task.part, rows=waiting, bytes=0))

        def seen(rows: int) -> None:
            nonlocal waiting
            waiting += rows
            if waiting >= _ROWS_AN_EVENT:
                with self._lock:
                    tell()
                waiting = 0

        part = digest_part(
            task.side.meaning, task.read, total.bits, limit=self._limit, on_rows=seen
        )
        with self._lock:
            total.merge(part)
            tell()
            self._open[task.table] -= 1
            if not self._open[task.table]:
                self._on_event(TableDone(table=name, rows=total.total().count))

    def _difference(self, index: int, item: Expected) -> TableDifference | None:
        ours = item.digests.total()
        if index in self._missing:
            return TableDifference(
                table=item.table.name,
                reason=self._missing[index],
                rows_archive=ours.count,
                rows_database=0,
            )
        theirs = self._digests[index].total()
        if ours == theirs:
            return None
        bits, bins = differing(item.digests, self._digests[index])
        narrowing = Narrowing(item.side, self._sides[index], self._jobs)
        return _reported(item, ours, theirs, narrowing.ranges(bits, bins))


def _reported(
    item: Expected, ours: RowsDigest, theirs: RowsDigest, ranges: Sequence[RangeFound]
) -> TableDifference:
    names = [column.name for column in item.table.columns]
    examined = [found for found in ranges if found.examined]
    keyed = any(found.first for found in ranges)
    listed = tuple(_range(found, names) for found in ranges[:_RANGES]) if keyed else ()
    examples = [text for found in listed for text in map(_example, found.examples)]
    return TableDifference(
        table=item.table.name,
        reason="rows differ",
        rows_archive=ours.count,
        rows_database=theirs.count,
        only_archive=sum(found.only_left for found in examined),
        only_database=sum(found.only_right for found in examined),
        differing=sum(found.differing for found in examined),
        complete=len(examined) == len(ranges),
        examples=tuple(examples[:_EXAMPLES]),
        ranges=listed,
        ranges_total=len(ranges) if keyed else 0,
    )


def _range(found: RangeFound, names: Sequence[str]) -> RangeDifference:
    return RangeDifference(
        first=found.first,
        last=found.last,
        rows_archive=found.rows_left,
        rows_database=found.rows_right,
        only_archive=found.only_left,
        only_database=found.only_right,
        differing=found.differing,
        columns=tuple(names[number] for number in found.columns),
        examples=tuple(_row(row, names) for row in found.examples),
        examined=found.examined,
    )


def _row(row: RowFound, names: Sequence[str]) -> RowDifference:
    return RowDifference(
        key=row.key,
        difference="differs" if row.left and row.right
        else "only_archive" if row.left
        else "only_database",
        columns=tuple(names[number] for number in row.columns),
    )  # fmt: skip


def _example(row: RowDifference) -> str:
    match row.difference:
        case "differs":
            return f"{key_text(row.key)} differs in {', '.join(row.columns)}"
        case "only_archive":
            return f"{key_text(row.key)} only in the archive"
        case _:
            return f"{key_text(row.key)} only in the database"
