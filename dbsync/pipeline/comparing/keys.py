"""Keys as bytes that sort like the keys themselves, the same from every engine.

What lives here: `KeyOrder`, which gives each row of a batch its position, and keys as text for
people. Positions are made from canonical cells, so equal keys have equal positions whatever
stored them; different keys may share one (long texts, numbers beyond a double), never the other
way round. Must not know: archives, databases, digests.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa

from dbsync.model.schema import Column, Table
from dbsync.model.types import LogicalType
from dbsync.model.values import canonical
from dbsync.model.values.kernels import pc

WIDTH = 64
"""Bytes of a position, at most; a longer key is cut."""

_NULL, _VALUE, _ODD = b"\0", b"\1", b"\2"
_INTEGERS = ("integer", "date", "time", "timestamp", "timestamp_tz")
_NUMBERS = ("float", "decimal", "numeric")
_SIGN = np.uint64(1 << 63)
_SHOWN = 60


class KeyOrder:
    """The order of a table's rows by some of its columns; `columns` carry the logical types."""

    def __init__(self, columns: Sequence[Column]):
        self.columns = tuple(columns)
        fixed = [9 if c.type.name in (*_INTEGERS, *_NUMBERS) else WIDTH for c in columns]
        self.width = min(WIDTH, sum(fixed))

    @property
    def leads_with_integer(self) -> bool:
        """Say whether the first column is a signed integer, of which ranges can be asked."""
        logical = self.columns[0].type
        return logical.name == "integer" and not logical.unsigned

    def cells(self, batch: pa.RecordBatch, table: Table, names: Sequence[str]) -> list[pa.Array]:
        """Write the key columns of a batch, called `names` there, as canonical cells."""
        return [canonical(batch, table, [name]) for name in names]

    def positions(self, cells: Sequence[pa.Array]) -> pa.Array:
        """Give each row the bytes by which it is sorted; trailing columns may be left out."""
        parts = [_sortable(cell, c.type) for cell, c in zip(cells, self.columns, strict=False)]
        return parts[0] if len(parts) == 1 else pc.binary_join_element_wise(*parts, b"")

    def text(self, cells: Sequence[bytes]) -> dict[str, str]:
        """Write one key for people: column to value."""
        return {c.name: _shown(cell, c.type) for cell, c in zip(cells, self.columns, strict=True)}

    def bound(self, position: bytes, *, upper: bool) -> dict[str, str]:
        """Write the least or greatest key that begins with `position`, as far as it goes."""
        shown: dict[str, str] = {}
        for column in self.columns:
            kind, position = position[:1], position[1:]
            if kind != _VALUE:
                break
            logical = column.type
            if logical.name not in (*_INTEGERS, *_NUMBERS):
                text, ended, position = position.partition(b"\0")
                more = "" if ended or not upper else "\N{HORIZONTAL ELLIPSIS}"
                shown[column.name] = _bytes_text(text, logical) + more
                if not ended:
                    break
                continue
            full = (position + (b"\xff" if upper else b"\0") * 8)[:8]
            shown[column.name] = _number_text(full, logical)
            if len(position) < 8:
                break
            position = position[8:]
        return shown


def integer_position(value: int) -> bytes:
    """Give the position of a signed integer of 64 bits as the first column of a key."""
    return _VALUE + (value + (1 << 63)).to_bytes(8, "big")


def integer_of(position: bytes, *, upper: bool) -> int | None:
    """Read back the first column of a position, or of the beginning of one; None where it is no
    integer. The rest is taken as low or, with `upper`, as high as it can be."""
    if position[:1] != _VALUE:
        return None
    full = (position[1:] + (b"\xff" if upper else b"\0") * 8)[:8]
    return int.from_bytes(full, "big") - (1 << 63)


def _sortable(cells: pa.Array, logical: LogicalType) -> pa.Array:
    """Turn canonical cells of one column into a tag and bytes that sort like the values."""
    null = pc.equal(cells, pa.scalar(b"~", pa.binary()))
    odd = pc.starts_with(cells, pattern=b"!")
    special = pc.or_(null, odd)
    if logical.name in (*_INTEGERS, *_NUMBERS):
        text = pc.if_else(special, pa.scalar(b"0;", pa.binary()), cells).cast(pa.string())
        text = pc.utf8_rtrim(text, ";")
        if logical.name in _NUMBERS:
            sortable = _from_floats(text.cast(pa.float64()))
        else:
            sortable = _from_integers(text, unsigned=logical.unsigned)
    elif logical.name == "boolean":
        sortable = cells
    else:
        text = pc.replace_substring_regex(
            cells, pattern="^[0-9]+:", replacement="", max_replacements=1
        )
        sortable = _joined(text, b"\0")
    values = _joined(_VALUE, sortable)
    if not pc.any(special).as_py():
        return values
    others = pc.if_else(null, pa.scalar(_NULL, pa.binary()), _joined(_ODD, cells))
    return pc.if_else(special, others, values)


