"""Columns of every logical type in every engine, filled and read without dbsync.

What lives here: the native type and the spelling of each value per engine, and the plain forms in
which two engines' own texts of one value are compared. Must not know: what dbsync makes of them.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from decimal import Decimal, InvalidOperation
from typing import Any

import psycopg2
import pymysql

from tests.formats.types_document import code, table
from tests.integration.engines import engine_of, quote
from tests.integration.maria_rows import maria_connect

ENUM = ("sad", "ok", "it's", "Ω")
_LABELS = ", ".join("'" + label.replace("'", "''") + "'" for label in ENUM)
_OWN = {
    ("postgresql", "enum"): "mood",
    ("postgresql", "decimal(3,-2)"): "numeric(3,-2)",
    ("postgresql", "native"): "inet",
    ("postgresql", "any"): "bytea",
    ("sqlite", "enum"): f"ENUM_TEXT CHECK ({{name}} IN ({_LABELS}))",
    ("sqlite", "any"): "",
    ("mysql", "enum"): f"enum({_LABELS})",
    ("mysql", "native"): "set('a','b','c d')",
    ("mysql", "any"): "longblob",
}
"""Types that section 6.2, 7.2 and 8.2 do not name as they stand in DDL."""

ORDINARY: dict[str, tuple[str, ...]] = {
    "boolean": ("true", "false"),
    "integer8": ("127", "-128", "0"),
    "integer16": ("32767", "-32768", "0"),
    "integer32": ("2147483647", "-2147483648", "0"),
    "integer64": ("9223372036854775807", "-9223372036854775808", "9007199254740993"),
    "unsigned integer8": ("255", "0", "128"),
    "unsigned integer16": ("65535", "0", "32768"),
    "unsigned integer32": ("4294967295", "0", "2147483648"),
    "unsigned integer64": ("9223372036854775807", "0", "9007199254740993"),
    "float32": ("0.10000000149011612", "3.4028234663852886e+38", "-1.401298464324817e-45", "-0"),
    "float64": ("0.1", "1.7976931348623157e+308", "5e-324", "-0", "2.2250738585072014e-308"),
    "decimal(10,2)": ("99999999.99", "-99999999.99", "0.01", "0.00", "1.10"),
    "decimal(38,10)": (f"{'9' * 28}.{'9' * 10}", "-0.0000000001", "1.1000000000"),
    "decimal(60,20)": (f"-{'9' * 40}.{'9' * 20}", "0.00000000000000000001"),
    "decimal(60,35)": (f"-{'9' * 25}.{'9' * 35}", f"0.{'0' * 34}1"),
    "decimal(100,20)": (f"-{'9' * 80}.{'9' * 20}", "1.50000000000000000000"),
    "decimal(3,-2)": ("99900", "-100", "0"),
    "numeric": ("9" * 1000, f"0.{'0' * 900}1", "-1.10", "1.1000"),
    "string": ("", "x" * 70_000, 'it\'s "q" \\ \\N \\. \t\r\n', "a ", "A", "a", "ÿ😀\u0301", "12"),
    "string(40)": ("", "😀" * 40, "\\N", " a ", "NULL", "\x1a\x7f"),
    "string(20000000)": ("", "😀", "1e5"),
    "binary": ("\\x", "\\x00ff275c0a", "\\x" + "00ff" * 40_000),
    "date": ("2024-02-29", "0001-01-01", "9999-12-31", "1900-03-01", "1582-10-10"),
    "time": ("00:00:00", "23:59:59.999999", "24:00:00", "12:34:56.5"),
    "time_tz": ("23:59:59.999999-15:59", "00:00:00+02"),
    "timestamp": ("0001-01-01 00:00:00", "9999-12-31 23:59:59.999999", "1969-12-31 23:59:59.5"),
    "timestamp_tz": ("1970-01-01 00:00:01+00", "2038-01-19 03:14:07.999999+00"),
    "interval": ("1 mon", "-178000000 years", "1 year 2 mons -3 days +04:05:06.000007"),
    "uuid": ("6ba7b810-9dad-11d1-80b4-00c04fd430c8", "00000000-0000-0000-0000-000000000000"),
    "json": (
        '{"b": 1.10, "a":[1e400,null], "a": ""}',
        "null",
        '"\\u0000"',
        "123456789" * 9,
    ),
    "enum": ENUM,
    "array of integer32": ("{1,2,NULL}", "[0:1]={1,2}", "{}"),
    "any": ("\\x00", "\\x"),
    "native": ("10.0.0.0/8", "::1"),
}
"""Values that every engine takes, extremes first of all."""

_OWN_ORDINARY = {
    ("mysql", "native"): ("a,c d", "", "b"),
}


def ordinary(engine: str, logical: str) -> tuple[str, ...]:
    """List the values of a type that every engine takes, as they are put into `engine`."""
    return _OWN_ORDINARY.get((engine, logical), ORDINARY[logical])


_LENIENT = "SET sql_mode = 'ALLOW_INVALID_DATES'"
"""Lets MySQL store everything that it can, and also what is then found not to be what was meant."""
_SECTIONS = {
    "postgresql": ("6.2", "PostgreSQL type"),
    "sqlite": ("7.2", "Declared type"),
    "mysql": ("8.2", "MariaDB type"),
}


def native_types(engine: str) -> dict[str, str]:
    """Give the type that an engine has, or comes closest with, for each logical type."""
    section, heading = _SECTIONS[engine]
    found = {code(row["Logical type"]): code(row[heading]) for row in table(section)}
    return found | {logical: text for (own, logical), text in _OWN.items() if own == engine}


def make_tables(url: str, made: Mapping[str, Sequence[tuple[str, str]]]) -> None:
    """Create tables with a key and columns, given as name and logical type."""
    engine = engine_of(url)
    natives = native_types(engine)
    with closing(_connect(url)) as connection:
        cursor = connection.cursor()
        if engine == "postgresql":
            cursor.execute(f"CREATE TYPE mood AS ENUM ({_LABELS})")
        for name, columns in made.items():
            quoted = [(quote(url, column), natives[logical]) for column, logical in columns]
            parts = [f"{column} {native.format(name=column)}" for column, native in quoted]
            sql = f"CREATE TABLE {name} ({', '.join(['id integer PRIMARY KEY', *parts])})"
            cursor.execute(sql + (" CHARACTER SET utf8mb4" if engine == "mysql" else ""))
        connection.commit()


def fill(url: str, name: str, logicals: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Insert rows of a key and one canonical text for each column of `make_table`."""
    engine = engine_of(url)
    converted = [(row[0], *(_bound(engine, *pair) for pair in zip(logicals, row[1:], strict=True)))
                 for row in rows]  # fmt: skip
    marker = "?" if engine == "sqlite" else "%s"
    markers = [marker, *(_marker(engine, logical) for logical in logicals)]
    with closing(_connect(url)) as connection:
        cursor = connection.cursor()
        if engine == "mysql":
            cursor.execute(_LENIENT)
        cursor.executemany(
            f"INSERT INTO {quote(url, name)} VALUES ({', '.join(markers)})", converted
        )
        connection.commit()


