"""Treasure Data as a user clones it: whole databases between accounts, and across engines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.treasuredata import FakeTreasureData
from tests.integration.chinook import load_postgres
from tests.integration.forked import Commands
from tests.integration.rows import pg_query, sqlite_query
from tests.integration.td_tables import BIG_ROWS, DATABASE, contents, make_shop

KEYS = {"DBSYNC_FROM_TD_API_KEY": "1/source", "DBSYNC_TO_TD_API_KEY": "2/target"}


@pytest.fixture(scope="module")
def commands() -> Iterator[Commands]:
    with Commands() as running:
        yield running


@pytest.fixture(scope="module")
def source() -> Iterator[FakeTreasureData]:
    """An account with twenty tables."""
    with FakeTreasureData() as fake:
        fake.add_key("1/source")
        make_shop(fake)
        yield fake


@pytest.fixture
def target() -> Iterator[FakeTreasureData]:
    """Another account, in another region, without databases."""
    with FakeTreasureData() as fake:
        fake.add_key("2/target")
        yield fake


def _url(fake: FakeTreasureData, database: str = DATABASE) -> str:
    return f"td://{fake.host}/{database}?scheme=http"


def test_twenty_tables_into_a_second_account(
    source: FakeTreasureData, target: FakeTreasureData, commands: Commands
) -> None:
    """Rows, schema and expire_days are equal; a dry run and a second run change nothing."""
    clone = ["clone", "--from", _url(source), "--to", _url(target), "--json"]
    wanted = contents(source)
    assert len(wanted) == 20
    assert wanted["big"][2] == BIG_ROWS

    commands.run(*clone, "--dry-run", env=KEYS)
    assert target.account().databases == {}

    done = commands.run(*clone, env=KEYS).json()
    assert contents(target) == wanted
    assert target.imports.sessions == {}
    assert sorted(_rows(done)) == sorted((name, table[2]) for name, table in wanted.items())

    # Every table exists now: each is an error of its own, and nothing changes.
    refused = commands.run(*clone, env=KEYS, code=None)
    assert refused.code == 4
    assert "exists already" in refused.err + refused.out.decode()
    commands.run(*clone, "--skip-existing", env=KEYS)
    assert contents(target) == wanted
    target.account().query(f"UPDATE {DATABASE}.texts SET s = 'changed'")
    commands.run(*clone, "--overwrite", "--tables", "texts", env=KEYS)
    assert contents(target) == wanted
    commands.run(
        *clone, "--existing", "append", "--on-conflict", "error", "--tables", "one_row", env=KEYS
    )
    assert contents(target)["one_row"][2] == 2
    for key in KEYS.values():
        assert key not in refused.err + refused.out.decode()


def _rows(done: dict[str, Any]) -> list[tuple[str, int]]:
    """Return the tables of a clone's result, and the rows that arrived in each."""
    tables = done["imported"]["tables"]
    return [(table["table"]["name"], table["counts"]["inserted"]) for table in tables]


def test_chinook_by_way_of_treasure_data(
    shared_data: Path, pg_url: str, target: FakeTreasureData, commands: Commands, tmp_path: Path
) -> None:
    """PostgreSQL to Treasure Data to an archive to SQLite: every value equal under the type table.

    Numbers with places and moments become their canonical texts, which the plan says, as it does
    of every key that is lost.
    """
    load_postgres(shared_data / "chinook" / "Chinook_PostgreSql_SerialPKs.sql", pg_url)
    archive, copy = tmp_path / "chinook.dbsync.tar", tmp_path / "chinook.sqlite"
    env = KEYS | {"DBSYNC_TD_API_KEY": "2/target"}
    place = _url(target, "chinook")
    cloned = commands.run("clone", "--from", pg_url, "--to", place, "--json", env=env).json()
    losses = {loss["object"]: loss for loss in cloned["imported"]["plan"]["losses"]}
    commands.run("export", "--url", place, "--td-time", "drop", archive, env=env)
    commands.run("import", "--url", f"sqlite:///{copy}", "--include-schema", archive, env=env)
    commands.run("verify", archive, "--against", place, "--td-time", "drop", env=env)
    tables = [name for (name,) in pg_query(pg_url, _PG_TABLES)]
    assert len(tables) == 11
    total = 0
    for table in tables:
        expected = sorted(
            tuple(map(_canonical, row)) for row in pg_query(pg_url, f'SELECT * FROM "{table}"')
        )
        assert sorted(sqlite_query(copy, f'SELECT * FROM "{table}"'), key=repr) == sorted(
            expected, key=repr
        )
        total += len(expected)
    assert total == 15607
    for object_, reason in _LOSSES.items():
        assert reason in losses[object_]["reason"], object_
    kinds = Counter(name.partition(" ")[0] for name in losses)
    assert (kinds["primary"], kinds["foreign"], kinds["sequence"]) == (11, 11, 10)
    assert kinds["table"] == 11  # each gets the column time


_LOSSES = {
    "primary key (album_id) of table public.album": "no keys",
    "foreign key album_artist_id_fkey of table public.album": "no keys",
    "index album_artist_id_idx of table public.album": "no indexes",
    "NOT NULL of album_id, title, artist_id of table public.album": "may be NULL",
    "sequence public.album_album_id_seq": "no sequences",
    "column public.employee.birth_date": "timestamp becomes string",
    "column public.track.unit_price": "decimal(10,2) becomes string",
    "table public.album": "gets the column time",
}
_PG_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"


def _canonical(value: object) -> object:
    """Write a value as the type table has it for Treasure Data."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    return value
