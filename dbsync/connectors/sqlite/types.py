"""SQLite's declared types and the logical types, in both directions.

What lives here: affinity, what a declared type means, and the declared type that the target
writes for each logical type, such that the source reads the same logical type back. Declared
types ending in ``_TEXT`` are dbsync's own: they have TEXT affinity, so no text is ever turned
into a number. Must not know: connections, values.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from dbsync.model.types import LogicalType, TypeName, decimal, integer

Affinity = Literal["integer", "text", "blob", "real", "numeric"]
EXACT_DOUBLE_DIGITS = 15
"""Decimals of so many digits survive the way through a double unchanged."""

_DECLARED = re.compile(r"^\s*([^(]*?)\s*(?:\(\s*([^)]*?)\s*\)\s*(.*))?$", re.DOTALL)
_INTEGER_BITS = {
    "TINYINT": 8, "INT1": 8, "SMALLINT": 16, "INT2": 16, "INT4": 32, "MEDIUMINT": 32,
}  # fmt: skip
_BY_TEXT: dict[str, TypeName] = {
    "DATE": "date", "TIME": "time", "TIMETZ": "time_tz",
    "DATETIME": "timestamp", "TIMESTAMP": "timestamp", "TIMESTAMP WITHOUT TIME ZONE": "timestamp",
    "TIMESTAMPTZ": "timestamp_tz", "TIMESTAMP WITH TIME ZONE": "timestamp_tz",
    "JSON": "json", "JSON_TEXT": "json", "UUID": "uuid", "UUID_TEXT": "uuid",
    "NUMERIC_TEXT": "numeric", "DURATION_TEXT": "interval", "ENUM_TEXT": "enum",
}  # fmt: skip
"""Types that only a text can be; a column of numbers under such a name is a column of numbers."""


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """A declared type, taken apart."""

    base: str
    """Upper case, single blanks, without arguments."""
    arguments: tuple[int, ...] = ()
    unsigned: bool = False


def affinity(declared: str, *, strict: bool = False) -> Affinity:
    """Apply SQLite's rules of column affinity (https://sqlite.org/datatype3.html, 3.1)."""
    upper = declared.upper()
    if strict and upper == "ANY":
        return "blob"
    if "INT" in upper:
        return "integer"
    if any(part in upper for part in ("CHAR", "CLOB", "TEXT")):
        return "text"
    if "BLOB" in upper or not upper.strip():
        return "blob"
    if any(part in upper for part in ("REAL", "FLOA", "DOUB")):
        return "real"
    return "numeric"


def take_apart(declared: str) -> Declared:
    """Split a declared type into its name, whole-number arguments and UNSIGNED."""
    match = _DECLARED.match(declared)
    if match is None:
        return Declared(base=declared.upper())
    words = f"{match[1]} {match[3] or ''}".upper().split()
    arguments = tuple(
        int(a) for a in (match[2] or "").split(",") if a.strip().lstrip("-").isdigit()
    )
    return Declared(
        base=" ".join(word for word in words if word != "UNSIGNED"),
        arguments=arguments,
        unsigned="UNSIGNED" in words,
    )


def logical_type(
    declared: str, klass: str | None, *, strict: bool = False, labels: tuple[str, ...] = ()
) -> LogicalType:
    """Say what a column means, from its declared type and the storage class of most of its values.

    `klass` is integer, real, text, blob, or None for a column without values; `labels` are those
    of an ``ENUM_TEXT`` column's check.
    """
    parts = take_apart(declared)
    kind = affinity(declared, strict=strict)
    if not parts.base or (strict and parts.base == "ANY"):
        return LogicalType(name="any")
    by_text = _BY_TEXT.get(parts.base)
    if by_text == "enum":
        return LogicalType(name="enum", labels=labels) if labels else LogicalType(name="string")
    if by_text is not None and klass in (None, "text"):
        return LogicalType(name=by_text)
    if parts.base in ("UUID", "UUID_TEXT") and klass == "blob":
        return LogicalType(name="binary")
    if parts.base in ("BOOLEAN", "BOOL") and klass in (None, "integer"):
        return LogicalType(name="boolean")
    if parts.base in ("DECIMAL", "NUMERIC", "DECIMAL_TEXT"):
        return _decimal(parts)
    return _by_affinity(parts, kind, klass)


