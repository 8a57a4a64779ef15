"""Cutting a table into rowid ranges, and estimating its rows, without scanning it.

What lives here: a handful of seeks in the table's b-tree. Must not know: batches, conditions.
"""

from __future__ import annotations

import heapq

from dbsync.connectors.sqlite.catalog import RawTable
from dbsync.connectors.sqlite.connection import Connection, quote

_PROBES = 64
_LOCAL_ROWS = 64

Segment = tuple[int, int]
"""First and last rowid of a run of rows; both exist."""


def estimate_rows(connection: Connection, raw: RawTable) -> int:
    """Estimate how many rows a table has; exact for small ones."""
    few = connection.value(
        f"SELECT count(*) FROM (SELECT 1 FROM {quote(raw.name)} LIMIT 1001)",
        doing=f"count rows of table {raw.name}",
    )
    if few <= 1000:
        return int(few)
    if raw.rowid is None:
        return _rows_by_pages(connection)
    segments = dense_segments(connection, raw, _PROBES // 4)
    total = sum(_weigh(connection, raw, segment) for segment in segments)
    return max(int(few), min(total, _rows_by_pages(connection)))


def _rows_by_pages(connection: Connection) -> int:
    """Bound the rows of any table by the size of the file: a row takes at least four bytes."""
    pages = connection.value("PRAGMA page_count")
    return int(pages * connection.value("PRAGMA page_size") // 4)


def split_rowids(connection: Connection, raw: RawTable, parts: int) -> list[int]:
    """Choose rowids that cut the table into about `parts` equal ranges; each begins a range.

    Works by halving the widest stretch of rowids and dropping the gap in its middle, so that
    neither a lone huge rowid nor clusters upset it.
    """
    if parts < 2 or raw.rowid is None:
        return []
    segments = dense_segments(connection, raw, max(_PROBES, 4 * parts))
    weights = [_weigh(connection, raw, segment) for segment in segments]
    share = sum(weights) / parts
    cuts: list[int] = []
    filled = 0.0
    for (first, last), weight in zip(segments, weights, strict=True):
        start = filled
        filled += weight
        while len(cuts) + 1 < parts and share * (len(cuts) + 1) < filled:
            within = (share * (len(cuts) + 1) - start) / weight
            cut = first + int((last - first + 1) * within)
            if cuts and cut <= cuts[-1]:
                break
            cuts.append(cut)
    return [cut for cut in cuts if cut > segments[0][0]] if segments else []


def dense_segments(connection: Connection, raw: RawTable, probes: int) -> list[Segment]:
    """List runs of rowids with the largest gaps taken out, by at most `probes` seeks."""
    name, table = quote(raw.rowid or "rowid"), quote(raw.name)
    doing = f"find the row ranges of table {raw.name}"
    low, high = connection.rows(
        f"SELECT (SELECT min({name}) FROM {table}), (SELECT max({name}) FROM {table})", doing=doing
    )[0]
    if low is None:
        return []
    heap: list[tuple[int, ...]] = [(low - high, low, high)]
    done: list[Segment] = []
    for _ in range(probes):
        if not heap:
            break
        width, first, last = heapq.heappop(heap)
        if -width < _LOCAL_ROWS:
            done.append((first, last))
            continue
        middle = first + (last - first) // 2 + 1
        before, after = connection.rows(
            f"SELECT (SELECT max({name}) FROM {table} WHERE {name} < {_number(middle)}),"
            f" (SELECT min({name}) FROM {table} WHERE {name} >= {_number(middle)})",
            doing=doing,
        )[0]
        for segment in ((first, before), (after, last)):
            heapq.heappush(heap, (segment[0] - segment[1], *segment))
    return sorted(done + [(first, last) for _, first, last in heap])


def _weigh(connection: Connection, raw: RawTable, segment: Segment) -> int:
    """Estimate the rows of a segment from how close the first ones stand together."""
    first, last = segment
    name = quote(raw.rowid or "rowid")
    count, reached = connection.rows(
        f"SELECT count(*), max(r) FROM (SELECT {name} AS r FROM {quote(raw.name)}"
        f" WHERE {name} >= {_number(first)} AND {name} <= {_number(last)} LIMIT {_LOCAL_ROWS})",
        doing=f"count rows of table {raw.name}",
    )[0]
    return max(1, count * (last - first + 1) // max(1, reached - first + 1))


def range_condition(raw: RawTable, low: int | None, high: int | None) -> str:
    """Write the SQL for ``low <= rowid < high``; empty where both ends are open."""
    name = quote(raw.rowid or "rowid")
    parts = []
    if low is not None:
        parts.append(f"{name} >= {_number(low)}")
    if high is not None:
        parts.append(f"{name} < {_number(high)}")
    return " AND ".join(parts)


def _number(value: int) -> str:
    # The least integer cannot be written as a minus and a number: the number would be a REAL.
    return "(-9223372036854775807 - 1)" if value == -(2**63) else str(value)
