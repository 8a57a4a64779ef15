"""Telling literals and portable functions from defaults that only PostgreSQL understands.

What lives here: reading the text of ``pg_get_expr`` for a column default. Must not know: catalogs.
The text is taken under ``search_path = pg_catalog`` and standard_conforming_strings.
"""

from __future__ import annotations

import re

from dbsync.model.schema import Default
from dbsync.model.types import LogicalType

_CAST = r"(?:::(?P<cast>[\w\s\".,()\[\]]+))?"
_STRING = re.compile(rf"'(?P<text>(?:[^']|'')*)'{_CAST}", re.DOTALL)
_NUMBER = re.compile(rf"\(?(?P<text>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)\)?{_CAST}")
_FUNCTIONS = {
    "now()": "current_timestamp",
    "transaction_timestamp()": "current_timestamp",
    "CURRENT_TIMESTAMP": "current_timestamp",
    "LOCALTIMESTAMP": "current_timestamp",
    "CURRENT_DATE": "current_date",
    "(now())::date": "current_date",
    "('now'::text)::date": "current_date",
    "CURRENT_TIME": "current_time",
    "LOCALTIME": "current_time",
    "gen_random_uuid()": "random_uuid",
}
_UUID_V4 = re.compile(r"(?:\w+\.)?uuid_generate_v4\(\)")
_KINDS: dict[str, tuple[str, ...]] = {
    "current_timestamp": ("timestamp", "timestamp_tz"),
    "current_date": ("date",),
    "current_time": ("time", "time_tz"),
    "random_uuid": ("uuid",),
}
_INTEGER = re.compile(r"-?\d+")


def classify(expression: str, logical: LogicalType) -> Default | None:
    """Make a `Default` of a default's text; None for an explicit NULL, which is no default."""
    if re.fullmatch(rf"NULL{_CAST}", expression):
        return None
    function = _FUNCTIONS.get(expression)
    if function is None and _UUID_V4.fullmatch(expression):
        function = "random_uuid"
    if function is not None and logical.name in _KINDS[function]:
        return Default(kind="function", value=function)
    literal = _literal(expression, logical)
    if literal is not None:
        return Default(kind="literal", value=literal)
    return Default(kind="native", value=expression)


def _literal(expression: str, logical: LogicalType) -> str | None:
    if expression in ("true", "false"):
        return expression if logical.name == "boolean" else None
    match = _NUMBER.fullmatch(expression)
    text = match["text"] if match else None
    if text is None:
        match = _STRING.fullmatch(expression)
        if match is None:
            return None
        text = match["text"].replace("''", "'")
    cast = match["cast"] if match else None
    match logical.name:
        case "integer":
            return text if _INTEGER.fullmatch(text) else None
        case "decimal" | "numeric" | "float":
            # A cast to another number type may have changed the value.
            return text if cast is None or not cast.startswith(("int", "small", "big")) else None
        case "boolean":
            return {"t": "true", "f": "false"}.get(text, text)
        case "string" | "enum" | "uuid" | "json" | "interval" | "binary":
            return text
        case "date" | "time" | "time_tz" | "timestamp" | "timestamp_tz":
            return text
        case _:
            return None
