"""Reading a MariaDB database without dbsync: rows in the server's bytes, and every definition."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import closing
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pymysql
import pymysql.connections
from pymysql.constants import CLIENT

from tests.servers.mariadb import MODE

Rows = dict[str, list[tuple[Any, ...]]]

_DEFINER = re.compile(rb" DEFINER=([`\"])(?:(?!\1).)*\1@\1(?:(?!\1).)*\1")
_BYTES = ("char", "varchar", "text", "blob", "binary", "set", "json", "bit")


def maria_connect(url: str, *, text: bool = True) -> pymysql.connections.Connection[Any]:
    """Open a connection to the database of a ``mysql://`` URL, in a plain mode and UTC.

    With ``text=False`` every string of a result is bytes.
    """
    parts = urlsplit(url)
    sockets = parse_qs(parts.query).get("unix_socket")
    place: dict[str, Any] = (
        {"unix_socket": sockets[0]} if sockets else {"host": parts.hostname, "port": parts.port}
    )
    return pymysql.connect(
        **place,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        database=unquote(parts.path[1:]) or None,
        charset="utf8mb4",
        use_unicode=text,
        sql_mode=MODE,
        init_command="SET time_zone = '+00:00'",
        autocommit=True,
        client_flag=CLIENT.MULTI_STATEMENTS,
    )


def maria_query(
    url: str, sql: str, parameters: Sequence[Any] | None = None, *, text: bool = True
) -> list[tuple[Any, ...]]:
    """Run SQL, one statement or several, and return the rows of the last."""
    with closing(maria_connect(url, text=text)) as connection, connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        rows = list(cursor.fetchall())
        while cursor.nextset():
            rows = list(cursor.fetchall())
        return rows


def quoted(name: str) -> str:
    """Quote a name for MariaDB."""
    return "`" + name.replace("`", "``") + "`"


def maria_tables(url: str) -> list[str]:
    """List the base tables of a database, in the server's spelling."""
    return [
        name
        for (name,) in maria_query(
            url,
            "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()"
            " AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') ORDER BY table_name",
        )
    ]


def maria_rows(url: str) -> Rows:
    """Return every table's rows, invisible and generated columns too, sorted.

    Text and binary values are the bytes that the server stores, in hex; numbers and dates are its
    own text, a FLOAT's as the double that it stands for.
    """
    found: Rows = {}
    for table in maria_tables(url):
        columns = maria_query(
            url,
            "SELECT column_name, data_type FROM information_schema.columns"
            " WHERE table_schema = DATABASE() AND table_name = %s ORDER BY ordinal_position",
            (table,),
        )
        chosen = ", ".join(_exact(quoted(name), kind) for name, kind in columns)
        rows = maria_query(url, f"SELECT {chosen} FROM {quoted(table)}")
        found[table] = sorted(rows, key=repr)
    return found


def _exact(column: str, kind: str) -> str:
    if kind == "float":
        return f"CAST({column} + 0e0 AS CHAR)"
    if kind == "enum":  # the empty label and the number 0 of a bad value look alike as text
        return f"CONCAT({column} + 0, ' ', HEX({column}))"
    if kind.endswith(_BYTES):
        return f"HEX({column})"
    if kind in _SPATIAL:
        return f"CONCAT(ST_SRID({column}), ' ', HEX(ST_AsWKB({column})))"
    return f"CAST({column} AS CHAR)"


_SPATIAL = (
    "geometry", "point", "linestring", "polygon",
    "multipoint", "multilinestring", "multipolygon", "geometrycollection",
)  # fmt: skip


def maria_definitions(url: str) -> dict[tuple[str, str], Any]:
    """Return what SHOW CREATE says of every object, DEFINER aside, by kind and name.

    Modes, character sets and the zone of an event are part of it; a trigger's moment of creation
    is not, nor the database's own name, which the server writes before a sequence. Sequences come
    with their state, and spatial columns with the SRID that SHOW CREATE does not tell.
    """
    found: dict[tuple[str, str], Any] = {}
    database = quoted(unquote(urlsplit(url).path[1:])).encode() + b"."
    for kind, name in _objects(url):
        # A default of a binary column is shown as its bytes, which need not be text.
        shown = maria_query(url, f"SHOW CREATE {kind} {quoted(name)}", text=False)[0]
        row = [
            _DEFINER.sub(b"", v).replace(database, b"") if isinstance(v, bytes) else v
            for v in shown
        ]
        if kind == "TRIGGER":
            row = row[:-1]
        if kind == "SEQUENCE":
            row.append(maria_query(url, f"SELECT * FROM {quoted(name)}"))
        found[kind, name] = tuple(row)
    found["DATABASE", ""] = maria_query(
        url,
        "SELECT default_character_set_name, default_collation_name FROM information_schema.schemata"
        " WHERE schema_name = DATABASE()",
    )
    found["TABLE", "reference systems"] = maria_query(
        url,
        "SELECT g_table_name, g_geometry_column, srid FROM information_schema.geometry_columns"
        " WHERE g_table_schema = DATABASE() ORDER BY 1, 2",
    )
    found["TRIGGER", "order"] = maria_query(
        url,
        "SELECT event_object_table, action_timing, event_manipulation, action_order, trigger_name"
        " FROM information_schema.triggers WHERE trigger_schema = DATABASE() ORDER BY 1, 2, 3, 4",
    )
    return found


def _objects(url: str) -> list[tuple[str, str]]:
    here = "= DATABASE()"
    queries = (
        "SELECT CASE table_type WHEN 'VIEW' THEN 'VIEW' WHEN 'SEQUENCE' THEN 'SEQUENCE'"
        f" ELSE 'TABLE' END, table_name FROM information_schema.tables WHERE table_schema {here}",
        f"SELECT 'TRIGGER', trigger_name FROM information_schema.triggers"
        f" WHERE trigger_schema {here}",
        f"SELECT routine_type, routine_name FROM information_schema.routines"
        f" WHERE routine_schema {here}",
        f"SELECT 'EVENT', event_name FROM information_schema.events WHERE event_schema {here}",
    )
    return [(kind, name) for query in queries for kind, name in maria_query(url, query)]