def holds(url: str, name: str, column: str, logical: str, text: str) -> bool:
    """Say whether a column of an engine gives a value back that is put into it."""
    with closing(_connect(url)) as connection:
        cursor = connection.cursor()
        engine = engine_of(url)
        marker = _marker(engine, logical)
        sql = f"INSERT INTO {quote(url, name)} (id, {quote(url, column)}) VALUES (-1, {marker})"
        try:
            if engine == "mysql":
                cursor.execute(_LENIENT)
            cursor.execute(sql, (_bound(engine, logical, text),))
            shown = _shown(url, column, logical)
            cursor.execute(f"SELECT {shown} FROM {quote(url, name)} WHERE id = -1")
            ((found,),) = cursor.fetchall()
        except (psycopg2.Error, pymysql.Error, sqlite3.Error, ValueError, OverflowError):
            return False
        finally:
            connection.rollback()
    return _plain_or_none(logical, found) == plain(logical, text)


def read(url: str, name: str, columns: Sequence[tuple[str, str]]) -> dict[str, dict[int, Any]]:
    """Read columns as the plain forms of the server's own text: by column, then by key."""
    shown = ", ".join(["id", *(_shown(url, *column) for column in columns)])
    with closing(_connect(url)) as connection:
        cursor = connection.cursor()
        cursor.execute(f"SELECT {shown} FROM {quote(url, name)}")
        rows = cursor.fetchall()
    return {
        column: {row[0]: _plain_or_none(logical, row[place]) for row in rows}
        for place, (column, logical) in enumerate(columns, 1)
    }


