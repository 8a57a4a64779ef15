"""Definitions on their way into the portable model."""

from __future__ import annotations

from pathlib import Path

import pytest

from dbsync.connectors.sqlite.parse import parse_table, without_string_fallback
from dbsync.connectors.sqlite.schema import read_default
from dbsync.model.schema import (
    Check,
    Default,
    ForeignKey,
    Generated,
    Identity,
    IndexColumn,
    Key,
    Name,
    Sequence,
    Table,
)
from dbsync.model.types import LogicalType, decimal, integer
from tests.unit.connectors.sqlite.files import make, read


def tables(path: Path, script: str) -> dict[str, Table]:
    database, _ = read(make(path / "a.db", script))
    return {table.name.name: table for table in database.tables}


def test_keys_and_constraints(tmp_path: Path) -> None:
    """Primary key, uniques, checks and foreign keys with their names and actions are read."""
    found = tables(
        tmp_path,
        """
        CREATE TABLE p (a INT, b TEXT, CONSTRAINT pk PRIMARY KEY (b, a), UNIQUE (a));
        CREATE TABLE c (
          id INTEGER CONSTRAINT cpk PRIMARY KEY, -- CHECK (no)
          x INT NOT NULL CHECK (x > 0 AND (x < 5)),
          y TEXT, self INT REFERENCES C (ID) ON DELETE CASCADE,
          CONSTRAINT "both" FOREIGN KEY (x, y) REFERENCES P (A, b) DEFERRABLE INITIALLY DEFERRED,
          CONSTRAINT u UNIQUE (y, x), FOREIGN KEY (x, y) REFERENCES p ON UPDATE SET NULL,
          CHECK (y <> 'it''s, )')
        );
        """,
    )
    assert found["p"].primary_key == Key(columns=("b", "a"), name="pk")
    assert found["p"].uniques == (Key(columns=("a",)),)
    child = found["c"]
    assert child.primary_key == Key(columns=("id",), name="cpk")
    assert child.uniques == (Key(columns=("y", "x"), name="u"),)
    assert child.checks == (
        Check(expression="x > 0 AND (x < 5)"), Check(expression="y <> 'it''s, )'"),
    )  # fmt: skip
    parent, own = Name(None, "p"), Name(None, "c")
    assert child.foreign_keys == (
        ForeignKey(columns=("self",), referred=own, referred_columns=("id",), on_delete="cascade"),
        ForeignKey(
            columns=("x", "y"), referred=parent, referred_columns=("a", "b"), name="both",
            deferrable=True, initially_deferred=True,
        ),
        ForeignKey(
            columns=("x", "y"), referred=parent, referred_columns=("b", "a"), on_update="set null"
        ),
    )  # fmt: skip
    assert not child.column("x").nullable
    assert child.column("y").nullable


def test_identity_and_sequences(tmp_path: Path) -> None:
    """The two ways of numbering are told apart from keys that only look like them."""
    path = make(
        tmp_path / "a.db",
        "CREATE TABLE r (id INTEGER PRIMARY KEY);"
        "CREATE TABLE a (id INTEGER PRIMARY KEY AUTOINCREMENT);"
        "CREATE TABLE n (id INTEGER PRIMARY KEY AUTOINCREMENT);"
        "CREATE TABLE i (id INT PRIMARY KEY);"
        "CREATE TABLE d (id INTEGER PRIMARY KEY DESC);"
        "CREATE TABLE w (id INTEGER PRIMARY KEY) WITHOUT ROWID;"
        "INSERT INTO a VALUES (41); DELETE FROM a;",
    )
    database, _ = read(path)
    kinds = {t.name.name: t.columns[0].identity for t in database.tables}
    assert kinds == {
        "r": Identity(kind="rowid"),
        "a": Identity(kind="autoincrement", sequence=Name(None, "a")),
        "n": Identity(kind="autoincrement", sequence=Name(None, "n")),
        "i": None, "d": None, "w": None,
    }  # fmt: skip
    assert database.sequences == (
        Sequence(name=Name(None, "a"), last_value=41, is_called=True,
                 owner_table=Name(None, "a"), owner_column="id"),
        Sequence(name=Name(None, "n"), last_value=1, is_called=False,
                 owner_table=Name(None, "n"), owner_column="id"),
    )  # fmt: skip


