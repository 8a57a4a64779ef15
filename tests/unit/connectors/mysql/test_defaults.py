"""Defaults: what is a literal, what a portable function, what only MySQL understands."""

from __future__ import annotations

import pytest

from dbsync.connectors.mysql.defaults import classify, default_sql
from dbsync.connectors.mysql.flavour import flavour_of
from dbsync.connectors.mysql.types import ColumnFacts
from dbsync.model.schema import Default
from dbsync.model.types import LogicalType, decimal, integer

MARIADB = flavour_of("10.11.6-MariaDB")
MYSQL = flavour_of("8.0.36")
STRING = LogicalType(name="string")
BOOLEAN = LogicalType(name="boolean")
BINARY = LogicalType(name="binary")
DATE = LogicalType(name="date")
TIME = LogicalType(name="time")
TIMESTAMP = LogicalType(name="timestamp")
MOMENT = LogicalType(name="timestamp_tz")
UUID = LogicalType(name="uuid")
DOUBLE = LogicalType(name="float", bits=64)
NATIVE = LogicalType(name="native")


@pytest.mark.parametrize(
    ("expression", "logical", "value"),
    [
        ("5", integer(32), "5"),
        ("-5", integer(32), "-5"),
        ("'7'", integer(32), "7"),
        ("18446744073709551615", integer(64, unsigned=True), "18446744073709551615"),
        ("0", BOOLEAN, "false"),
        ("1", BOOLEAN, "true"),
        ("b'1'", BOOLEAN, "true"),
        ("b'101'", integer(8, unsigned=True), "5"),
        ("1.50", decimal(10, 2), "1.50"),
        ("1e100", DOUBLE, "1e100"),
        ("''", STRING, ""),
        ("'it''s \\\\ \\n \\0x'", STRING, None),
        ("'it''s \\\\ \\n é'", STRING, "it's \\ \n é"),
        ("'NULL'", STRING, "NULL"),
        ("'uuid()'", STRING, "uuid()"),
        ("'current_timestamp()'", STRING, "current_timestamp()"),
        ("'a''b'", LogicalType(name="enum", labels=("a'b",)), "a'b"),
        ("'x,y'", NATIVE, "x,y"),
        ("'2020-02-29'", DATE, "2020-02-29"),
        ("'2020-02-29 10:00:00.5'", TIMESTAMP, "2020-02-29 10:00:00.5"),
        ("'2020-02-29 10:00:00'", MOMENT, "2020-02-29 10:00:00+00"),
        ("'10:00:00'", TIME, "10:00:00"),
        ("x'00FF'", BINARY, "\\x00ff"),
        ("X'00ff27'", BINARY, "\\x00ff27"),
        ("0x00FF", BINARY, "\\x00ff"),
        ("'ab\\0'", BINARY, "\\x616200"),
        ("'6ba7b810-9dad-11d1-80b4-00c04fd430c8'", UUID, "6ba7b810-9dad-11d1-80b4-00c04fd430c8"),
    ],
)
def test_literals(expression: str, logical: LogicalType, value: str | None) -> None:
    """A literal of the column's type is given in canonical text, unless no other engine has it."""
    expected = Default(kind="native", value=expression)
    if value is not None:
        expected = Default(kind="literal", value=value)
    assert classify(expression, logical) == expected


@pytest.mark.parametrize(
    ("expression", "logical", "name"),
    [
        ("current_timestamp()", TIMESTAMP, "current_timestamp"),
        ("current_timestamp(6)", MOMENT, "current_timestamp"),
        ("CURRENT_TIMESTAMP", TIMESTAMP, "current_timestamp"),
        ("now()", TIMESTAMP, "current_timestamp"),
        ("curdate()", DATE, "current_date"),
        ("(curdate())", DATE, "current_date"),
        ("curtime()", TIME, "current_time"),
        ("uuid()", UUID, "random_uuid"),
    ],
)
def test_portable_functions(expression: str, logical: LogicalType, name: str) -> None:
    """A function that every engine has is portable where the column has its type."""
    assert classify(expression, logical) == Default(kind="function", value=name)


@pytest.mark.parametrize(
    ("expression", "logical"),
    [
        ("uuid()", STRING),
        ("current_timestamp()", STRING),
        ("current_timestamp()", DATE),
        ("curdate() + interval 1 day", DATE),
        ("nextval(`s`)", integer(64)),
        ("1 + 2 * 3", integer(32)),
        ("2", BOOLEAN),
        ("'0000-00-00'", DATE),
        ("'2020-00-15'", DATE),
        ("'2020-02-30'", DATE),
        ("'2021-02-29'", DATE),
        ("'0000-00-00 00:00:00'", MOMENT),
        ("'-10:00:00'", TIME),
        ("'100:00:00'", TIME),
        ("'é'", BINARY),
        ("concat('a','b')", STRING),
        ("'a' 'b'", STRING),
    ],
)
def test_everything_else_is_native(expression: str, logical: LogicalType) -> None:
    """What another engine cannot compute or hold keeps its own text and is called native."""
    assert classify(expression, logical) == Default(kind="native", value=expression)


@pytest.mark.parametrize("expression", [None, "NULL"])
def test_no_default(expression: str | None) -> None:
    """No default and DEFAULT NULL are the same: none."""
    assert classify(expression, STRING) is None


def _facts(data_type: str, charset: str | None = None) -> ColumnFacts:
    return ColumnFacts(data_type=data_type, column_type=data_type, charset=charset)


@pytest.mark.parametrize(
    ("text", "extra", "facts", "expected"),
    [
        ("it's \\", "", _facts("varchar", "utf8mb4"), "'it''s \\\\'"),
        ("NULL", "", _facts("varchar", "utf8mb4"), "'NULL'"),
        ("5", "", _facts("int"), "5"),
        ("5", "", _facts("varchar", "utf8mb4"), "'5'"),
        ("2020-01-01", "", _facts("date"), "'2020-01-01'"),
        ("b'101'", "", _facts("bit"), "b'101'"),
        ("0x00FF", "", _facts("varbinary"), "0x00FF"),
        ("0x00FF", "", _facts("varchar", "utf8mb4"), "'0x00FF'"),
        ("CURRENT_TIMESTAMP", "DEFAULT_GENERATED", _facts("datetime"), "CURRENT_TIMESTAMP"),
        ("concat(_utf8mb4\\'a\\')", "DEFAULT_GENERATED", _facts("text"), "concat(_utf8mb4'a')"),
        (None, "", _facts("int"), None),
    ],
)
def test_bare_text_of_mysql(
    text: str | None, extra: str, facts: ColumnFacts, expected: str | None
) -> None:
    """MySQL's bare values become SQL, as its manual describes COLUMN_DEFAULT and EXTRA."""
    assert default_sql(text, extra, facts, MYSQL) == expected
    assert default_sql(text, extra, facts, MARIADB) == text
