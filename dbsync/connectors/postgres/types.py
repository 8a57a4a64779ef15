"""What PostgreSQL's types mean, and in which form their values leave the server.

What lives here: `TypeFacts`, as read from ``pg_type``; the logical type of a column; what is
selected for it, and in which form it comes. Must not know: how columns are listed, nor how rows
are decoded (`decode`).

Only the types of `DIRECT` and numeric(p,s) with few digits are decoded from PostgreSQL's binary
form; each is proven against the server's own text by a test. Everything else, also every type of
an extension, leaves the server as the text of its output function, which its input function reads
back to the same value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from dbsync.connectors.postgres.connection import quote_name
from dbsync.connectors.postgres.numeric import MOST_DIGITS
from dbsync.model.types import LogicalType, decimal, integer, parse_storage, standard_storage

Form = Literal[
    "bool", "int2", "int4", "int8", "float4", "float8", "date", "time", "timestamp", "uuid",
    "numeric", "bytes", "text", "jsonb",
]  # fmt: skip
"""How the bytes of a value are to be understood."""

DIRECT: dict[str, Form] = {
    "bool": "bool",
    "int2": "int2",
    "int4": "int4",
    "int8": "int8",
    "float4": "float4",
    "float8": "float8",
    "text": "text",
    "varchar": "text",
    "bpchar": "text",
    "json": "text",
    "jsonb": "jsonb",
    "bytea": "bytes",
    "uuid": "uuid",
    "date": "date",
    "time": "time",
    "timestamp": "timestamp",
    "timestamptz": "timestamp",
}
"""Types of pg_catalog that are read from their binary form, whatever their modifier."""

_PLAIN: dict[str, LogicalType] = {
    "bool": LogicalType(name="boolean"),
    "int2": integer(16),
    "int4": integer(32),
    "int8": integer(64),
    "float4": LogicalType(name="float", bits=32),
    "float8": LogicalType(name="float", bits=64),
    "text": LogicalType(name="string"),
    "name": LogicalType(name="string", length=63),
    "bytea": LogicalType(name="binary"),
    "date": LogicalType(name="date"),
    "uuid": LogicalType(name="uuid"),
    "json": LogicalType(name="json"),
    "jsonb": LogicalType(name="json"),
    "interval": LogicalType(name="interval"),
}
_TEMPORAL = {"time": "time", "timetz": "time_tz", "timestamp": "timestamp"} | {
    "timestamptz": "timestamp_tz"
}


@dataclass(frozen=True)
class TypeFacts:
    """One row of ``pg_type``, with what else decides how its values travel."""

    oid: int
    schema: str
    name: str
    kind: str
    """``typtype``: b base, c composite, d domain, e enum, r range, m multirange, p pseudo."""
    element: int = 0
    """The element's type where this is a true array, else 0."""
    base: int = 0
    """The underlying type of a domain."""
    base_typmod: int = -1
    labels: tuple[str, ...] = ()
    """Of an enum, in order."""
    output: tuple[str, str] = ("pg_catalog", "textout")
    """Schema and name of the output function."""
    casts_to_text: bool = False
    """A function is registered as its cast to text, and may lose something that the output
    function keeps (as it does for inet and char)."""
    extension: str | None = None


def resolve(oid: int, typmod: int, types: Mapping[int, TypeFacts]) -> tuple[TypeFacts, int]:
    """Follow domains down to the type that is stored, with its modifier."""
    facts = types[oid]
    while facts.kind == "d":
        typmod = facts.base_typmod if facts.base_typmod >= 0 else typmod
        facts = types[facts.base]
    return facts, typmod


def logical_type(oid: int, typmod: int, types: Mapping[int, TypeFacts]) -> LogicalType:
    """Say what a column of this type means; a domain means what its base type means."""
    facts, typmod = resolve(oid, typmod, types)
    if facts.element:
        return LogicalType(name="array", element=logical_type(facts.element, typmod, types))
    if facts.kind == "e":
        return LogicalType(name="enum", labels=facts.labels)
    if facts.extension == "citext" and facts.name == "citext":
        return LogicalType(name="string")
    if facts.schema != "pg_catalog" or facts.kind != "b":
        return LogicalType(name="native")
    if facts.name in ("varchar", "bpchar"):
        return LogicalType(name="string", length=typmod - 4 if typmod >= 4 else None)
    if facts.name == "numeric":
        return _numeric(typmod)
    if facts.name in _TEMPORAL:
        precision = typmod if typmod >= 0 else None
        name = _TEMPORAL[facts.name]
        return LogicalType(name=name, precision=precision)  # pyright: ignore[reportArgumentType]
    return _PLAIN.get(facts.name, LogicalType(name="native"))


@dataclass(frozen=True)
class Selected:
    """What SELECT asks for to get a column's values, and the form in which they come."""

    expression: str
    form: Form


def select_column(column: str, oid: int, typmod: int, types: Mapping[int, TypeFacts]) -> Selected:
    """Say how to select a column of this type, which is named in the result like the column."""
    name = quote_name(column)
    facts, typmod = resolve(oid, typmod, types)
    if facts.schema == "pg_catalog" and facts.kind == "b":
        if facts.name in DIRECT:
            return Selected(name, DIRECT[facts.name])
        if facts.name == "numeric" and _is_short(_numeric(typmod)):
            return Selected(name, "numeric")
    if facts.casts_to_text:
        # The functions are strict, so NULL stays NULL.
        name = f"pg_catalog.textin({quote_name(*facts.output)}({name})) AS {name}"
        return Selected(name, "text")
    return Selected(f"{name}::pg_catalog.text AS {name}", "text")


def _is_short(number: LogicalType) -> bool:
    if not pa.types.is_decimal(parse_storage(standard_storage(number))):
        return False
    return (number.precision or 0) <= MOST_DIGITS


def _numeric(typmod: int) -> LogicalType:
    if typmod < 4:
        return LogicalType(name="numeric")
    # numeric.c: precision in the upper 16 bits, scale in the lower 11 with a sign.
    packed = typmod - 4
    scale = ((packed & 0x7FF) ^ 1024) - 1024
    return decimal((packed >> 16) & 0xFFFF, scale)