def _decimal(parts: Declared) -> LogicalType:
    if parts.arguments and parts.arguments[0] > 0:
        return decimal(parts.arguments[0], parts.arguments[1] if len(parts.arguments) > 1 else 0)
    return LogicalType(name="numeric")


def _by_affinity(parts: Declared, kind: Affinity, klass: str | None) -> LogicalType:
    if kind == "integer":
        return integer(_INTEGER_BITS.get(parts.base, 64), unsigned=parts.unsigned)
    if kind == "text":
        length = parts.arguments[0] if parts.arguments and "CHAR" in parts.base else None
        return LogicalType(name="string", length=length if length and length > 0 else None)
    if kind == "real":
        return LogicalType(name="float", bits=32 if parts.base == "FLOAT4" else 64)
    if kind == "blob":
        return LogicalType(name="binary")
    # NUMERIC affinity under a name that says nothing: the values say what it is.
    match klass:
        case "integer":
            return integer(64)
        case "real":
            return LogicalType(name="float", bits=64)
        case "text":
            return LogicalType(name="string")
        case "blob":
            return LogicalType(name="binary")
        case _:
            return LogicalType(name="numeric")


def exact_in_double(logical: LogicalType) -> bool:
    """Say whether every value of a decimal type survives the way through a double."""
    precision, scale = logical.precision or 0, logical.scale or 0
    return 1 <= precision <= EXACT_DOUBLE_DIGITS and 0 <= scale <= precision


def declared_type(logical: LogicalType) -> str:
    """Name the type that the target declares for a logical type; empty for ``any``."""
    match logical.name:
        case "integer":
            name = {8: "TINYINT", 16: "SMALLINT", 32: "INT4"}.get(logical.bits or 64, "BIGINT")
            return f"{name} UNSIGNED" if logical.unsigned else name
        case "float":
            return "FLOAT4" if logical.bits == 32 else "DOUBLE"
        case "decimal":
            name = "NUMERIC" if exact_in_double(logical) else "DECIMAL_TEXT"
            return f"{name}({logical.precision or 0},{logical.scale or 0})"
        case "string":
            return f"VARCHAR({logical.length})" if logical.length else "TEXT"
        case _:
            return _PLAIN[logical.name]


_PLAIN: dict[TypeName, str] = {
    "boolean": "BOOLEAN", "numeric": "NUMERIC_TEXT", "binary": "BLOB", "date": "DATE",
    "time": "TIME", "time_tz": "TIMETZ", "timestamp": "TIMESTAMP", "timestamp_tz": "TIMESTAMPTZ",
    "interval": "DURATION_TEXT", "uuid": "UUID_TEXT", "json": "JSON_TEXT", "enum": "ENUM_TEXT",
    "array": "ARRAY_TEXT", "any": "", "native": "NATIVE_TEXT",
}  # fmt: skip


def changed(logical: LogicalType) -> str | None:
    """Say in what other form values of a logical type arrive; None where SQLite keeps the type."""
    match logical.name:
        case "decimal":
            if exact_in_double(logical):
                return None
            return "is kept as text, since SQLite's numbers hold 15 exact digits"
        case "numeric":
            return "is kept as text, since SQLite's numbers hold 15 exact digits"
        case "interval":
            return "is kept as text, since SQLite has no intervals"
        case "array":
            return "is kept as the source's text form, since SQLite has no arrays"
        case "native":
            return "is kept as the source's text form, since SQLite does not know the type"
        case _:
            return None


def stored_class(logical: LogicalType) -> Literal["integer", "real", "text", "blob", "any"]:
    """Name the storage class in which the target writes ordinary values of a logical type."""
    match logical.name:
        case "boolean" | "integer":
            return "integer"
        case "float":
            return "real"
        case "decimal":
            return "real" if exact_in_double(logical) else "text"
        case "binary":
            return "blob"
        case "any":
            return "any"
        case _:
            return "text"
