"""Clones into Treasure Data by the command line: what is said, what is left, what goes on."""

from __future__ import annotations

import os
import re
import shlex
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dbsync.connectors.treasuredata.address import REGIONS
from tests.conftest import REPOSITORY
from tests.fakes.treasuredata import FakeTreasureData, fill, make
from tests.integration.command import Done
from tests.integration.forked import Commands
from tests.integration.td_tables import contents

KEYS = {"DBSYNC_FROM_TD_API_KEY": "1/s0urcekey", "DBSYNC_TO_TD_API_KEY": "2/t4rgetkey"}
NO_SOURCE = (
    "Source database does not exist or access denied. "
    "Please verify your API key and source endpoint configuration."
)
NO_TARGET = (
    "Authentication failed for destination table. "
    "Please verify your API key and destination endpoint configuration."
)


@pytest.fixture(scope="module")
def commands() -> Iterator[Commands]:
    with Commands() as running:
        yield running


@pytest.fixture(scope="module")
def source() -> Iterator[FakeTreasureData]:
    """Five tables of one database, and keys with fewer rights."""
    with FakeTreasureData() as fake:
        fake.add_key("1/s0urcekey")
        account = fake.account()
        people = [{"name": "Ä", "time": 1600000000}, {"name": None, "time": 1600003600}]
        make(account, "shop", "people", [["name", "string"]], people, expire_days=30)
        make(account, "shop", "empty", [["id", "long"]], [])
        make(account, "shop", "tags", [["t", "array<string>"]], [{"t": ["a"], "time": 5}])
        make(account, "shop", "one", [["id", "int"]], [{"id": 1, "time": 5}])
        fill(
            account,
            "shop",
            "many",
            [["id", "long"]],
            "SELECT range AS id, range AS time FROM range(3000)",
        )
        fake.add_key("1/import", rights={"shop": "import_only"})
        fake.add_key("1/other", rights={"elsewhere": "administrator"})
        yield fake


@pytest.fixture
def target() -> Iterator[FakeTreasureData]:
    """Another region, without databases."""
    with FakeTreasureData() as fake:
        fake.add_key("2/t4rgetkey")
        yield fake


def _url(fake: FakeTreasureData, database: str = "shop") -> str:
    return f"td://{fake.host}/{database}?scheme=http"


def _state(fake: FakeTreasureData) -> Any:
    """Return everything that an account has: databases, tables with their settings, sessions."""
    account = fake.account()
    tables = {
        name: {
            key: (t.id, t.columns, t.expire_days, t.count, t.updated)
            for key, t in database.tables.items()
        }
        for name, database in account.databases.items()
    }
    rows = {name: contents(fake, name) for name in account.databases}
    return tables, rows, dict(fake.imports.sessions), account.version


def _arrived(fake: FakeTreasureData) -> Any:
    """Return the tables that users see; what a failed import has left is gone with the next."""
    return {name: of for name, of in contents(fake).items() if not name.startswith("dbsync_")}


def _no_key(done: Done, *keys: str) -> None:
    for key in (*KEYS.values(), *keys):
        assert key not in done.err + done.out.decode()
        assert key.partition("/")[2] not in done.err + done.out.decode()


def _line(done: Done, *words: str) -> str:
    (line,) = [
        line for line in done.out.decode().splitlines() if all(word in line for word in words)
    ]
    return " ".join(line.split())


def test_a_dry_run_changes_nothing(
    source: FakeTreasureData, target: FakeTreasureData, commands: Commands
) -> None:
    """It lists what would become of each table with its rows, and leaves both accounts as they are.

    Also into a database that does not exist, which it does not create.
    """
    clone = ["clone", "--from", _url(source), "--to", _url(target), "--dry-run"]
    before = _state(source), _state(target)
    done = commands.run(*clone, env=KEYS)
    assert len(target.log) <= 3, "one look at the target, however many tables there are"
    assert re.search(r"^CREATE +many +many +3,000 +0", done.out.decode(), re.MULTILINE)
    assert "create database shop" in done.out.decode()
    assert "nothing was changed" in done.out.decode()
    assert (_state(source), _state(target)) == before
    assert target.account().databases == {}

    make(target.account(), "shop", "one", [["id", "long"]], [{"id": 8, "time": 1}] * 4)
    target.account().refresh_counters()
    before = _state(source), _state(target)
    refused = commands.run(*clone, env=KEYS, code=4)
    assert _line(refused, "ERROR").startswith("ERROR one 1 table one exists already")
    skipped = commands.run(*clone, "--skip-existing", env=KEYS)
    assert _line(skipped, "SKIP").startswith("SKIP one one 1 4 it exists")
    replaced = commands.run(*clone, "--overwrite", env=KEYS)
    assert _line(replaced, "OVERWRITE").startswith(
        "OVERWRITE one one 1 4 the rows there will be lost"
    )
    assert "long becomes int" in replaced.err
    added = commands.run(
        *clone, "--existing", "append", "--on-conflict", "error", "--tables", "one", env=KEYS
    )
    assert _line(added, "APPEND").startswith("APPEND one one 1 4")
    assert (_state(source), _state(target)) == before
    for done in (refused, skipped, replaced, added):
        _no_key(done)