def test_indexes(tmp_path: Path) -> None:
    """Plain indexes are portable; partial, expression and collated ones only native."""
    found = tables(
        tmp_path,
        "CREATE TABLE t (a INT, b TEXT COLLATE nocase);"
        "CREATE UNIQUE INDEX i1 ON t (a DESC, b);"
        "CREATE INDEX i2 ON t (a) WHERE a > 1; CREATE INDEX i3 ON t (lower(b));"
        "CREATE INDEX i4 ON t (b COLLATE BINARY);",
    )
    indexes = {index.name: index for index in found["t"].indexes}
    assert {name: index.portable for name, index in indexes.items()} == {
        "i1": True, "i2": False, "i3": False, "i4": False,
    }  # fmt: skip
    assert indexes["i1"].unique
    assert indexes["i1"].columns == (
        IndexColumn(column="a", descending=True), IndexColumn(column="b"),
    )  # fmt: skip
    assert indexes["i2"].definition == "CREATE INDEX i2 ON t (a) WHERE a > 1"


def test_generated_columns_and_collations(tmp_path: Path) -> None:
    """Expressions come out of the statement's text, stored and virtual ones told apart."""
    found = tables(
        tmp_path,
        "CREATE TABLE t (a INT COLLATE rtrim, b INT GENERATED ALWAYS AS (a * (2 + 1)) STORED,"
        " c AS (a || ')'));",
    )
    columns = {column.name: column for column in found["t"].columns}
    assert columns["a"].collation == "rtrim"
    assert columns["b"].generated == Generated(expression="a * (2 + 1)", stored=True)
    assert columns["c"].generated == Generated(expression="a || ')'", stored=False)


@pytest.mark.parametrize(
    ("text", "logical", "expected"),
    [
        (None, integer(64), None),
        ("NULL", integer(64), None),
        ("5", integer(64), Default(kind="literal", value="5")),
        ("(-5)", integer(64), Default(kind="literal", value="-5")),
        ("+5", integer(64), Default(kind="literal", value="5")),
        ("1.50", decimal(5, 2), Default(kind="literal", value="1.50")),
        ("1e5", LogicalType(name="float", bits=64), Default(kind="native", value="1e5")),
        ("'it''s'", LogicalType(name="string"), Default(kind="literal", value="it's")),
        ('"text"', LogicalType(name="string"), Default(kind="literal", value="text")),
        ("'5'", integer(64), Default(kind="literal", value="5")),
        ("'x'", integer(64), Default(kind="native", value="'x'")),
        ("1", LogicalType(name="boolean"), Default(kind="literal", value="true")),
        ("FALSE", LogicalType(name="boolean"), Default(kind="literal", value="false")),
        ("CURRENT_DATE", LogicalType(name="date"), Default(kind="function", value="current_date")),
        ("datetime('now')", LogicalType(name="timestamp"),
         Default(kind="native", value="datetime('now')")),
        ("x'00'", LogicalType(name="binary"), Default(kind="native", value="x'00'")),
    ],
)  # fmt: skip
def test_defaults(text: str | None, logical: LogicalType, expected: Default | None) -> None:
    """Literals and portable functions are recognised; all else stays in SQLite's dialect."""
    assert read_default(text, logical) == expected


