"""Keys, indexes, checks and foreign keys: what every engine can have, and what it cannot."""

from __future__ import annotations

import pytest

from dbsync.connectors.mysql.constraints import Narrowed, read_checks
from dbsync.connectors.mysql.information import RawTable
from dbsync.connectors.mysql.shown import ShownCheck, read_shown
from dbsync.model.schema import ForeignKey, Index, Key, Name, Table
from tests.servers.mariadb import MariaServer
from tests.unit.connectors.mysql.catalogs import lost, read, session

SQL = """
CREATE TABLE parent (id int PRIMARY KEY, a int, b int, UNIQUE KEY ab (a, b), KEY only_b (b));
CREATE TABLE t (
  k varchar(100) NOT NULL, a int, b int, c text, g point NOT NULL, `d``e` int CHECK (`d``e` > 0),
  j json, PRIMARY KEY (k(20)), UNIQUE KEY uq (a, b),
  UNIQUE KEY up (c(9)), UNIQUE KEY uh (c) USING HASH,
  UNIQUE KEY ud (b DESC), KEY plain (a, `d``e`), KEY falling (a DESC, b), KEY pre (k(5)),
  FULLTEXT KEY ft (c), SPATIAL KEY sp (g),
  CONSTRAINT `a to id` FOREIGN KEY (a) REFERENCES parent (id) ON DELETE CASCADE ON UPDATE SET NULL,
  CONSTRAINT pair FOREIGN KEY (b, a) REFERENCES parent (b, a) ON DELETE NO ACTION,
  CONSTRAINT loose FOREIGN KEY (b) REFERENCES parent (b),
  CONSTRAINT self FOREIGN KEY (a) REFERENCES t (a) ON DELETE RESTRICT,
  CONSTRAINT `CHECK (` CHECK (`d``e` < 9 AND `c` <> 'CHECK (it''s)'), CHECK (`d``e` <> 5)
) CHARSET utf8mb4;
"""


@pytest.fixture
def url(maria: MariaServer, maria_url: str) -> str:
    """Two tables with every kind of key."""
    # Some servers let a pair refer in another order only where an index has that order.
    sql = SQL.replace("UNIQUE KEY ab (a, b)", "UNIQUE KEY ab (a, b), UNIQUE KEY ba (b, a)")
    sql = sql.replace("KEY plain", "KEY self_a (a), KEY plain")
    maria.execute(sql, maria_url.rpartition("/")[2])
    return maria_url


@pytest.fixture
def table(url: str) -> Table:
    """The table with the keys."""
    return read(url).table(Name(None, "t"))


def test_keys(table: Table) -> None:
    """Whole columns make a unique key; a primary key over a prefix is unique over all as well."""
    assert table.primary_key == Key(columns=("k",))
    assert table.uniques == (Key(columns=("c",), name="uh"), Key(columns=("a", "b"), name="uq"))


def test_indexes(table: Table) -> None:
    """Plain ones are portable with their directions; the others keep their own words."""
    indexes = {i.name: i for i in table.indexes}
    portable = {name for name, index in indexes.items() if index.portable}
    assert {"plain", "falling", "ud"} <= portable
    assert {n for n in indexes if n not in portable} == {"pre", "up", "ft", "sp"}
    assert [(c.column, c.descending) for c in indexes["falling"].columns] == [
        ("a", True), ("b", False),
    ]  # fmt: skip
    assert indexes["ud"].unique
    assert indexes["up"].unique
    assert indexes["up"].definition == "UNIQUE KEY `up` (`c`(9))"
    assert indexes["ft"].definition == "FULLTEXT KEY `ft` (`c`)"
    assert indexes["plain"].definition is None
    assert isinstance(indexes["sp"], Index)


def test_foreign_keys(url: str, table: Table) -> None:
    """Actions come from the table's own text; what refers to no unique key is no one else's."""
    keys = {key.name: key for key in table.foreign_keys}
    assert keys["a to id"] == ForeignKey(
        columns=("a",),
        referred=Name(None, "parent"),
        referred_columns=("id",),
        name="a to id",
        on_delete="cascade",
        on_update="set null",
    )
    assert keys["pair"].columns == ("b", "a")
    assert keys["pair"].referred_columns == ("b", "a")
    assert keys["pair"].on_delete == keys["pair"].on_update == "no action"
    assert set(keys) == {"a to id", "pair"}
    changed = lost(read(url), "changed")
    assert "need not be unique" in changed["foreign key loose of table t"]
    assert "need not be unique" in changed["foreign key self of table t"]


