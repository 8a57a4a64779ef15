"""Comparing rows wherever they came from: one byte string per row, and a digest of many rows.

What lives here: the canonical form of ``formats/types-v1.md``, in which equal values of a logical
type are equal bytes whatever engine stored them, and different ones differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import msgspec
import pyarrow as pa

from dbsync.model.schema import Column, Table
from dbsync.model.types import LogicalType
from dbsync.model.values.convert import Converted, convert, standard_type
from dbsync.model.values.exceptions import column_values
from dbsync.model.values.kernels import matches, pc
from dbsync.model.values.numbers import shortest_number
from dbsync.model.values.parse import from_text
from dbsync.model.values.text import BYTES_PATTERN, decimal_text, float_text, parse_bytes

_MODULUS = 1 << 128
_NULL = b"~"
_END = b";"


class RowsDigest(msgspec.Struct, frozen=True):
    """A digest of a multiset of rows: how many, and the sum of their hashes modulo 2^128.

    Independent of order; digests of parts add up to that of the whole.
    """

    count: int = 0
    sum: int = 0

    def __add__(self, other: RowsDigest) -> RowsDigest:
        return RowsDigest(self.count + other.count, (self.sum + other.sum) % _MODULUS)


def row_digests(rows: pa.Array) -> RowsDigest:
    """Digest canonical rows, as `canonical` gives them: blake2b of 128 bits each, added up."""
    total = 0
    for row in rows.to_pylist():
        total += int.from_bytes(blake2b(row, digest_size=16).digest(), "little")
    return RowsDigest(len(rows), total % _MODULUS)


def canonical(
    batch: pa.RecordBatch, table: Table, columns: Sequence[str] | None = None
) -> pa.Array:
    """Write each row of a batch as one byte string, equal exactly where the rows are equal.

    `columns` (default: all of the table) are written in the order given. `table` says what the
    columns mean: to compare two databases, read both under one table's logical types; the values
    may be stored in any type. Values that have no equal in their logical type are compared as
    their storage class and bytes.
    """
    names = [column.name for column in table.columns] if columns is None else columns
    cells = [_cells(batch, table.column(name)) for name in names]
    if not cells:
        return pa.array([b""] * len(batch), pa.binary())
    return pc.binary_join_element_wise(*cells, pa.scalar(b""))


def _cells(batch: pa.RecordBatch, column: Column) -> pa.Array:
    """Write one column so that no cell is the beginning of another: rows are just joined."""
    values, exceptions = column_values(batch, column)
    logical = column.type
    if logical.name == "any":
        cells = _by_class(values, exceptions)
    elif logical.name == "binary" and pa.types.is_string(values.type) and exceptions is None:
        cells = _bytes_kept_as_text(values)
    else:
        if logical.name == "timestamp_tz" and values.type == pa.timestamp("us"):
            # Kept in a column without a zone, where moments are written in UTC.
            values = values.view(pa.timestamp("us", "UTC"))
        found = convert(values, exceptions, logical, standard_type(column))
        cells = _by_value(found, logical)
        if found.failed is not None:
            cells = pc.if_else(found.failed, _by_class(values, exceptions), cells)
    return cells.fill_null(_NULL)


def _bytes_kept_as_text(values: pa.StringArray) -> pa.Array:
    """Write the bytes that canonical text stands for; other text is compared as such."""
    known = matches(values, BYTES_PATTERN)
    bytes_ = parse_bytes(pc.if_else(known, values, pa.scalar(None, pa.string())))
    return pc.if_else(known, _measured(bytes_), _by_class(values, None))


def _by_value(found: Converted, logical: LogicalType) -> pa.Array:
    values, literals = found.values, found.literals
    if literals is None:
        return _delimited(values, logical)
    if pa.types.is_string(values.type):
        return _delimited(pc.coalesce(values, literals), logical)
    # A literal that has a value after all (a date BC) equals that value; one that this version
    # cannot read is compared as it stands.
    read, known, unread = from_text(literals, logical, values.type)
    cells = _delimited(pc.coalesce(values, read), logical)
    if known is not None:
        cells = pc.coalesce(cells, _tagged("literal", known))
    if unread is not None:
        cells = pc.if_else(unread, _tagged("literal", literals), cells)
    return cells


def _delimited(values: pa.Array, logical: LogicalType) -> pa.Array:
    """Write standard values: the closed alphabets end with a semicolon, others carry a length."""
    match logical.name:
        case "boolean" | "integer":
            text = values.cast(pa.string())
        case "float":
            text = float_text(values)
            text = pc.if_else(pc.equal(text, "-0"), "0", text)
        case "decimal" | "numeric" if pa.types.is_decimal(values.type):
            text = shortest_number(decimal_text(values))
        case "decimal" | "numeric":
            text = shortest_number(values)
        case "date":
            text = values.view(pa.int32()).cast(pa.string())
        case "time" | "timestamp" | "timestamp_tz":
            text = values.view(pa.int64()).cast(pa.string())
        case _:
            return _measured(values.cast(pa.binary()))
    return pc.binary_join_element_wise(text.cast(pa.binary()), b"", _END)


def _by_class(values: pa.Array, exceptions: pa.StructArray | None) -> pa.Array:
    """Write values as their storage class and bytes, for those that no logical type compares."""
    kind = values.type
    if pa.types.is_integer(kind):
        cells = _tagged("integer", values.cast(pa.string()))
    elif pa.types.is_floating(kind):
        cells = _tagged("real", float_text(values))
    elif pa.types.is_string(kind):
        cells = _tagged("text", values)
    elif pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind):
        cells = _tagged("blob", values)
    else:
        cells = _tagged(str(kind), values.cast(pa.string()))
    if exceptions is None:
        return cells
    for name in exceptions.field("kind").unique().drop_null().to_pylist():
        chosen = pc.equal(exceptions.field("kind"), name).fill_null(False)
        chosen = pc.and_(chosen, exceptions.is_valid())
        value = exceptions.field("value")
        if name == "real":
            # One spelling: sources may write 1 as 1.0 and an infinity as inf.
            reals = pc.if_else(chosen, value, None).cast(pa.string()).cast(pa.float64())
            value = float_text(reals)
        cells = pc.if_else(chosen, _tagged(name, value), cells)
    return cells


def _tagged(kind: str, values: pa.Array) -> pa.Array:
    prefix = pa.scalar(f"!{kind}!".encode())
    return pc.binary_join_element_wise(prefix, _measured(values.cast(pa.binary())), b"")


def _measured(values: pa.Array) -> pa.Array:
    length = pc.binary_length(values).cast(pa.string()).cast(pa.binary())
    return pc.binary_join_element_wise(length, values, b":")
