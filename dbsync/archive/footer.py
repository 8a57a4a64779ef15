"""The footer of a Parquet file, read by our own hands before pyarrow sees it.

What lives here: the figures that `dbsync.archive.pages` checks the pages against, and refusing
what archives do not use. pyarrow's own view of column metadata is not asked: it ends the process
on some malformed footers (a size histogram of the wrong length, for one). Must not know: tables.
Source: parquet-format, ``parquet.thrift``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from dbsync.archive.thrift import BadThrift, Struct, read_struct

_MAGIC = b"PAR1"
_ZSTD = 6
# FileMetaData, ColumnChunk and ColumnMetaData may have these fields only: no key-value metadata
# (an ARROW:schema would change types), no other files, no encryption, indexes or Bloom filters.
_FILE_FIELDS = frozenset({1, 2, 3, 4, 6, 7})
_CHUNK_FIELDS = frozenset({2, 3})
_COLUMN_FIELDS = frozenset({1, 2, 3, 4, 5, 6, 7, 9, 11, 12, 13, 16})
_SIZE_STATISTICS = 16
_OPTIONAL = 1


class BadParquet(Exception):  # becomes an ArchiveError that names the table
    """The bytes are not Parquet as the format allows it; `code` is the error name that fits."""

    def __init__(self, message: str, code: str = "E_SCHEMA_MISMATCH") -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class ColumnChunk:
    """One column of one row group: physical type and where its pages are."""

    physical: int
    values: int
    start: int
    size: int


@dataclass(frozen=True, slots=True)
class Footer:
    """`groups` has (rows, column chunks) for each row group; `start` is where the footer begins."""

    rows: int
    groups: tuple[tuple[int, tuple[ColumnChunk, ...]], ...]
    start: int


def parse_footer(view: memoryview, max_bytes: int) -> Footer:
    """Read the footer of a Parquet file.

    Raises `BadParquet`, with E_LIMIT for a footer of more than `max_bytes`.
    """
    size = int.from_bytes(view[-8:-4], "little")
    ends = (bytes(view[:4]), bytes(view[-4:]))
    if len(view) < 12 or ends != (_MAGIC, _MAGIC) or size > len(view) - 12:
        raise BadParquet("it is not a Parquet file")
    if size > max_bytes:
        raise BadParquet(f"its footer has {size} bytes", "E_LIMIT")
    start = len(view) - 8 - size
    try:
        fields, used = read_struct(view[start:-8])
    except BadThrift as error:
        raise BadParquet(f"its footer cannot be read: {error}") from error
    if used != size or not fields.keys() <= _FILE_FIELDS:
        raise BadParquet("its footer holds what archives do not use")
    rows = _number(fields, 3)
    levels = _definition_levels(_structs(fields, 2))
    groups = tuple(_group(group, levels) for group in _structs(fields, 4))
    if sum(group[0] for group in groups) != rows:
        raise BadParquet("its row groups do not have the rows of the file")
    return Footer(rows, groups, start)


def _definition_levels(elements: list[Struct]) -> list[int]:
    """Find how often each leaf's path is optional; refuse repeated fields and deep nesting."""
    levels: list[int] = []
    left = [_number(elements[0], 5)] if elements else [0]
    for element in elements[1:]:
        while left and left[-1] == 0:
            left.pop()
        if not left or element.get(3) != _OPTIONAL:
            raise BadParquet("its schema has fields that are not optional")
        left[-1] -= 1
        children = element.get(5)
        if children is None:
            levels.append(len(left))
        elif isinstance(children, int) and children > 0 and len(left) == 1:
            left.append(children)
        else:
            raise BadParquet("its schema is nested in another way than archives use")
    if any(left) or not elements:
        raise BadParquet("its schema is cut off")
    return levels


def _group(fields: Struct, levels: list[int]) -> tuple[int, tuple[ColumnChunk, ...]]:
    rows, columns = _number(fields, 3), _structs(fields, 1)
    if len(columns) != len(levels):
        raise BadParquet("a row group lacks columns")
    return rows, tuple(map(_column, columns, levels))


def _column(fields: Struct, level: int) -> ColumnChunk:
    data = _struct(fields.get(3))
    if not fields.keys() <= _CHUNK_FIELDS or not data.keys() <= _COLUMN_FIELDS:
        raise BadParquet("a column chunk uses what archives do not use")
    if _number(data, 4) != _ZSTD:
        raise BadParquet("its pages are not compressed with zstd")
    if _SIZE_STATISTICS in data:
        _check_size_statistics(_struct(data[_SIZE_STATISTICS]), level)
    start = _number(data, 9)
    if 11 in data:
        start = min(start, _number(data, 11))
    return ColumnChunk(_number(data, 1), _number(data, 5), start, _number(data, 7))


def _check_size_statistics(fields: Struct, level: int) -> None:
    """Demand histograms as long as the levels are many."""
    repetition, definition = fields.get(2, []), fields.get(3, [])
    if not isinstance(repetition, list) or not isinstance(definition, list):
        raise BadParquet("its size statistics are malformed")
    if len(repetition) not in (0, 1) or len(definition) not in (0, level + 1):
        raise BadParquet("its size statistics do not fit")


def _number(fields: Struct, number: int) -> int:
    value = fields.get(number)
    if not isinstance(value, int) or value < 0:
        raise BadParquet("a figure is missing in its footer")
    return value


def _struct(value: object) -> Struct:
    if not isinstance(value, dict):
        raise BadParquet("a struct is missing in its footer")
    return cast("Struct", value)


def _structs(fields: Struct, number: int) -> list[Struct]:
    value = fields.get(number)
    if not isinstance(value, list):
        raise BadParquet("a list is missing in its footer")
    return [_struct(item) for item in cast("list[object]", value)]
