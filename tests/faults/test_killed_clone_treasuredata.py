"""A clone into Treasure Data that is killed at any stage: nothing half, and a run that ends it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.treasuredata import DROP, FakeTreasureData, fill, make
from tests.integration.forked import Commands, Running
from tests.integration.td_tables import DATABASE, contents

_COLUMNS = {"id": "long", "note": "string", "tags": "array<string>"}
_ROWS = 3000
_STAGES = [
    ("before", "result", 0),
    ("after", "create_database", 0),
    ("after", "bulk_create", 0),
    ("after", "bulk_upload", 2),
    ("after", "bulk_perform", 1),
    ("after", "bulk_commit", 0),
    ("before", "swap", 0),
    ("after", "swap", 1),
    ("after", "delete_table", 0),
]
"""When to kill: around the request of an operation, sparing so many of them."""


@pytest.fixture(scope="module")
def commands() -> Iterator[Commands]:
    with Commands() as running:
        yield running


@pytest.fixture(scope="module")
def source() -> Iterator[FakeTreasureData]:
    """Three tables, of which one is empty."""
    with FakeTreasureData() as fake:
        fake.add_key("1/source")
        for name, rows in (("orders", _ROWS), ("events", 40)):
            select = "SELECT range AS id, repeat(md5(range::VARCHAR), 50) AS note, range AS time"
            select += f" FROM range({rows})"
            fill(fake.account(), DATABASE, name, list(_COLUMNS.items()), select, expire_days=9)
        make(fake.account(), DATABASE, "empty", list(_COLUMNS.items()))
        yield fake


@pytest.fixture
def target() -> Iterator[FakeTreasureData]:
    with FakeTreasureData() as fake:
        fake.add_key("2/target")
        yield fake


def _clone(source: FakeTreasureData, target: FakeTreasureData, *more: str) -> list[str]:
    def url(fake: FakeTreasureData) -> str:
        return f"td://{fake.host}/{DATABASE}?scheme=http"

    return [
        "clone", "--from", url(source), "--to", url(target), "--chunk-bytes", "65536",
        "--no-progress", *more,
    ]  # fmt: skip


_KEYS = {"DBSYNC_FROM_TD_API_KEY": "1/source", "DBSYNC_TO_TD_API_KEY": "2/target"}


class _Killer:
    """Kills a command at a request, and lets nothing more of it arrive."""

    def __init__(self, fake: FakeTreasureData, moment: str, operation: str, spare: int):
        self._fake, self._moment, self._operation = fake, moment, operation
        self._spare = spare
        self._started = threading.Event()
        self._running: Running | None = None
        self._arm()

    def start(self, running: Running) -> Running:
        self._running = running
        self._started.set()
        return running

    def _arm(self) -> None:
        arrange = self._fake.before if self._moment == "before" else self._fake.after
        arrange(self._operation, self._strike)

    def _strike(self) -> object:
        if self._spare:
            self._spare -= 1
            self._arm()
            return None
        self._started.wait(60)
        assert self._running is not None
        self._running.kill()
        return DROP


def _visible(target: FakeTreasureData) -> dict[str, Any]:
    """Return what stands under the names of tables, without what dbsync keeps for itself."""
    if DATABASE not in target.account().databases:
        return {}
    found = contents(target)
    return {name: table for name, table in found.items() if not name.startswith("dbsync_")}


def _left(target: FakeTreasureData) -> list[str]:
    tables = target.account().database(DATABASE).tables
    sessions = [name for _, name in target.imports.sessions]
    return [name for name in (*tables, *sessions) if name.startswith("dbsync_")]


@pytest.mark.parametrize("stage", _STAGES, ids=lambda stage: "-".join(map(str, stage)))
def test_a_clone_killed_at_a_stage(
    source: FakeTreasureData, target: FakeTreasureData, commands: Commands, stage: Any
) -> None:
    """Every table is whole or not there, and a second run makes the rest and tidies up."""
    moment, operation, spare = stage
    wanted = contents(source)
    fake = source if operation in ("tables", "status", "result") else target
    killer = _Killer(fake, moment, operation, spare)
    running = killer.start(commands.start(*_clone(source, target), env=_KEYS))
    assert running.wait().code == -signal.SIGKILL
    for name, table in _visible(target).items():
        # A name may be held by a table without rows and columns that waits for the swap.
        assert table == wanted[name] or (table[2] == 0 and table[0] == []), name
    commands.run(*_clone(source, target, "--skip-existing"), env=_KEYS)
    assert _visible(target) == wanted
    # Beside a table that is skipped, what was swapped away may stay: it never had a row.
    assert sum(table[2] for table in contents(target).values()) == _ROWS + 40
    if stage[1:] == ("delete_table", 0):
        commands.run(*_clone(source, target, "--overwrite"), env=_KEYS)
        assert contents(target) == wanted
        assert _left(target) == []


@pytest.mark.parametrize(
    "stage",
    [("after", "bulk_commit", 0), ("before", "swap", 0), ("after", "swap", 0)],
    ids=lambda stage: "-".join(map(str, stage)),
)  # fmt: skip
def test_an_overwrite_killed_at_a_stage(
    source: FakeTreasureData, target: FakeTreasureData, commands: Commands, stage: Any
) -> None:
    """A table holds all of its old rows or all of the new ones, and a second run the new ones."""
    for name in ("orders", "events"):
        make(target.account(), DATABASE, name, [["old", "string"]], [{"old": "row"}] * 5)
    before, wanted = contents(target), contents(source)
    killer = _Killer(target, *stage)
    arguments = _clone(source, target, "--overwrite")
    assert killer.start(commands.start(*arguments, env=_KEYS)).wait().code == -signal.SIGKILL
    found = _visible(target)
    for name in ("orders", "events"):
        assert found[name] in (before[name], wanted[name])
    commands.run(*arguments, env=_KEYS)
    assert contents(target) == wanted
    assert _left(target) == []


@pytest.mark.parametrize(
    ("existing", "stage"),
    [
        ("error", ("after", "bulk_upload", 1)),
        ("append", ("after", "bulk_upload", 1)),
        ("append", ("after", "bulk_perform", 0)),
        ("append", ("after", "bulk_commit", 0)),
        ("append", ("before", "bulk_delete", 0)),
    ],
    ids=lambda found: found if isinstance(found, str) else "-".join(map(str, found)),
)
def test_an_import_killed_at_a_stage_goes_on(
    source: FakeTreasureData,
    target: FakeTreasureData,
    commands: Commands,
    tmp_path: Path,
    existing: str,
    stage: Any,
) -> None:
    """The same import again uploads only what is missing, and every row arrives exactly once."""
    archive = tmp_path / "a.dbsync.tar"
    url = f"td://{source.host}/{DATABASE}?scheme=http"
    commands.run(
        "export", "--url", url, "--tables", "orders", "--chunk-bytes", "65536", archive,
        env={"DBSYNC_TD_API_KEY": "1/source"},
    )  # fmt: skip
    if existing == "append":
        make(target.account(), DATABASE, "orders", list(_COLUMNS.items()), [{"id": -1}])
    before = 1 if existing == "append" else 0
    killer = _Killer(target, *stage)
    arguments = [
        "import", "--url", f"td://{target.host}/{DATABASE}?scheme=http", "--existing", existing,
        "--on-conflict", "error", archive,
    ]  # fmt: skip
    env = {"DBSYNC_TD_API_KEY": "2/target"}
    assert killer.start(commands.start(*arguments, env=env)).wait().code == -signal.SIGKILL
    uploaded = {logged.path for logged in target.requests("bulk_upload")}
    count = len(target.requests("bulk_upload"))
    commands.run(*arguments, env=env)
    sql = f"SELECT count(*), count(DISTINCT id), sum(length(note)) FROM {DATABASE}.orders"
    assert target.account().query(sql) == [(_ROWS + before, _ROWS + before, _ROWS * 1600)]
    again = [logged.path for logged in target.requests("bulk_upload")[count:]]
    if stage != ("after", "bulk_upload", 1):
        assert again == []
    else:
        assert len(uploaded & set(again)) <= 1  # the one whose answer the kill prevented
    assert _left(target) == []