def _joined(left: pa.Array | bytes, right: pa.Array | bytes) -> pa.Array:
    parts = [pa.scalar(p, pa.binary()) if isinstance(p, bytes) else p for p in (left, right)]
    return pc.binary_join_element_wise(*parts, pa.scalar(b"", pa.binary()))


def _from_integers(text: pa.Array, *, unsigned: bool) -> pa.Array:
    if unsigned:
        return _big_endian(np.asarray(text.cast(pa.uint64())))
    return _big_endian(np.asarray(text.cast(pa.int64())).view(np.uint64) ^ _SIGN)


def _from_floats(values: pa.Array) -> pa.Array:
    # The bits of doubles sort like the doubles once negative ones are turned round.
    bits = (np.asarray(values, dtype=np.float64) + 0.0).view(np.uint64)
    return _big_endian(np.where(bits & _SIGN, ~bits, bits | _SIGN))


def _big_endian(numbers: np.ndarray[Any, Any]) -> pa.Array:
    raw = pa.py_buffer(numbers.astype(">u8").tobytes())
    return pa.Array.from_buffers(pa.binary(8), len(numbers), [None, raw]).cast(pa.binary())


def _number_text(raw: bytes, logical: LogicalType) -> str:
    bits = int.from_bytes(raw, "big")
    if logical.name in _NUMBERS:
        bits = bits ^ (1 << 63) if bits >> 63 else bits ^ ((1 << 64) - 1)
        return repr(struct.unpack(">d", bits.to_bytes(8, "big"))[0])
    return _integer_text(bits if logical.unsigned else bits - (1 << 63), logical)


def _shown(cell: bytes, logical: LogicalType) -> str:
    """Write one canonical cell for people."""
    if cell == b"~":
        return "NULL"
    if cell.startswith(b"!"):
        return _bytes_text(cell[1:].partition(b"!")[2].partition(b":")[2], None)
    if logical.name in _INTEGERS:
        return _integer_text(int(cell[:-1]), logical)
    if logical.name in (*_NUMBERS, "boolean"):
        return cell[:-1].decode()
    return _bytes_text(cell.partition(b":")[2], logical)


def _integer_text(value: int, logical: LogicalType) -> str:
    try:
        match logical.name:
            case "date":
                return (date(1970, 1, 1) + timedelta(days=value)).isoformat()
            case "time":
                return (datetime(1970, 1, 1) + timedelta(microseconds=value)).time().isoformat()
            case "timestamp" | "timestamp_tz":
                moment = (datetime(1970, 1, 1) + timedelta(microseconds=value)).isoformat(" ")
                return moment + ("+00" if logical.name == "timestamp_tz" else "")
            case _:
                return str(value)
    except OverflowError:  # years that Python does not know
        return str(value)


def _bytes_text(raw: bytes, logical: LogicalType | None) -> str:
    if logical is not None and logical.name == "uuid" and len(raw) == 16:
        return str(UUID(bytes=raw))
    if logical is not None and logical.name == "binary":
        return "\\x" + _cut(raw.hex())
    return _cut(raw.decode("utf-8", "backslashreplace"))


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "\N{HORIZONTAL ELLIPSIS}"


def key_text(key: dict[str, str]) -> str:
    """Join the columns of a key into one text."""
    return ", ".join(f"{name}={value}" for name, value in key.items())


def key_columns(table: Table) -> tuple[str, ...]:
    """Name the columns that identify a row: the primary key, else a key without NULLs; or none."""
    if table.primary_key is not None and table.primary_key.columns:
        return table.primary_key.columns
    nullable = {c.name for c in table.columns if c.nullable}
    return next((k.columns for k in table.uniques if _usable(k.columns, nullable)), ())


def _usable(columns: Iterable[str], nullable: set[str]) -> bool:
    names = set(columns)
    return bool(names) and not names & nullable
