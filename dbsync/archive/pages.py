"""A look at every Parquet page before anything is decoded: checksums, sizes, encodings.

What lives here: walking over page headers, which bounds what decoding may cost, because the
footer's own figures can be forged. Must not know: tables, tar.
Sources: parquet-format, ``parquet.thrift`` and ``Encodings.md``.
"""

from __future__ import annotations

import zlib
from collections.abc import Container
from dataclasses import dataclass
from typing import cast

from dbsync.archive.footer import BadParquet, Footer
from dbsync.archive.thrift import BadThrift, Struct, read_struct

_DATA_PAGE, _DICTIONARY_PAGE = 0, 2
_PLAIN, _PLAIN_DICTIONARY, _RLE, _RLE_DICTIONARY = 0, 2, 3, 8
_DELTA, _DELTA_LENGTH, _SPLIT = 5, 6, 9
_DATA_ENCODINGS = frozenset(
    {_PLAIN, _PLAIN_DICTIONARY, _RLE, _DELTA, _DELTA_LENGTH, _RLE_DICTIONARY, _SPLIT}
)
_DICTIONARY_ENCODINGS = frozenset({_PLAIN, _PLAIN_DICTIONARY})
_MAX_HEADER = 1 << 20
_BYTE_ARRAY = 6
_WIDTHS = {0: 1, 1: 4, 2: 8, 4: 4, 5: 8, _BYTE_ARRAY: 4, 7: 16}
"""Bytes of a value in Arrow by physical type; for byte arrays, of its offset."""


@dataclass(frozen=True, slots=True)
class PageSummary:
    """What the pages of a chunk really hold.

    `decoded_bytes` bounds the Arrow size of everything but byte arrays with a dictionary, whose
    leaf columns are listed in `dictionaries` by number.
    """

    decoded_bytes: int
    dictionaries: frozenset[int]


def scan_pages(
    view: memoryview, footer: Footer, max_bytes: int, leaves: Container[int] | None = None
) -> PageSummary:
    """Walk over the pages of every column chunk.

    Checks that the column chunks lie one behind the other and fill the file up to its footer, that
    each page carries a CRC that fits, an allowed encoding, and that the values of each column
    chunk are as many as its row group's rows. With `leaves`, of other leaf columns only the place
    is checked, and `view` need not hold their pages. Raises `BadParquet` with the code that fits.
    """
    position = 4
    decoded = 0
    dictionaries: set[int] = set()
    for rows, columns in footer.groups:
        for leaf, column in enumerate(columns):
            end = position + column.size
            if column.start != position or end > footer.start:
                raise BadParquet("column chunks do not lie one behind the other")
            if leaves is not None and leaf not in leaves:
                position = end
                continue
            width = _WIDTHS.get(column.physical)
            if width is None:
                raise BadParquet(f"a column has the physical type {column.physical}")
            walk = _ColumnWalk(view[position:end], max_bytes)
            if not walk.values == column.values == rows:
                raise BadParquet(f"a column has {walk.values} values for {rows} rows")
            decoded += rows * width
            if column.physical == _BYTE_ARRAY:
                decoded += walk.bytes
                if walk.dictionary:
                    dictionaries.add(leaf)
            if decoded > max_bytes:
                raise BadParquet(f"it would decode to more than {max_bytes} bytes", "E_LIMIT")
            position = end
    if position != footer.start:
        raise BadParquet("there are bytes that belong to no column")
    return PageSummary(decoded, frozenset(dictionaries))


class _ColumnWalk:
    """The pages of one column chunk."""

    def __init__(self, data: memoryview, max_bytes: int) -> None:
        self.values = 0
        self.bytes = 0
        self.dictionary = False
        position = 0
        while position < len(data):
            try:
                header, length = read_struct(data[position : position + _MAX_HEADER])
            except BadThrift as error:
                raise BadParquet(f"a page header cannot be read: {error}") from error
            position += length
            packed, plain = header.get(3), header.get(2)
            if not isinstance(packed, int) or not isinstance(plain, int) or packed < 0 or plain < 0:
                raise BadParquet("a page header lacks its sizes")
            if plain > max_bytes:
                raise BadParquet(f"a page would decode to {plain} bytes", "E_LIMIT")
            page = data[position : position + packed]
            if len(page) != packed:
                raise BadParquet("a page is longer than its column")
            self._page(header, page, first=position == length)
            self.bytes += plain
            position += packed

    def _page(self, header: Struct, page: memoryview, *, first: bool) -> None:
        crc = header.get(4)
        if not isinstance(crc, int):
            raise BadParquet("a page carries no checksum", "E_CHECKSUM")
        if zlib.crc32(page) != crc & 0xFFFFFFFF:
            raise BadParquet("a page is damaged: its checksum does not fit", "E_CHECKSUM")
        kind = header.get(1)
        if kind == _DICTIONARY_PAGE and first:
            self.dictionary = True
            detail, allowed = header.get(7), _DICTIONARY_ENCODINGS
        elif kind == _DATA_PAGE:
            detail, allowed = header.get(5), _DATA_ENCODINGS
        else:
            raise BadParquet(f"a page has type {kind}")
        fields: Struct = cast("Struct", detail) if isinstance(detail, dict) else {}
        encoding, count = fields.get(2), fields.get(1)
        if not isinstance(encoding, int) or encoding not in allowed:
            raise BadParquet("a page is encoded in a way that the format does not allow")
        if not isinstance(count, int) or count < 0:
            raise BadParquet("a page header lacks its number of values")
        if kind == _DATA_PAGE:
            self.values += count
