"""Column types of MySQL and MariaDB: what they mean, how values travel, how they are selected.

What lives here: `ColumnFacts` and what follows from them alone. Must not know: connections,
batches, and what a target makes of a logical type.

Three native types mean something that their name does not say. ``tinyint(1)``, signed, is the
BOOLEAN of both servers; its values travel as int8, so that 2 or -1 come back on the same engine
and any other engine refuses them. ``bit(1)`` is a boolean too, a longer one an unsigned integer.
Spatial values travel as the server's own bytes (four bytes of SRID, then WKB), because ST_AsText
loses both the SRID and digits.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from dbsync.model.types import LogicalType, TypeName, decimal, integer, standard_storage

if TYPE_CHECKING:
    from dbsync.connectors.mysql.flavour import Flavour

SPATIAL = frozenset(
    {
        "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring",
        "multipolygon", "geometrycollection", "geomcollection",
    }
)  # fmt: skip
_INTEGER_BITS = {"tinyint": 8, "smallint": 16, "mediumint": 32, "int": 32, "bigint": 64}
_TEXTS = frozenset({"char", "varchar", "tinytext", "text", "mediumtext", "longtext"})
_BINARIES = frozenset(
    {"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "vector"}
)
_MOMENTS: dict[str, TypeName] = {
    "date": "date", "time": "time", "datetime": "timestamp", "timestamp": "timestamp_tz",
}  # fmt: skip

_WHOLLY_UNICODE = frozenset(
    {
        "utf8mb4", "utf8mb3", "utf8", "latin1", "latin2", "latin5", "latin7", "cp850", "cp852",
        "cp866", "keybcs2", "koi8r", "koi8u", "macce", "macroman",
    }
)  # fmt: skip
"""Character sets of which every byte sequence has one equal in Unicode, and the way back."""
_LABEL = re.compile(r"'((?:[^'\\]|''|\\.)*)'", re.DOTALL)
_ESCAPED = re.compile(r"''|\\(.)", re.DOTALL)
_ESCAPES = {"0": "\0", "n": "\n", "r": "\r", "t": "\t", "b": "\b", "Z": "\x1a"}


class ColumnFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What information_schema.COLUMNS says of one column; names of its fields in brackets."""

    data_type: str
    """In lower case, without parameters (DATA_TYPE)."""
    column_type: str
    """In full, as it stands in DDL (COLUMN_TYPE)."""
    charset: str | None = None
    """None for everything but text, enum and set (CHARACTER_SET_NAME)."""
    collation: str | None = None
    precision: int | None = None
    """Digits of a number, bits of a bit column (NUMERIC_PRECISION)."""
    scale: int | None = None
    datetime_precision: int | None = None
    """Fractional digits of a second (DATETIME_PRECISION)."""
    length_chars: int | None = None
    """Characters of text, bytes of binary (CHARACTER_MAXIMUM_LENGTH)."""
    is_json: bool = False
    """MariaDB's JSON: a longtext whose check is ``json_valid`` of the column itself."""

    @property
    def unsigned(self) -> bool:
        """Say whether the type is declared UNSIGNED, which ZEROFILL implies."""
        return "unsigned" in self._attributes or self.zerofill

    @property
    def zerofill(self) -> bool:
        """Say whether the server pads values with zeros when it writes them as text."""
        return "zerofill" in self._attributes

    @property
    def labels(self) -> tuple[str, ...]:
        """List the members of an enum or a set, in order."""
        found: list[str] = _LABEL.findall(self.column_type)
        return tuple(_ESCAPED.sub(_unescape, label) for label in found)

    @property
    def _attributes(self) -> list[str]:
        # Labels may spell anything.
        return [] if "'" in self.column_type else self.column_type.lower().split()


def logical_type(facts: ColumnFacts, flavour: Flavour) -> LogicalType:
    """Say what a column means; a type that is not known here is ``native``.

    The two flavours have no type name that means one thing here and another there.
    """
    del flavour
    kind = facts.data_type
    if facts.is_json:
        return LogicalType(name="json")
    if kind in _INTEGER_BITS:
        if facts.column_type.lower() == "tinyint(1)":
            return LogicalType(name="boolean")
        return integer(_INTEGER_BITS[kind], unsigned=facts.unsigned)
    if kind in _MOMENTS:
        precision = None if kind == "date" else facts.datetime_precision or 0
        return LogicalType(name=_MOMENTS[kind], precision=precision)
    if kind in _TEXTS:
        # The others count bytes, and only their own limit is meant.
        limited = kind in ("char", "varchar") and facts.length_chars
        return LogicalType(name="string", length=facts.length_chars if limited else None)
    if kind in _BINARIES or kind in SPATIAL:
        return LogicalType(name="binary")
    return _by_name(facts)


def storage_of(logical: LogicalType, facts: ColumnFacts) -> str:
    """Name the Arrow type in which the values of a column travel."""
    if logical.name == "boolean" and facts.data_type == "tinyint":
        return "int8"
    return standard_storage(logical)


def select_expression(quoted: str, facts: ColumnFacts) -> str:
    """Write what stands in the SELECT list for a column, so that its bytes arrive undamaged.

    `quoted` is the column as SQL names it. A text that has no equal in Unicode, which the server
    would answer with question marks, arrives as one byte 0xFF; the decoder refuses it, because it
    is no UTF-8.
    """
    kind = facts.data_type
    if kind == "bit" or (facts.zerofill and kind in _INTEGER_BITS):
        return f"{quoted} + 0"
    if kind == "float" or (kind == "double" and kind != facts.column_type.lower()):
        # As text a FLOAT has six digits, and FLOAT(M,D) has D decimals, whatever is stored. The
        # product is exact, and keeps the sign of a zero that a sum would lose.
        return f"{quoted} * 1e0"
    if kind == "uuid":
        return f"CAST({quoted} AS BINARY(16))"
    if facts.charset in ("utf8mb3", "utf8"):
        # The bytes are UTF-8 as they stand; the server would write ? for those that are not.
        # CAST AS BINARY would not do: MariaDB 10.11 converts it once more when it sends it.
        return f"CONVERT({quoted} USING binary)"
    if not wholly_unicode(facts.charset):
        text = f"CONVERT({quoted} USING utf8mb4)"
        again = f"CONVERT(CONVERT({text} USING {facts.charset}) USING binary)"
        same = f"{again} <=> CONVERT({quoted} USING binary)"
        return f"IF({same}, CONVERT({text} USING binary), 0xFF)"
    return quoted


def wholly_unicode(charset: str | None) -> bool:
    """Say whether every text of a character set has an equal in Unicode, and only one."""
    return charset is None or charset.lower() in _WHOLLY_UNICODE


def _by_name(facts: ColumnFacts) -> LogicalType:
    match facts.data_type:
        case "decimal":
            return decimal(facts.precision or 10, facts.scale or 0)
        case "float":
            return LogicalType(name="float", bits=32)
        case "double":
            return LogicalType(name="float", bits=64)
        case "bit":
            return _bits(facts.precision or 1)
        case "year":
            return integer(16)
        case "enum":
            return LogicalType(name="enum", labels=facts.labels)
        case "uuid" | "json" as name:
            return LogicalType(name=name)
        case _:
            return LogicalType(name="native")


def _bits(count: int) -> LogicalType:
    if count == 1:
        return LogicalType(name="boolean")
    return integer(next(bits for bits in (8, 16, 32, 64) if count <= bits), unsigned=True)


def _unescape(found: re.Match[str]) -> str:
    escaped: str | None = found[1]
    return "'" if escaped is None else _ESCAPES.get(escaped, escaped)
