"""Tables as they are on the target."""

from __future__ import annotations

import pytest

from dbsync.connectors.mysql import existing
from dbsync.connectors.mysql.existing import read_tables
from dbsync.errors import TargetError
from dbsync.model.schema import Name
from tests.servers.mariadb import MariaServer
from tests.unit.connectors.mysql.catalogs import session

SQL = """
CREATE TABLE parent (
  id int unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
  code varchar(9) CHARACTER SET latin1 NOT NULL,
  n int, made timestamp NOT NULL DEFAULT current_timestamp() ON UPDATE current_timestamp(),
  nothing int DEFAULT NULL, kept int AS (n + 1) STORED, secret int INVISIBLE NOT NULL DEFAULT 1,
  UNIQUE KEY z_code (code), UNIQUE KEY a_n (n), UNIQUE KEY pre (code(3))
) AUTO_INCREMENT=9;
CREATE TABLE child (id int PRIMARY KEY, up int unsigned,
  CONSTRAINT up FOREIGN KEY (up) REFERENCES parent (id) ON DELETE CASCADE);
CREATE TABLE `A` (id int) ENGINE=MyISAM;
CREATE TABLE `a` (id int PRIMARY KEY, j json) ENGINE=InnoDB;
INSERT INTO `a` VALUES (1, NULL);
CREATE VIEW v AS SELECT 1 AS x;
CREATE TRIGGER t1 BEFORE UPDATE ON parent FOR EACH ROW SET NEW.n = 1;
"""


@pytest.fixture
def url(maria: MariaServer, maria_url: str) -> str:
    """A target with tables that refer to one another."""
    maria.execute(SQL, maria_url.rpartition("/")[2])
    return maria_url


def _read(url: str, *names: str) -> dict[str, existing.TargetTable]:
    with session(url, TargetError) as opened:
        found = read_tables(opened, [Name(None, name) for name in names])
    assert all(key == table.name for key, table in found.items())
    return {key.name: table for key, table in found.items()}


def test_only_what_exists(url: str) -> None:
    """Names that are not there are left out, case tells `A` from `a`, and nothing gives nothing."""
    found = _read(url, "A", "missing", "PARENT")
    assert set(found) == {"A"}
    assert found["A"].engine == "MyISAM"
    assert not found["A"].transactional
    assert _read(url) == {}


def test_columns(url: str) -> None:
    """What a writer has to know of each column."""
    table = _read(url, "parent")["parent"]
    columns = {c.name: c for c in table.columns}
    assert [c.name for c in table.columns][:2] == ["id", "code"]
    assert columns["id"].auto_increment
    assert columns["id"].native == "int(10) unsigned"
    assert str(columns["id"].logical) == "unsigned integer32"
    assert (columns["code"].charset, columns["code"].collation) == ("latin1", "latin1_swedish_ci")
    assert columns["made"].on_update == "current_timestamp()"
    assert columns["nothing"].default is None
    assert columns["kept"].generated
    assert columns["secret"].invisible
    assert not columns["code"].fills_itself
    assert all(c.fills_itself for c in table.columns if c.name != "code")
    assert columns["n"].privileges == {"select", "insert", "update", "references"}
    assert table.column("CODE") is columns["code"]
    with pytest.raises(KeyError):
        table.column("none")
    assert _read(url, "a")["a"].column("j").logical.name == "json"


def test_keys(url: str) -> None:
    """All unique keys, the primary key first, with what keeps rows from meeting by them."""
    table = _read(url, "parent")["parent"]
    assert table.primary_key == ("id",)
    keys = {k.name: (k.columns, k.nullable, k.whole) for k in table.unique_keys}
    assert table.unique_keys[0].primary
    assert keys == {
        "PRIMARY": (("id",), False, True),
        "z_code": (("code",), False, True),
        "a_n": (("n",), True, True),
        "pre": (("code",), False, False),
    }
    assert _read(url, "A")["A"].primary_key == ()


def test_references_in_both_directions(url: str) -> None:
    """A table knows its own foreign keys, and those of tables that were not asked for."""
    found = _read(url, "parent", "child")
    (key,) = found["child"].foreign_keys
    assert (key.name, key.table, key.columns) == ("up", "child", ("up",))
    assert (key.schema, key.referred, key.referred_columns) == (None, "parent", ("id",))
    assert key.on_delete == "CASCADE"
    assert found["parent"].referenced_by == (key,)
    assert _read(url, "parent")["parent"].referenced_by == (key,)
    assert found["child"].referenced_by == ()


def test_rows_triggers_and_position(url: str) -> None:
    """Emptiness is asked and not estimated; triggers come with timing and event."""
    found = _read(url, "parent", "a", "v")
    assert found["parent"].row_count_is_zero
    assert not found["a"].row_count_is_zero
    assert found["parent"].auto_increment == 9
    (trigger,) = found["parent"].triggers
    assert (trigger.name, trigger.timing, trigger.event) == ("t1", "BEFORE", "UPDATE")
    assert found["v"].kind == "VIEW"
    assert not found["v"].is_table
    assert found["a"].is_table


def test_a_server_without_case(
    maria: MariaServer, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the server ignores case, a table is found under any spelling, and gives its own."""
    monkeypatch.setattr(existing, "ignores_case", lambda _: True)
    maria.execute("DROP TABLE `A`", url.rpartition("/")[2])
    with session(url, TargetError) as opened:
        found = read_tables(opened, [Name(None, "PARENT"), Name(None, "Child")])
    assert {k.name: t.name.name for k, t in found.items()} == {"PARENT": "parent", "Child": "child"}
    assert found[Name(None, "PARENT")].referenced_by[0].table == "child"
    assert not found[Name(None, "Child")].foreign_keys[0].schema


def test_the_number_of_questions_does_not_grow(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One table costs as many questions as five."""
    with session(url, TargetError) as opened:
        asked: list[str] = []
        rows = opened.rows

        def counting(sql: str, *rest: object) -> list[dict[str, object]]:
            asked.append(sql)
            return rows(sql, *rest)  # type: ignore[arg-type]

        monkeypatch.setattr(opened, "rows", counting)
        read_tables(opened, [Name(None, "a")])
        one = len(asked)
        read_tables(opened, [Name(None, n) for n in ("a", "A", "parent", "child", "v")])
        assert len(asked) - one == one
