"""Every logical type from each engine into each: equal, or refused as types-v1.md says."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

import dbsync
from dbsync.connectors.registry import open_source
from dbsync.errors import LossError
from dbsync.model.selection import Selection
from tests.formats.types_document import Values, code, outcomes, row_of, special_values, table
from tests.integration.engines import ENGINES, query, tables
from tests.integration.matrix import fill, holds, make_tables, ordinary, plain, read
from tests.servers import MariaServer, PostgresServer

LOGICAL = [code(row["Logical type"]) for row in table("5.1")]
SPECIAL = special_values()
PRODUCTS = {
    "postgresql": "PostgreSQL",
    "sqlite": "SQLite",
    "mysql": "MariaDB",
    "treasuredata": "Treasure Data",
}
FIRST = 10_001
"""The key of the first row with a special value."""
_SAMPLE = 1000
"""Rows that SQLite's source looks at to choose a type, which the special ones must not be among."""
_LINE = re.compile(r"table (?:\w+\.)?special, column (\w+): (\d+) values? .*\bin the row id=(\d+)")


def _column(values: Values) -> str:
    return re.sub(r"\W+", "_", f"{values.type} {values.name}")


@dataclass(frozen=True)
class Source:
    """A database with two tables: ``plain`` values that all engines take, and ``special`` ones."""

    url: str
    engine: str
    rows: dict[str, str]
    """The row of the document that each column of both tables follows, as dbsync reads it."""

    @property
    def special(self) -> list[Values]:
        """What ``special`` holds, a column each."""
        return [values for values in SPECIAL if self.engine in values.held_by]

    def refused(self, target: str) -> list[Values]:
        """List the columns of ``special`` that a target must refuse, as the document says."""
        if target == self.engine:
            return []
        cells = outcomes(PRODUCTS[target])
        return [
            values
            for values in self.special
            # What the engine has no type for is read as another one, of which it may be ordinary.
            if (row := self.rows[_column(values)]) == values.type
            or any(
                (other.name, other.type) == (values.name, row)
                and set(values.examples) <= set(other.examples)
                for other in SPECIAL
            )
            if values.name in cells[row].refused
        ]


@pytest.fixture(scope="module")
def sources(
    maria: MariaServer, pg18: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Source]]:
    """The three sources."""
    postgres, mysql = pg18.create_database(), maria.create_database()
    urls = {
        "sqlite": f"sqlite:///{tmp_path_factory.mktemp('matrix') / 'source.sqlite'}",
        "postgresql": pg18.url(postgres),
        "mysql": maria.url(mysql),
    }
    yield {engine: _filled(url, engine) for engine, url in urls.items()}
    pg18.drop_database(postgres)
    maria.drop_database(mysql)


def _filled(url: str, engine: str) -> Source:
    every = [(re.sub(r"\W+", "_", logical), logical) for logical in LOGICAL]
    special = [(_column(values), values.type) for values in SPECIAL]
    make_tables(url, {"plain": every, "special": special})
    columns = [ordinary(engine, logical) for logical in LOGICAL]
    longest = max(map(len, columns))
    padded = [[*column, *[None] * (longest - len(column))] for column in columns]
    fill(url, "plain", LOGICAL, [(n, *row) for n, row in enumerate(zip(*padded, strict=True))])
    _fill_special(url, engine)
    with closing(open_source(url)) as source, source.snapshot(Selection()) as snapshot:
        found = {
            column.name: row_of(column.type)
            for one in snapshot.database.tables
            for column in one.columns
        }
    return Source(url, engine, found)


def _fill_special(url: str, engine: str) -> None:
    logicals = [values.type for values in SPECIAL]
    usual = [
        next(v for v in ordinary(engine, name) if 0 < len(v) < 80 and v.isascii())
        for name in logicals
    ]
    rows: list[tuple[int | str | None, ...]] = [
        (n, *usual) for n in range(_SAMPLE if engine == "sqlite" else 1)
    ]
    for number in range(max(len(values.examples) for values in SPECIAL)):
        row = [
            values.examples[number]
            if engine in values.held_by and number < len(values.examples)
            else None
            for values in SPECIAL
        ]
        rows.append((FIRST + number, *row))
    fill(url, "special", logicals, rows)


@pytest.fixture
def new_url(
    new_pg_url: Callable[[], str], new_maria_url: Callable[[], str], tmp_path: Path
) -> Callable[[str], str]:
    """A function that gives the URL of an empty database of an engine."""

    def create(engine: str) -> str:
        if engine == "sqlite":
            return f"sqlite:///{tmp_path / 'new.sqlite'}"
        return new_pg_url() if engine == "postgresql" else new_maria_url()

    return create