def test_a_failed_table_among_five(
    source: FakeTreasureData, target: FakeTreasureData, commands: Commands
) -> None:
    """The others arrive, the summary lists both, and the exit code is that of the failure."""
    target.fail("create_table", "status", status=422, within="/one/")
    clone = ["clone", "--from", _url(source), "--to", _url(target)]
    done = commands.run(*clone, env=KEYS, code=4)
    wanted = contents(source)
    assert _arrived(target) == {name: wanted[name] for name in wanted if name != "one"}
    out = done.out.decode()
    assert "imported 4 tables, 3,003 rows" in out
    assert "1 table FAILED, and none of their rows arrived:" in out
    assert re.search(r"^  one: .*\n    next: ", out, re.MULTILINE)
    assert "warning: table one failed:" in done.err
    _no_key(done)

    again = commands.run(*clone, "--skip-existing", "--json", env=KEYS).json()
    assert contents(target) == wanted
    actions = {t["table"]["name"]: t["action"] for t in again["imported"]["tables"]}
    assert actions == {**dict.fromkeys(wanted, "skip"), "one": "create"}


def test_a_table_that_cannot_be_read(
    source: FakeTreasureData, target: FakeTreasureData, commands: Commands
) -> None:
    """A query that is killed fails its table with exit code 3; the others arrive."""
    source.fail("query_job", "killed")
    done = commands.run(
        *("clone", "--from", _url(source), "--to", _url(target), "--json"), env=KEYS, code=3
    )
    (failed,) = done.json()["imported"]["failed"]
    assert failed["exit_code"] == 3
    assert "killed" in failed["message"]
    wanted = contents(source)
    del wanted[failed["table"]["name"]]
    assert _arrived(target) == wanted


@pytest.mark.parametrize("dry_run", [[], ["--dry-run"]])
def test_what_is_wrong_is_said(
    dry_run: list[str], source: FakeTreasureData, target: FakeTreasureData, commands: Commands
) -> None:
    """Rejected key, missing right and wrong region each have their message, on either side.

    The source is looked at first: the target has seen no request when it is at fault.
    """
    target.add_key("2/query", rights={"*": "query_only"}, may_create_databases=False)
    make(target.account(), "shop", "one", [["id", "int"]], [])

    def clone(code: int, database: str = "shop", **keys: str) -> Done:
        env = {**KEYS, **{f"DBSYNC_{name}_TD_API_KEY": key for name, key in keys.items()}}
        urls = ("--from", _url(source, database), "--to", _url(target))
        done = commands.run("clone", *urls, "--overwrite", *dry_run, env=env, code=code)
        _no_key(done, *keys.values())
        return done

    for said, done in (
        ("401: ", clone(3, FROM="1/wr0ngkey")),
        ("403: ", clone(3, FROM="1/import")),
        ("404: ", clone(3, database="nowhere")),
        ("401: ", clone(3, FROM="1/wr0ngkey", TO="2/wr0ngkey")),
    ):
        assert NO_SOURCE in done.err
        assert f"next: {said}" in done.err
    assert target.log == []
    for said, done in (
        ("401: ", clone(4, TO="2/wr0ngkey")),
        ("403: ", clone(4, TO="2/query")),
    ):
        assert NO_TARGET in done.err
        assert f"next: {said}" in done.err
    assert contents(target)["one"][2] == 0


def test_a_target_without_the_right_to_make_a_database(
    source: FakeTreasureData, target: FakeTreasureData, commands: Commands
) -> None:
    """What only the attempt shows is told by the wanted message too, and nothing is changed."""
    target.add_key("2/modest", may_create_databases=False)
    done = commands.run(
        *("clone", "--from", _url(source), "--to", _url(target)),
        env={**KEYS, "DBSYNC_TO_TD_API_KEY": "2/modest"},
        code=4,
    )
    assert f"one: {NO_TARGET}" in done.out.decode()
    assert "403: " in done.out.decode()
    assert "create database shop" in done.out.decode()
    assert target.account().databases == {}


@pytest.mark.parametrize("side", ["source", "target"])
def test_an_interrupt_ends_it_at_once(
    side: str, source: FakeTreasureData, target: FakeTreasureData, commands: Commands
) -> None:
    """A signal does not wait for queries and imports that run for long; queries are killed."""
    waiting = source if side == "source" else target
    seen, done_before = threading.Event(), len(source.requests("kill"))
    waiting.after("status", seen.set)
    waiting.jobs.hidden_polls = 100_000
    try:
        running = commands.start("clone", "--from", _url(source), "--to", _url(target), env=KEYS)
        assert seen.wait(timeout=60)
        os.kill(running.pid, signal.SIGINT)
        done = running.wait()
    finally:
        waiting.jobs.hidden_polls = 0
    assert done.code == 130
    assert "--skip-existing" in done.err
    if side == "source":
        assert len(source.requests("kill")) > done_before
    assert "shop" not in target.account().databases or _arrived(target) == {}


