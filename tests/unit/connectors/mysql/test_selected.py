"""Selections: what they choose, and the errors for wrong ones."""

from __future__ import annotations

import pytest

from dbsync.errors import SourceError
from tests.servers.mariadb import MariaServer
from tests.unit.connectors.mysql.catalogs import read


@pytest.fixture
def url(maria: MariaServer, maria_url: str) -> str:
    """Three tables, two of which differ in case, and a view."""
    sql = (
        "CREATE TABLE `A` (id int PRIMARY KEY, `Upper` int); CREATE TABLE `a` (id int PRIMARY KEY);"
        "CREATE TABLE other (x int); CREATE VIEW v AS SELECT 1 AS one"
    )
    maria.execute(sql, maria_url.rpartition("/")[2])
    return maria_url


def _names(url: str, **selection: object) -> list[str]:
    return sorted(t.name.name for t in read(url, **selection).tables)


def test_globs_have_case(url: str) -> None:
    """`A` beside `a` are two tables, chosen and left out one by one."""
    assert _names(url) == ["A", "a", "other"]
    assert _names(url, tables=("a",)) == ["a"]
    assert _names(url, exclude=("A",)) == ["a", "other"]
    assert _names(url, tables=("[Aa]",), where={"A": "Upper = 1"}) == ["A", "a"]


def test_columns_in_the_order_of_the_table(url: str) -> None:
    """Names of columns have no case, as for the server, and come as the table spells them."""
    (table,) = read(url, tables=("A",), columns={"A": ("upper", "ID")}).tables
    assert [c.name for c in table.columns] == ["id", "Upper"]
    assert table.all_columns


@pytest.mark.parametrize(
    ("selection", "message", "hint"),
    [
        ({"tables": ("nothing",)}, "no table matches nothing", "A, a, other"),
        ({"columns": {"nothing": ("x",)}}, "no table matches nothing", "A, a, other"),
        ({"columns": {"A": ("uper",)}}, "table A has no column 'uper'", "did you mean 'Upper'"),
        ({"columns": {"other": ("zzz",)}}, "table other has no column 'zzz'", "it has x"),
        ({"where": {"a": "Upper > 1"}}, "on table a", "columns of this table"),
        ({"where": {"*": "id > 1"}}, "on table other", "columns of this table"),
        ({"where": {"A": "id >"}}, "on table A", "MySQL's dialect"),
    ],
)
def test_wrong_selections(url: str, selection: dict[str, object], message: str, hint: str) -> None:
    """A pattern, column or condition that fits nothing is named, with the next step."""
    with pytest.raises(SourceError) as caught:
        read(url, **selection)
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")


def test_conditions_may_end_in_a_comment(url: str) -> None:
    """A condition is put in parentheses, and a comment in it ends with its line."""
    (table,) = read(url, tables=("A",), where={"A": "id > 1 -- or not"}).tables
    assert table.where == "id > 1 -- or not"


def test_hidden_columns_are_an_error(maria: MariaServer, url: str) -> None:
    """With a right on single columns the catalog hides the others: never a silent half."""
    name = url.rpartition("/")[2]
    with maria.account("c_half", f"SELECT (id) ON `{name}`.`A`", f"SELECT ON `{name}`.`a`"):
        half = maria.url(name, user="c_half")
        with pytest.raises(SourceError, match="may not read all columns of table A"):
            read(half)
        (table,) = read(half, tables=("A",), columns={"A": ("id",)}).tables
        assert [c.name for c in table.columns] == ["id"]
        assert _names(half, tables=("a",)) == ["a"]
