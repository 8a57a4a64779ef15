"""Logical types: what a column means, whatever engine it came from.

What lives here: the closed list of logical types and the Arrow type in which each travels when
nothing forces another one. ``formats/types-v1.md`` says what every engine makes of each.
Must not know: native type names of any engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    import pyarrow as pa

TypeName = Literal[
    "boolean",
    "integer",  # bits 8, 16, 32 or 64; unsigned or not
    "float",  # bits 32 or 64
    "decimal",  # precision and scale fixed
    "numeric",  # any number of digits; travels as text
    "string",  # Unicode text, at most `length` characters where that is set
    "binary",
    "date",
    "time",
    "time_tz",
    "timestamp",  # wall clock, no zone
    "timestamp_tz",  # a moment; travels in UTC
    "interval",
    "uuid",
    "json",
    "enum",  # `labels` in order
    "array",  # of `element`; travels as the source's text form
    "any",  # SQLite column without a declared type
    "native",  # known to its own engine only; travels as that engine's text form
]

MAX_DECIMAL_PRECISION = 38
"""Above this, readers of Parquet fall back to floating point, so the value travels as text."""


class LogicalType(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One logical type with its parameters; parameters that do not apply stay None."""

    name: TypeName
    bits: int | None = None
    unsigned: bool = False
    precision: int | None = None
    scale: int | None = None
    length: int | None = None
    labels: tuple[str, ...] = ()
    element: LogicalType | None = None

    def __str__(self) -> str:
        """Give the form used in messages and in the loss report, such as ``decimal(10,2)``."""
        if self.name in ("integer", "float"):
            return f"{'unsigned ' if self.unsigned else ''}{self.name}{self.bits}"
        if self.name == "decimal":
            return f"decimal({self.precision},{self.scale})"
        if self.name == "array":
            return f"array of {self.element or 'native'}"
        if self.length is not None:
            return f"{self.name}({self.length})"
        return self.name


def integer(bits: int, *, unsigned: bool = False) -> LogicalType:
    """Name an integer of 8, 16, 32 or 64 bits."""
    return LogicalType(name="integer", bits=bits, unsigned=unsigned)


def decimal(precision: int, scale: int) -> LogicalType:
    """Name an exact decimal; precision beyond 38 or an odd scale travels as text."""
    return LogicalType(name="decimal", precision=precision, scale=scale)


def standard_storage(logical: LogicalType) -> str:
    """Name the Arrow type in which values of `logical` travel in batches and chunks.

    A source may declare another one per column (`Column.storage`) where its values demand it, as
    SQLite does. The names are those that `parse_storage` reads.
    """
    match logical.name:
        case "boolean":
            return "bool"
        case "integer":
            return f"{'u' if logical.unsigned else ''}int{logical.bits}"
        case "float":
            return "float" if logical.bits == 32 else "double"
        case "decimal":
            precision, scale = logical.precision or 0, logical.scale or 0
            if 1 <= precision <= MAX_DECIMAL_PRECISION and 0 <= scale <= precision:
                return f"decimal128({precision}, {scale})"
            return "string"
        case "binary" | "any":
            return "binary"
        case "date":
            return "date32[day]"
        case "time":
            return "time64[us]"
        case "timestamp":
            return "timestamp[us]"
        case "timestamp_tz":
            return "timestamp[us, tz=UTC]"
        case "uuid":
            return "fixed_size_binary[16]"
        case _:
            return "string"


def parse_storage(name: str) -> pa.DataType:
    """Turn a storage name, as ``str(pyarrow type)`` writes it, into the Arrow type.

    Raises ValueError for a name outside the closed list of archive v1.
    """
    import pyarrow as pa

    fixed: dict[str, pa.DataType] = {
        "bool": pa.bool_(),
        "float": pa.float32(),
        "double": pa.float64(),
        "string": pa.string(),
        "binary": pa.binary(),
        "date32[day]": pa.date32(),
        "time64[us]": pa.time64("us"),
        "timestamp[us]": pa.timestamp("us"),
        "timestamp[us, tz=UTC]": pa.timestamp("us", "UTC"),
        "fixed_size_binary[16]": pa.binary(16),
        **{str(t): t for t in (pa.int8(), pa.int16(), pa.int32(), pa.int64())},
        **{str(t): t for t in (pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())},
    }
    if name in fixed:
        return fixed[name]
    if name.startswith("decimal128(") and name.endswith(")"):
        precision, scale = (int(part) for part in name[len("decimal128(") : -1].split(","))
        return pa.decimal128(precision, scale)
    raise ValueError(f"unknown storage type {name!r}")