def _plain_or_none(logical: str, value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bytes):
        value = value.decode("utf-8", "surrogateescape")
    return plain(logical, value if isinstance(value, str) else repr(value))


def plain(logical: str, text: str) -> str:
    """Bring the texts that different engines give for one value of a type into one form."""
    if logical == "boolean":
        return {"1": "true", "0": "false", "t": "true", "f": "false"}.get(text, text)
    if logical in ("float32", "float64"):
        return _plain_float(text)
    if _is_number(logical):
        return _plain_number(text)
    if logical in ("time", "timestamp", "timestamp_tz"):
        text = re.sub(r"\+00(?= BC$|$)", "", text)
        return re.sub(r"\.0*(?= BC$|$)|(\.[0-9]*[1-9])0+(?= BC$|$)", r"\1", text)
    return text.lower() if logical == "uuid" else text


def _is_number(logical: str) -> bool:
    return "integer" in logical.partition(" of ")[0] or logical.startswith(("decimal", "numeric"))


def _plain_float(text: str) -> str:
    try:
        # Engines disagree on whether a zero keeps its sign.
        return repr(float(text) + 0.0)
    except ValueError:
        return text


def _plain_number(text: str) -> str:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    if not number.is_finite():
        return str(number)
    digits = format(number, "f")
    digits = digits.rstrip("0").rstrip(".") if "." in digits else digits
    return "0" if digits in ("-0", "") else digits


def _connect(url: str) -> Any:
    match engine_of(url):
        case "sqlite":
            connection = sqlite3.connect(url.removeprefix("sqlite:///"))
            connection.text_factory = bytes
            return connection
        case "postgresql":
            return psycopg2.connect(
                url, options="-c timezone=UTC -c datestyle=ISO -c intervalstyle=postgres"
            )
        case _:
            connection = maria_connect(url)
            connection.autocommit(False)
            return connection


def _marker(engine: str, logical: str) -> str:
    match engine:
        case "postgresql":
            return f"%s::text::{native_types(engine)[logical]}"
        case "sqlite" if native_types(engine)[logical].endswith(("CHAR(40)", "TEXT")):
            return "CAST(? AS TEXT)"  # so that bytes are a text that is no UTF-8
        case "sqlite":
            return "?"
        case _:
            return "%s"


def _bound(engine: str, logical: str, text: str | None) -> Any:
    """Give the driver's parameter for a value."""
    if text is None:
        return None
    if "\udcff" in text:
        return text.encode("utf-8", "surrogateescape")
    if logical in ("binary", "any") and text.startswith("\\x") and engine != "postgresql":
        return bytes.fromhex(text[2:])
    if engine == "mysql":
        text = {"true": "1", "false": "0"}.get(text, text) if logical == "boolean" else text
        return text.removesuffix("+00") if logical == "timestamp_tz" else text
    if engine == "sqlite":
        return _sqlite_value(logical, text)
    return text


_STORED = {code(row["Logical type"]): row["Stored as"] for row in table("7.2")}


def _sqlite_value(logical: str, text: str) -> Any:
    try:
        match _STORED[logical]:
            case "integer":
                return {"true": 1, "false": 0}[text] if text in ("true", "false") else int(text)
            case "real":
                return float(text)
            case _:
                return text
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text


def _shown(url: str, column: str, logical: str) -> str:
    """Write the SQL for a column as the server's own text, a float as the double it equals."""
    quoted = quote(url, column)
    numbers = ("float64", "boolean", "uuid", "date", "time", "timestamp", "timestamp_tz")
    match engine_of(url):
        case "postgresql":
            # As the type's own output function writes it, which a cast to text does not always.
            shown = f"{quoted}::float8" if logical == "float32" else quoted
            return f"CASE WHEN {quoted} IS NOT NULL THEN format('%s', {shown}) END"
        case "sqlite" if logical in ("binary", "any"):
            hexadecimal = f"'\\x' || lower(hex({quoted}))"
            return f"CASE typeof({quoted}) WHEN 'blob' THEN {hexadecimal} ELSE {quoted} END"
        case "sqlite":
            return quoted
        case _ if logical in ("binary", "any"):
            return f"CONCAT('\\\\x', LOWER(HEX({quoted})))"
        case _ if logical == "float32":
            return f"CAST({quoted} + 0e0 AS CHAR)"
        case _ if _is_number(logical) or logical in numbers:
            return f"CAST({quoted} AS CHAR)"
        case _:
            return quoted
