"""Some columns of a chunk, without the bytes of the others.

What lives here: which bytes of a Parquet file some columns need, and a file in memory in which
only those are filled in. Must not know: where the bytes come from, tar.

The digest of a member proves all of its bytes or none, so it cannot be checked here. What is
checked instead: the layout of the whole file, the CRC of every page that is read, the rows.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from dbsync.archive.decode import leaf_numbers
from dbsync.archive.footer import BadParquet, Footer, parse_footer
from dbsync.archive.layout import mismatch
from dbsync.archive.limits import KIB, Limits
from dbsync.model.schema import Table

ReadPart = Callable[[int, int], bytes]
"""Reads (offset, length) of the content of one member."""

_FOOTER_GUESS = 32 * KIB
_SMALL = 128 * KIB
"""A chunk of this size is read whole: another request costs more than its bytes."""
_GAP = 64 * KIB
_WORTH = 0.75
"""Share of a chunk from which on it is read whole, with its digest."""


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of a chunk; with `leaves`, only the footer and the pages of these leaf columns."""

    data: pa.Buffer
    leaves: frozenset[int] | None = None


def read_columns(
    table: Table,
    size: int,
    columns: tuple[Sequence[str], Sequence[str]],
    read: ReadPart,
    limits: Limits,
) -> Content | None:
    """Read what decoding some `columns` of a chunk of `size` bytes needs, with their exceptions.

    Those in the second list are read only where the chunk has exceptions of theirs. None where it
    is better, or only safe, to read the whole. Raises `ArchiveError`, and what `read` raises.
    """
    if size <= _SMALL:
        return None
    tail = read(size - _FOOTER_GUESS, _FOOTER_GUESS)
    length = int.from_bytes(tail[-8:-4], "little") + 8
    if length > size - 4 or length - 8 > limits.max_footer_bytes:
        raise mismatch(table, "it is not a Parquet file")
    if length > len(tail):
        tail = read(size - length, length - len(tail)) + tail
    start = size - len(tail)
    sparse = mmap.mmap(-1, size)  # pages that nobody fills in cost no memory
    sparse[:4] = b"PAR1"  # the one part of the file that lies before the pages
    sparse[start:] = tail
    view = memoryview(sparse)
    try:
        footer = parse_footer(view, limits.max_footer_bytes)
    except BadParquet as error:
        raise mismatch(table, str(error), error.code) from error
    leaves = leaf_numbers(table, view, *columns)
    if leaves is None:
        return None
    ranges = list(_coalesced(_ranges(footer, leaves, table), start))
    if sum(end - begin for begin, end in ranges) > _WORTH * size:
        return None
    for begin, end in ranges:
        sparse[begin:end] = read(begin, end - begin)
    return Content(pa.py_buffer(sparse), leaves)


def _ranges(footer: Footer, leaves: frozenset[int], table: Table) -> Iterator[tuple[int, int]]:
    """Yield the column chunks in the order in which they must lie in the file."""
    position = 4
    for _, columns in footer.groups:
        for leaf, column in enumerate(columns):
            end = position + column.size
            if column.start != position or end > footer.start:
                raise mismatch(table, "column chunks do not lie one behind the other")
            if leaf in leaves:
                yield position, end
            position = end


def _coalesced(ranges: Iterator[tuple[int, int]], known: int) -> Iterator[tuple[int, int]]:
    """Join ranges that lie close together; leave out what is behind `known`."""
    begin = end = 0
    for first, last in ranges:
        last = min(last, known)  # noqa: PLW2901
        if first >= last:
            continue
        if end and first - end <= _GAP:
            end = last
            continue
        if end:
            yield begin, end
        begin, end = first, last
    if end:
        yield begin, end