def test_checks(table: Table) -> None:
    """Checks of the table have their names, those of a column none, and JSON's is no check."""
    checks = {check.name: check.expression for check in table.checks}
    assert checks == {
        None: "`d``e` > 0",
        "CHECK (": "`d``e` < 9 and `c` <> 'CHECK (it''s)'",
        "CONSTRAINT_1": "`d``e` <> 5",
    }


def test_narrowed_tables_keep_what_still_fits(url: str) -> None:
    """Keys over a column that was not chosen are losses by name, the rest stays."""
    database = read(url, columns={"t": ("k", "a", "b", "g", "d`e")})
    table = database.table(Name(None, "t"))
    assert table.uniques == (Key(columns=("a", "b"), name="uq"),)
    assert {i.name for i in table.indexes} == {
        "falling",
        "pre",
        "sp",
        "ud",
        "self_a",
        "plain",
        "pair",
    }
    assert [c.name for c in table.checks] == [None, "CONSTRAINT_1"]
    gone = lost(database, "lost")
    assert gone["index ft of table t"] == "column c was not chosen"
    assert gone["unique key uh of table t"] == "column c was not chosen"
    assert "check CHECK ( of table t" in gone


def test_expressions_of_mysql() -> None:
    """Strings become standard SQL: no character set before them, no backslash before a quote."""
    raw = RawTable(
        name="t", kind="BASE TABLE", engine="InnoDB", rows=0, data_bytes=0, auto_increment=None,
        collation=None, options="", comment="",
    )  # fmt: skip
    for given, expected in (
        ("(`a` in (_utf8mb4'x',_latin1'_utf8mb4'))", "(`a` in ('x','_utf8mb4'))"),
        ("`_utf8mb4` = 'it\\'s'", "`_utf8mb4` = 'it''s'"),
        ("`a` = 'a\\\\b' or `a` = 'c\\nd'", "`a` = 'a\\\\b' or `a` = 'c\nd'"),
    ):
        (found,) = read_checks(Narrowed(raw, set(), []), [ShownCheck(expression=given, name="c")])
        assert found.expression == expected


def test_checks_that_are_not_enforced_are_none() -> None:
    """MySQL marks such a check by a comment; it promises nothing, so the model leaves it out."""

    class Answers:
        """A session that shows one table of MySQL 8."""

        database = "d"

        def rows(self, *_: object) -> list[dict[str, str]]:
            """Answer SHOW CREATE TABLE as MySQL's manual shows it."""
            text = (
                "CREATE TABLE `t` (\n  `a` int DEFAULT NULL,\n"
                "  CONSTRAINT `off` CHECK ((`a` > 0)) /*!80016 NOT ENFORCED */,\n"
                "  CONSTRAINT `on` CHECK ((`a` > 1))\n) ENGINE=InnoDB"
            )
            return [{"Table": "t", "Create Table": text}]

    raw = RawTable(
        name="t", kind="BASE TABLE", engine="InnoDB", rows=0, data_bytes=0, auto_increment=None,
        collation=None, options="", comment="",
    )  # fmt: skip
    shown = read_shown(Answers(), raw, frozenset())  # type: ignore[arg-type]
    assert shown is not None
    assert shown.checks == (ShownCheck(expression="(`a` > 1)", name="on"),)


def test_a_user_without_rights_on_the_table(maria: MariaServer, url: str) -> None:
    """Where the definition is hidden, columns are read still, and the rest is named."""
    name = url.rpartition("/")[2]
    with maria.account("c_columns", f"SELECT (id) ON `{name}`.parent"):
        with session(maria.url(name, user="c_columns")) as opened:
            assert opened.database == name
        database = read(maria.url(name, user="c_columns"), columns={"parent": ("id",)})
    assert [c.name for c in database.tables[0].columns] == ["id"]
    assert "definition of table parent" in lost(database, "lost")