def test_one_key_for_both_sides(source: FakeTreasureData, commands: Commands) -> None:
    """Within one account, a database is cloned under a new name by one key; not onto itself."""
    env = {"DBSYNC_TD_API_KEY": "1/s0urcekey"}
    done = commands.run(
        "clone", "--from", _url(source), "--to", _url(source, "copy"), "--verify", env=env
    )
    assert b"holds exactly what was loaded" in done.out
    assert contents(source, "copy") == contents(source)
    itself = commands.run("clone", "--from", _url(source), "--to", _url(source), env=env, code=2)
    assert "same database" in itself.err
    none = commands.run("clone", "--from", _url(source), "--to", _url(source, "copy"), code=2)
    assert "DBSYNC_TD_API_KEY" in none.err


def test_an_archive_by_tables(
    source: FakeTreasureData, target: FakeTreasureData, commands: Commands, tmp_path: Path
) -> None:
    """An archive goes table by table; one that fails leaves the others, and goes on later."""
    archive = tmp_path / "shop.dbsync.tar"
    env = {"DBSYNC_TD_API_KEY": "1/s0urcekey"}
    commands.run("export", "--url", _url(source), archive, env=env)
    env = {"DBSYNC_TD_API_KEY": "2/t4rgetkey"}
    target.fail("create_table", "status", status=422, within="/one/")
    failed = commands.run("import", "--url", _url(target), archive, env=env, code=4)
    assert "1 table FAILED" in failed.out.decode()
    wanted = contents(source)
    assert set(_arrived(target)) == set(wanted) - {"one"}
    commands.run("import", "--url", _url(target), "--skip-existing", archive, env=env)
    assert contents(target) == wanted


def test_a_table_to_parquet(source: FakeTreasureData, commands: Commands, tmp_path: Path) -> None:
    """Rows, types, a time range, and an empty table."""
    env = {"DBSYNC_TD_API_KEY": "1/s0urcekey"}
    place = _url(source)
    commands.run("to-parquet", place, "many", tmp_path, "--td-time-range", "10,20", env=env)
    found = duckdb.sql(f"SELECT id, time FROM '{tmp_path}/many/*.parquet' ORDER BY 1").fetchall()
    assert found == [(n, n) for n in range(10, 20)]
    commands.run("to-parquet", place, "tags", tmp_path, "--td-time", "drop", env=env)
    assert duckdb.sql(f"FROM '{tmp_path}/tags/*.parquet'").fetchall() == [('["a"]',)]
    commands.run("to-parquet", place, "empty", tmp_path, env=env)
    described = duckdb.sql(f"DESCRIBE FROM '{tmp_path}/empty/*.parquet'").fetchall()
    assert [row[:2] for row in described] == [("id", "BIGINT"), ("time", "BIGINT")]


def test_the_commands_of_the_guide(
    source: FakeTreasureData, target: FakeTreasureData, commands: Commands, tmp_path: Path
) -> None:
    """Every command that the guide shows succeeds; it names all regions and both messages."""
    guide = (REPOSITORY / "docs" / "treasure-data.md").read_text(encoding="utf-8")
    here = {
        "td://us01/shop": _url(source),
        "td://ap01/shop": _url(target),
        "events": "many",
        "files": str(tmp_path),
    }
    shown = re.findall(r"^dbsync (.*)$", guide, re.MULTILINE)
    assert len(shown) == 4
    for command in shown:
        arguments = [here.get(word, word) for word in shlex.split(command)]
        keys = {"DBSYNC_TD_API_KEY": "1/s0urcekey", **KEYS}
        commands.run(*arguments, env=keys)
    for region, host in REGIONS.items():
        assert f"| `{region}` |" in guide
        assert f"`{host}`" in guide
    assert NO_SOURCE in guide
    assert NO_TARGET in guide


def test_check(source: FakeTreasureData, commands: Commands) -> None:
    """It tells the endpoint, the rights and the consistency, once each, and what is missing."""
    env = {"DBSYNC_TD_API_KEY": "1/s0urcekey"}
    items = commands.run("check", "--url", _url(source), "--json", env=env).json()["items"]
    names = [item["item"] for item in items]
    assert len(set(names)) == len(names)
    assert {"connection", "database", "rights", "queries", "consistency"} <= set(names)
    done = commands.run(
        *("check", "--url", _url(source)), env={"DBSYNC_TD_API_KEY": "1/wr0ngkey"}, code=3
    )
    assert NO_SOURCE in done.err
    _no_key(done, "1/wr0ngkey")
