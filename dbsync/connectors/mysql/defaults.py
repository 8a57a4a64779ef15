"""Telling literals and portable functions from defaults that only MySQL understands.

What lives here: reading the text of a default as MariaDB gives it, which is SQL, and making that
of MySQL's bare text. Must not know: catalogs.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dbsync.connectors.mysql.tokens import unquoted
from dbsync.model.schema import Default
from dbsync.model.types import LogicalType

if TYPE_CHECKING:
    from dbsync.connectors.mysql.flavour import Flavour
    from dbsync.connectors.mysql.types import ColumnFacts

_STRING = re.compile(r"'(?:[^'\\]|\\.|'')*'", re.DOTALL)
_NUMBER = re.compile(r"-?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?")
_PLAIN = re.compile(r"-?\d+(?:\.\d+)?")
_WHOLE = re.compile(r"-?\d+")
_BITS = re.compile(r"b'([01]*)'", re.IGNORECASE)
_HEX = re.compile(r"x'((?:[0-9a-f]{2})*)'|0x((?:[0-9a-f]{2})+)", re.IGNORECASE)
_DATE = re.compile(r"(?!0000)\d{4}-(?!00)\d\d-(?!00)\d\d")
_TIME = re.compile(r"[01]\d:[0-5]\d:[0-5]\d(?:\.\d+)?|2[0-3]:[0-5]\d:[0-5]\d(?:\.\d+)?")
_FUNCTIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "current_timestamp": ("current_timestamp", ("timestamp", "timestamp_tz")),
    "now": ("current_timestamp", ("timestamp", "timestamp_tz")),
    "localtimestamp": ("current_timestamp", ("timestamp", "timestamp_tz")),
    "curdate": ("current_date", ("date",)),
    "current_date": ("current_date", ("date",)),
    "curtime": ("current_time", ("time",)),
    "current_time": ("current_time", ("time",)),
    "uuid": ("random_uuid", ("uuid",)),
}
_CALL = re.compile(r"\(?([a-z_]+)(?:\(\d*\))?\)?", re.IGNORECASE)
_BARE = frozenset(
    {"tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "float", "double", "year"}
)
_TEXTS = frozenset({"string", "enum", "json", "uuid", "native"})


def classify(expression: str | None, logical: LogicalType) -> Default | None:
    """Make a `Default` of a default's SQL; None for none and for NULL, which is none."""
    if expression is None or expression.upper() == "NULL":
        return None
    call = _CALL.fullmatch(expression)
    if call is not None:
        function, kinds = _FUNCTIONS.get(call[1].lower(), ("", ()))
        if logical.name in kinds:
            return Default(kind="function", value=function)
    literal = _literal(expression, logical)
    if literal is not None:
        return Default(kind="literal", value=literal)
    return Default(kind="native", value=expression)


def _literal(expression: str, logical: LogicalType) -> str | None:
    """Give the canonical text of a literal, None where it is none that every engine can hold."""
    if logical.name == "binary":
        return _binary(expression)
    bits = _BITS.fullmatch(expression)
    if bits is not None:
        return _number(str(int(bits[1] or "0", 2)), logical)
    if _NUMBER.fullmatch(expression):
        return _number(expression, logical)
    if not _STRING.fullmatch(expression):
        return None
    text = unquoted(expression)
    if logical.name in _TEXTS:
        # Other engines have no text with a NUL in it.
        return None if "\0" in text else text
    match logical.name:
        case "date":
            return text if _is_date(text) else None
        case "time":
            return text if _TIME.fullmatch(text) else None
        case "timestamp" | "timestamp_tz":
            date, _, time = text.partition(" ")
            if not _is_date(date) or not _TIME.fullmatch(time):
                return None
            # The session's time zone is UTC.
            return f"{text}+00" if logical.name == "timestamp_tz" else text
        case _:
            return _number(text, logical)


def _number(text: str, logical: LogicalType) -> str | None:
    match logical.name:
        case "boolean":
            return {"0": "false", "1": "true"}.get(text)
        case "integer":
            return text if _WHOLE.fullmatch(text) else None
        case "decimal" | "numeric":
            return text if _PLAIN.fullmatch(text) else None
        case "float":
            return text if _NUMBER.fullmatch(text) else None
        case "string" | "enum" | "native":
            return text
        case _:
            return None


def _binary(expression: str) -> str | None:
    found = _HEX.fullmatch(expression)
    if found is not None:
        return "\\x" + (found[1] or found[2] or "").lower()
    if _STRING.fullmatch(expression):
        text = unquoted(expression)
        # Bytes that are no ASCII do not survive the way here; `repairs` gives them as x'...'.
        if text.isascii():
            return "\\x" + text.encode().hex()
    return None


def _is_date(text: str) -> bool:
    if not _DATE.fullmatch(text):
        return False
    year, month, day = (int(part) for part in text.split("-"))
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    lengths = (31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    return month <= 12 and day <= lengths[month - 1]


def default_sql(text: str | None, extra: str, facts: ColumnFacts, flavour: Flavour) -> str | None:
    """Give a default as SQL from what COLUMN_DEFAULT and EXTRA hold; None where there is none.

    MariaDB gives SQL; MySQL gives the bare value unless it is an expression.
    https://dev.mysql.com/doc/refman/8.0/en/information-schema-columns-table.html
    """
    if text is None or flavour.defaults_are_sql:
        return text
    if "DEFAULT_GENERATED" in extra.upper():
        return text.replace("\\'", "'")
    bare = facts.data_type in _BARE or (facts.data_type == "bit" and text.startswith("b'"))
    if bare or (facts.charset is None and _HEX.fullmatch(text)):
        return text
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
