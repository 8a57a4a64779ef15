"""Defaults: what is a literal, what another engine has too, and what only PostgreSQL knows."""

from __future__ import annotations

import pytest

from dbsync.connectors.postgres.connection import quote_literal
from dbsync.connectors.postgres.defaults import classify
from dbsync.model.schema import Default
from dbsync.model.types import LogicalType, decimal, integer
from tests.servers import PostgresServer
from tests.unit.connectors.postgres.reading import public, snapshot

CASES = [
    ("int", "5", Default(kind="literal", value="5")),
    ("int", "-5", Default(kind="literal", value="-5")),
    ("smallint", "7", Default(kind="literal", value="7")),
    ("bigint", "9223372036854775807", Default(kind="literal", value="9223372036854775807")),
    ("int", "5.6", Default(kind="native", value="5.6")),
    ("int", "2 + 3", Default(kind="native", value="(2 + 3)")),
    ("numeric(6,2)", "0.0", Default(kind="literal", value="0.0")),
    ("numeric", "'NaN'", Default(kind="literal", value="NaN")),
    ("float8", "1e10", Default(kind="literal", value="10000000000")),
    ("bool", "true", Default(kind="literal", value="true")),
    ("text", "''", Default(kind="literal", value="")),
    ("text", "'a''b'", Default(kind="literal", value="a'b")),
    ("text", r"'back\slash'", Default(kind="literal", value="back\\slash")),
    ("text", "'x' || 'y'", Default(kind="native", value="('x'::text || 'y'::text)")),
    ("varchar(3)", "'abc'", Default(kind="literal", value="abc")),
    ("text", "current_user", Default(kind="native", value="CURRENT_USER")),
    ("text", "NULL", None),
    ("date", "'2020-01-01'", Default(kind="literal", value="2020-01-01")),
    ("date", "CURRENT_DATE", Default(kind="function", value="current_date")),
    ("timestamptz", "now()", Default(kind="function", value="current_timestamp")),
    ("timestamp", "LOCALTIMESTAMP", Default(kind="function", value="current_timestamp")),
    ("time", "LOCALTIME", Default(kind="function", value="current_time")),
    ("text", "now()", Default(kind="native", value="now()")),
    ("timestamptz", "clock_timestamp()", Default(kind="native", value="clock_timestamp()")),
    ("uuid", "gen_random_uuid()", Default(kind="function", value="random_uuid")),
    ("int[]", "'{1,2}'", Default(kind="native", value="'{1,2}'::integer[]")),
    ("jsonb", "'{\"a\": 1}'", Default(kind="literal", value='{"a": 1}')),
    ("mood", "'sad'", Default(kind="literal", value="sad")),
    ("interval", "'1 mon'", Default(kind="literal", value="1 mon")),
]


def test_defaults_as_the_server_writes_them(pg18: PostgresServer, pg_url: str) -> None:
    """Each default is classified from the text that the catalog really gives."""
    columns = ", ".join(f"c{n} {kind} DEFAULT {sql}" for n, (kind, sql, _) in enumerate(CASES))
    name = pg_url.rsplit("/", 1)[1]
    pg18.execute(f"CREATE TYPE mood AS ENUM ('sad'); CREATE TABLE t ({columns})", name)
    with snapshot(pg_url) as snap:
        table = snap.database.table(public("t"))
    for n, (kind, sql, expected) in enumerate(CASES):
        assert table.column(f"c{n}").default == expected, (kind, sql)


def test_a_literal_default_means_the_same_value(pg18: PostgresServer, pg_url: str) -> None:
    """The text of a literal, read as the column's type, is the default that the server inserts."""
    columns = ", ".join(f"c{n} {kind} DEFAULT {sql}" for n, (kind, sql, _) in enumerate(CASES))
    name = pg_url.rsplit("/", 1)[1]
    pg18.execute(f"CREATE TYPE mood AS ENUM ('sad'); CREATE TABLE t ({columns})", name)
    pg18.execute("INSERT INTO t DEFAULT VALUES", name)
    for n, (kind, _, expected) in enumerate(CASES):
        if expected is not None and expected.kind == "literal":
            text = quote_literal(expected.value)
            same = f"SELECT c{n}::text = ({text}::{kind})::text FROM t"
            assert pg18.execute(same, name) == [(True,)], (kind, expected)


@pytest.mark.parametrize(
    ("text", "logical"),
    [
        ("'a'::text || 'b'::text", LogicalType(name="string")),
        ("('now'::text)::timestamp", LogicalType(name="timestamp")),
        ("(1.5)::integer", integer(32)),
        ("(99999)::smallint", decimal(5, 0)),
        ("nextval('s'::regclass)", integer(64)),
    ],
)
def test_what_is_no_plain_constant_stays_native(text: str, logical: LogicalType) -> None:
    """An expression is never taken for the constant that it starts with."""
    assert classify(text, logical) == Default(kind="native", value=text)
