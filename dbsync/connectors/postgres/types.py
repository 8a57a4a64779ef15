"""What PostgreSQL's types mean, and in which form their values leave the server.

What lives here: `TypeFacts`, as read from ``pg_type``; the logical type of a column; the SELECT
expression whose result ADBC decodes exactly. Must not know: how columns are listed, nor how
batches are decoded (`decode`).

Only the types of `DIRECT` are decoded from PostgreSQL's binary form; each is proven against the
server's own text by a test. Everything else, also every type of an extension, leaves the server
as the text of its output function, which its input function reads back to the same value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dbsync.connectors.postgres.connection import quote_name
from dbsync.model.types import LogicalType, decimal, integer

DIRECT = frozenset(
    [
        "bool",
        "int2",
        "int4",
        "int8",
        "float4",
        "float8",
        "text",
        "varchar",
        "bpchar",
        "bytea",
        "uuid",
        "date",
        "time",
        "timestamp",
        "timestamptz",
    ]
)
"""Names in pg_catalog of the types that ADBC reads exactly, infinite dates and 24:00 aside."""

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


def is_direct(oid: int, types: Mapping[int, TypeFacts]) -> bool:
    """Say whether ADBC decodes values of this type itself, exactly."""
    facts, _ = resolve(oid, -1, types)
    return facts.schema == "pg_catalog" and facts.kind == "b" and facts.name in DIRECT


def select_expression(column: str, oid: int, types: Mapping[int, TypeFacts]) -> str:
    """Give the SELECT expression for a column, which is named in the result like the column."""
    name = quote_name(column)
    if is_direct(oid, types):
        return name
    facts, _ = resolve(oid, -1, types)
    if facts.casts_to_text:
        # The functions are strict, so NULL stays NULL.
        return f"pg_catalog.textin({quote_name(*facts.output)}({name})) AS {name}"
    return f"{name}::pg_catalog.text AS {name}"


def _numeric(typmod: int) -> LogicalType:
    if typmod < 4:
        return LogicalType(name="numeric")
    # numeric.c: precision in the upper 16 bits, scale in the lower 11 with a sign.
    packed = typmod - 4
    scale = ((packed & 0x7FF) ^ 1024) - 1024
    return decimal((packed >> 16) & 0xFFFF, scale)