@pytest.mark.parametrize(
    ("declared", "value", "logical", "storage"),
    [
        ("INTEGER", 1, integer(64), "int64"),
        ("SMALLINT", 1, integer(16), "int64"),
        ("SMALLINT", 70_000, integer(64), "int64"),
        ("VARCHAR(5)", "12345", LogicalType(name="string", length=5), "string"),
        ("VARCHAR(5)", "123456", LogicalType(name="string"), "string"),
        ("DATETIME", "2024-01-01 00:00:00", LogicalType(name="timestamp"), "string"),
        ("DATETIME", 1_700_000_000, integer(64), "int64"),
        ("DATETIME", 2_460_000.5, LogicalType(name="float", bits=64), "double"),
        ("DATE", None, LogicalType(name="date"), "string"),
        ("BOOLEAN", 1, LogicalType(name="boolean"), "int64"),
        ("BOOLEAN", "maybe", LogicalType(name="string"), "string"),
        ("DECIMAL(10,2)", 5, decimal(10, 2), "double"),
        ("DECIMAL(10,0)", 5, decimal(10, 0), "int64"),
        ("DECIMAL(10,2)", "abc", decimal(10, 2), "string"),
        ("NUMERIC", 2**60, LogicalType(name="numeric"), "int64"),
        ("POINT", b"\0", LogicalType(name="binary"), "binary"),
        ("", "x", LogicalType(name="any"), "string"),
        ("", None, LogicalType(name="any"), "binary"),
        ("whatever", 1.5, LogicalType(name="float", bits=64), "double"),
    ],
)
def test_types_by_declaration_and_values(
    tmp_path: Path, declared: str, value: object, logical: LogicalType, storage: str
) -> None:
    """The declared type says what a column means, as far as its values agree."""
    path = make(
        tmp_path / "a.db",
        f"CREATE TABLE t (c {declared})",
        ("INSERT INTO t VALUES (?)", [(value,)]),
    )
    column = read(path)[0].tables[0].columns[0]
    assert (column.type, column.storage, column.native_type) == (logical, storage, declared)


def test_without_schema(tmp_path: Path) -> None:
    """Without the schema only columns, types and primary keys are read."""
    from dbsync.connectors.sqlite import open_source
    from dbsync.model.selection import Selection
    from tests.unit.connectors.sqlite.files import url

    path = make(
        tmp_path / "a.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, a INT DEFAULT 5 UNIQUE);"
        "CREATE VIEW v AS SELECT 1;",
    )
    with open_source(url(path)).snapshot(Selection(), include_schema=False) as snapshot:
        database = snapshot.database
    assert database.tables[0].primary_key == Key(columns=("id",))
    assert database.native == ()
    assert database.sequences == ()
    assert database.tables[0].uniques == ()
    assert all(c.default is None and c.identity is None for c in database.tables[0].columns)


def test_texts_that_confuse_parsers() -> None:
    """Comments, quotes and keywords as names do not lead the parser astray."""
    found = parse_table(
        "CREATE TABLE \"a(b\" (/* , check (no) */ [check] TEXT DEFAULT ', check (1)',\n"
        ' `un"ique` INT -- , x\n, "a ""b" BLOB COLLATE "My Coll" CHECK("a ""b" <> x\'00\'))'
    )
    assert list(found.columns) == ["check", 'un"ique', 'a "b']
    assert found.columns['a "b'].collation == "My Coll"
    assert found.checks == [(None, '"a ""b" <> x\'00\'')]


def test_names_in_double_quotes_lose_their_second_meaning() -> None:
    """Only identifiers in double quotes change; strings and comments stay."""
    condition = '"a`""b" = \'say "x"\' -- "c"'
    assert without_string_fallback(condition) == (
        "`a``\"b` = 'say \"x\"' -- \"c\"", ['a`"b'],
    )  # fmt: skip


def test_a_missing_module_is_no_obstacle(tmp_path: Path) -> None:
    """A virtual table of a module that is not there is carried as its definition."""
    path = make(
        tmp_path / "a.db",
        "CREATE TABLE t (v); PRAGMA writable_schema = ON;"
        "INSERT INTO sqlite_master VALUES ('table', 'gone', 'gone', 0,"
        " 'CREATE VIRTUAL TABLE gone USING nosuchmodule(x)');",
    )
    database, _ = read(path)
    assert [table.name.name for table in database.tables] == ["t"]
    assert [item.name.name for item in database.native] == ["t", "gone"]
    assert [loss.object for loss in database.losses] == ["virtual table gone"]
