"""Which PostgreSQL type a column of a foreign archive gets, and the spelling of its default.

What lives here: the PostgreSQL column of ``formats/types-v1.md``. Must not know: what exists on
the target, other than what it is told (types known there, enums made for the import).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from msgspec.structs import replace

from dbsync.connectors.postgres.connection import quote_literal
from dbsync.errors import LossError
from dbsync.model.schema import Column, effective_type
from dbsync.model.types import LogicalType, decimal, integer
from dbsync.model.values import standardize

_SIMPLE = {
    "boolean": "boolean",
    "numeric": "numeric",
    "binary": "bytea",
    "date": "date",
    "interval": "interval",
    "uuid": "uuid",
    "json": "json",
}
_TEMPORAL = {
    "time": ("time", "without time zone"),
    "time_tz": ("time", "with time zone"),
    "timestamp": ("timestamp", "without time zone"),
    "timestamp_tz": ("timestamp", "with time zone"),
}
_LONGEST_VARCHAR = 10_485_760
_MOST_DIGITS = 1000

FUNCTIONS = {
    "current_timestamp": "CURRENT_TIMESTAMP",
    "current_date": "CURRENT_DATE",
    "current_time": "LOCALTIME",
    "random_uuid": "gen_random_uuid()",
}
"""The portable functions of defaults. CURRENT_TIME has a zone, which most engines' has not."""

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


def type_text(
    logical: LogicalType, enum_name: Callable[[LogicalType], str | None]
) -> tuple[str, str | None]:
    """Give the PostgreSQL type for a logical type, and how it differs, if it does.

    `enum_name` gives the quoted name of the type made for an enum, None where there is none.
    """
    if logical.name in _SIMPLE:
        return _SIMPLE[logical.name], None
    if logical.name in _TEMPORAL:
        return _temporal(logical)
    match logical.name:
        case "integer":
            return _integer(logical)
        case "float":
            return ("real" if logical.bits == 32 else "double precision"), None
        case "decimal":
            return _decimal(logical)
        case "string":
            return _string(logical)
        case "enum":
            name = enum_name(logical)
            return (name, None) if name else ("text", f"{logical} becomes text")
        case "array" if logical.element is not None:
            text, change = type_text(logical.element, enum_name)
            if logical.element.name not in ("native", "any", "array"):
                return f"{text}[]", change
        case _:
            pass
    return "text", f"{logical} becomes text"


def made_type(text: str, logical: LogicalType) -> tuple[str, LogicalType, bool]:
    """Say what a type that `type_text` gives for `logical` will be once it is made.

    That is its name in pg_catalog (empty where it is not there), what it means, and whether it has
    modifiers; as `dbsync.connectors.postgres.existing.TargetColumn` says of one that exists.
    """
    words = re.sub(r"\([^)]*\)", "", text)
    modified = words != text
    digits = [int(number) for number in re.findall(r"\d+", text)] if modified else []
    kind = _CATALOG.get(words, "")
    match kind:
        case "int2" | "int4" | "int8":
            return kind, integer(8 * int(kind[-1])), modified
        case "numeric" if digits:
            return kind, decimal(digits[0], digits[1]), modified
        case "numeric":
            return kind, LogicalType(name="numeric"), modified
        case "text" | "varchar":
            return kind, LogicalType(name="string", length=next(iter(digits), None)), modified
        case "time" | "timetz" | "timestamp" | "timestamptz":
            return kind, replace(logical, precision=next(iter(digits), None)), modified
        case _:
            return kind, logical, modified


_CATALOG = {
    "boolean": "bool", "smallint": "int2", "integer": "int4", "bigint": "int8", "real": "float4",
    "double precision": "float8", "numeric": "numeric", "text": "text", "varchar": "varchar",
    "bytea": "bytea", "date": "date", "interval": "interval", "uuid": "uuid", "json": "json",
    "time without time zone": "time", "time with time zone": "timetz",
    "timestamp without time zone": "timestamp", "timestamp with time zone": "timestamptz",
}  # fmt: skip


def _temporal(logical: LogicalType) -> tuple[str, str | None]:
    name, zone = _TEMPORAL[logical.name]
    digits = logical.precision
    if digits is None or digits >= 6:
        change = f"{digits} fractional digits become 6" if digits and digits > 6 else None
        return f"{name} {zone}", change
    return f"{name}({digits}) {zone}", None


def _integer(logical: LogicalType) -> tuple[str, str | None]:
    bits = (logical.bits or 64) + (1 if logical.unsigned else 0)
    for size, name in ((16, "smallint"), (32, "integer"), (64, "bigint")):
        if bits <= size:
            wider = f"{logical} becomes {name}" if logical.unsigned or bits < 16 else None
            return name, wider
    return "numeric(20,0)", f"{logical} becomes numeric(20,0)"


def _decimal(logical: LogicalType) -> tuple[str, str | None]:
    precision, scale = logical.precision or 0, logical.scale or 0
    if 1 <= precision <= _MOST_DIGITS and 0 <= scale <= precision:
        return f"numeric({precision},{scale})", None
    return "numeric", f"{logical} becomes numeric"


def _string(logical: LogicalType) -> tuple[str, str | None]:
    if logical.length is None:
        return "text", None
    if 1 <= logical.length <= _LONGEST_VARCHAR:
        return f"varchar({logical.length})", None
    return "text", f"{logical} becomes text"


def literal_default(column: Column, value: str) -> str | None:
    """Spell a literal default, whose text is in the canonical form of the column's type."""
    if "\0" in value:
        return None
    logical = effective_type(column)
    if logical.name == "boolean":
        known = {"true": "true", "false": "false", "1": "true", "0": "false"}
        return known.get(value.lower())
    if not _readable(column, logical, value):
        return None
    numeric = logical.name in ("integer", "float", "decimal", "numeric")
    return value if numeric and _NUMBER.fullmatch(value) else quote_literal(value)


def _readable(column: Column, logical: LogicalType, value: str) -> bool:
    """Say whether a default is a value of its column, which engines with loose types allow not."""
    import pyarrow as pa

    if logical.name == "binary":
        return re.fullmatch(r"\\x(?:[0-9a-f]{2})*", value) is not None
    if logical.name == "json":
        try:
            json.loads(value)
        except ValueError:
            return False
        return True
    try:
        standardize(pa.array([value], pa.string()), None, replace(column, type=logical), "")
    except LossError:
        return False
    return True