@pytest.mark.parametrize("engine", ENGINES)
def test_each_engine_holds_what_the_document_says(sources: dict[str, Source], engine: str) -> None:
    """A value is given back unchanged by the engines that are said to hold it, and no other."""
    source = sources[engine]
    for values in SPECIAL:
        if source.rows[_column(values)] != values.type:
            continue  # the engine has no such type
        held = [holds(source.url, "special", _column(values), values.type, text)
                for text in values.examples]  # fmt: skip
        assert (values.name, values.type, held) == (
            values.name,
            values.type,
            [engine in values.held_by] * len(held),
        )


@pytest.mark.parametrize("target", ENGINES)
@pytest.mark.parametrize("source", ENGINES)
def test_values_arrive_equal(
    sources: dict[str, Source],
    new_url: Callable[[str], str],
    tmp_path: Path,
    source: str,
    target: str,
) -> None:
    """Whatever the document does not refuse arrives, by `verify` and by the servers' own texts."""
    given, copy = sources[source], new_url(target)
    refused = given.refused(target)
    accepted = [values for values in given.special if values not in refused]
    names = [_column(values) for values in accepted]
    archive = str(tmp_path / "a.dbsync.tar")
    dbsync.export_database(given.url, archive, columns={"special": ["id", *names]})
    dbsync.import_archive(archive, copy, include_schema=True)
    assert dbsync.verify(archive, against=copy).differences == ()
    plain_columns = [(re.sub(r"\W+", "_", logical), logical) for logical in LOGICAL]
    special_columns = [(_column(values), values.type) for values in accepted]
    for name, columns in (("plain", plain_columns), ("special", special_columns)):
        there, here = read(copy, name, columns), read(given.url, name, columns)
        for column, logical in columns:
            assert (logical, column, there[column]) == (logical, column, here[column])
    for values in accepted:
        for number, text in enumerate(values.examples, FIRST):
            assert here[_column(values)][number] == plain(values.type, text)


@pytest.mark.parametrize("target", ENGINES)
@pytest.mark.parametrize("source", ENGINES)
def test_values_are_refused_before_the_first_write(
    sources: dict[str, Source],
    new_url: Callable[[str], str],
    tmp_path: Path,
    source: str,
    target: str,
) -> None:
    """What the document refuses is refused by column, count and key, and nothing is there."""
    given, copy = sources[source], new_url(target)
    early = [values for values in given.refused(target) if values.early]
    assert bool(early) == (source != target)
    for start in range(0, len(early), 10):  # a message has at most twenty lines
        group = early[start : start + 10]
        archive = str(tmp_path / f"{start}.dbsync.tar")
        chosen = {"special": ["id", *map(_column, group)]}
        dbsync.export_database(given.url, archive, tables=["special"], columns=chosen)
        with pytest.raises(LossError) as failure:
            dbsync.import_archive(archive, copy, include_schema=True)
        assert failure.value.exit_code == 7
        counts = dict.fromkeys(map(_column, group), 0)
        for line in str(failure.value).splitlines():
            found = _LINE.fullmatch(line)
            assert found, line
            counts[found[1]] += int(found[2])
            assert int(found[3]) >= FIRST
        assert counts == {_column(values): len(values.examples) for values in group}
        assert "nothing was written" in (failure.value.hint or "")
        assert _is_untouched(copy)


def _is_untouched(url: str) -> bool:
    if url.startswith("sqlite:"):
        return not Path(url.removeprefix("sqlite:///")).exists()
    return tables(url) == []


@pytest.mark.parametrize("target", ENGINES)
@pytest.mark.parametrize("source", ENGINES)
def test_what_only_the_server_can_refuse_leaves_no_rows(
    sources: dict[str, Source],
    new_url: Callable[[str], str],
    tmp_path: Path,
    source: str,
    target: str,
) -> None:
    """A value that the server finds wrong ends the import with its name, and without its chunk."""
    given = sources[source]
    late = [values for values in given.refused(target) if not values.early]
    assert bool(late) == ((source, target) == ("sqlite", "postgresql"))
    for values in late:
        column, copy = _column(values), new_url(target)
        archive = str(tmp_path / f"{column}.dbsync.tar")
        chosen = {"special": ["id", column]}
        dbsync.export_database(given.url, archive, tables=["special"], columns=chosen)
        with pytest.raises(LossError) as failure:
            dbsync.import_archive(archive, copy, include_schema=True)
        found = _LINE.fullmatch(str(failure.value))
        assert found, str(failure.value)
        assert (found[1], int(found[2])) == (column, len(values.examples))
        assert int(found[3]) >= FIRST
        assert query(copy, "SELECT count(*) FROM special") == [(0,)]
