"""Columns: types, generation, comments, collations and the marks that MariaDB hides in checks."""

from __future__ import annotations

import pytest

from dbsync.model.schema import Column, Name
from tests.servers.mariadb import MariaServer
from tests.unit.connectors.mysql.catalogs import read

SQL = """
CREATE TABLE t (
  id int NOT NULL PRIMARY KEY, flag tinyint(1), n int unsigned DEFAULT 3,
  virt int GENERATED ALWAYS AS (n + 1) VIRTUAL, kept int AS (n * 2) STORED COMMENT 'twice',
  doc json NOT NULL, fake longtext CHECK (json_valid(fake) OR fake = ''),
  `odd ``name` json, plain text, own varchar(9) COLLATE utf8mb4_bin,
  l varchar(9) CHARACTER SET latin1,
  made timestamp(3) NOT NULL DEFAULT current_timestamp(3), day date DEFAULT '0000-00-00',
  en enum('a','b,''c') NOT NULL DEFAULT 'a', `t:exceptions` int, t int
) CHARSET utf8mb4 COLLATE utf8mb4_general_ci;
CREATE TABLE v (a int, s timestamp(6) GENERATED ALWAYS AS ROW START,
  e timestamp(6) GENERATED ALWAYS AS ROW END, PERIOD FOR SYSTEM_TIME (s, e)) WITH SYSTEM VERSIONING;
"""


@pytest.fixture
def columns(maria: MariaServer, maria_url: str) -> dict[str, Column]:
    """The columns of both tables by name."""
    maria.execute(SQL, maria_url.rpartition("/")[2])
    database = read(maria_url)
    return {c.name: c for n in ("v", "t") for c in database.table(Name(None, n)).columns}


def test_order_nullability_and_comments(columns: dict[str, Column]) -> None:
    """Columns stand in the table's order; a comment is there or None."""
    assert list(columns)[3:8] == ["id", "flag", "n", "virt", "kept"]
    assert not columns["id"].nullable
    assert columns["flag"].nullable
    assert columns["kept"].comment == "twice"
    assert columns["n"].comment is None


def test_generated_columns(columns: dict[str, Column]) -> None:
    """Virtual and stored ones are told apart; the moments of system versioning are generated."""
    virtual, kept, start = (columns[n].generated for n in ("virt", "kept", "s"))
    assert (virtual and (virtual.expression, virtual.stored)) == ("`n` + 1", False)
    assert (kept and (kept.expression, kept.stored)) == ("`n` * 2", True)
    assert (start and (start.expression, start.stored)) == ("ROW START", True)
    assert columns["virt"].default is None


def test_json_is_told_by_its_check(columns: dict[str, Column]) -> None:
    """Only the check that the alias writes makes a longtext JSON, whatever the column's name."""
    assert columns["doc"].type.name == columns["odd `name"].type.name == "json"
    assert columns["doc"].native_type == "json"
    assert columns["fake"].type.name == "string"
    assert columns["plain"].type.name == "string"


def test_collations_that_are_not_the_tables(columns: dict[str, Column]) -> None:
    """A collation stands with the column where it is not the table's default."""
    named = {c.name: c.collation for c in columns.values() if c.collation}
    assert named == {"own": "utf8mb4_bin", "l": "latin1_swedish_ci"}


def test_types_and_defaults(columns: dict[str, Column]) -> None:
    """Types carry their parameters, and defaults are told apart as in `defaults`."""
    assert (columns["flag"].type.name, columns["flag"].storage) == ("boolean", "int8")
    assert str(columns["n"].type) == "unsigned integer32"
    assert columns["en"].type.labels == ("a", "b,'c")
    assert (columns["made"].type.name, columns["made"].type.precision) == ("timestamp_tz", 3)
    kinds = {c.name: (c.default.kind, c.default.value) for c in columns.values() if c.default}
    assert kinds["n"] == ("literal", "3")
    assert kinds["en"] == ("literal", "a")
    assert kinds["made"] == ("function", "current_timestamp")
    assert kinds["day"] == ("native", "'0000-00-00'")


def test_exceptions_fields_clash_with_no_column(columns: dict[str, Column]) -> None:
    """The field for values that the storage cannot hold has a name of its own."""
    assert columns["t"].exceptions == "t:exceptions_"
