"""Imports that are killed before any of their requests, and what the next run makes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest

from dbsync.connectors.base import ChunkId, ImportOptions
from dbsync.connectors.treasuredata.bulk_calls import upload_part
from dbsync.connectors.treasuredata.mapping import map_table
from dbsync.connectors.treasuredata.parts import ChunkPart, part_name
from dbsync.connectors.treasuredata.writer import PartWriter
from dbsync.errors import ConflictError
from tests.fakes.treasuredata import FakeTreasureData, make
from tests.unit.connectors.treasuredata.loading import (
    NUMBERS,
    Chunks,
    Killed,
    column,
    connect,
    database,
    expected,
    load,
    numbers,
    options,
    remains,
    rows,
    table,
    target,
)

OLD: Chunks = {"numbers": numbers(5000)}
NEW: Chunks = {"numbers": numbers(0, 100)}
ALL = expected(0, 100)
BEFORE = expected(5000)
COLUMNS = [["id", "long"], ["name", "string"]]
OLD_ROWS = [{"id": number, "name": name} for number, name in BEFORE]


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeTreasureData]:
    """A service, in which each test has databases of its own."""
    with FakeTreasureData() as service:
        yield service


def killed_everywhere(
    fake: FakeTreasureData,
    kind: str,
    chosen: ImportOptions,
    then: Callable[[str, bool], None],
    *,
    present: bool,
) -> int:
    """Kill an import before its 1st, 2nd, 3rd ... request until one comes through.

    After each, `then` gets the database and whether the rows of the import are there.
    """
    for lives in count():
        place = f"{kind}_{lives:03d}"
        if present:
            make(fake.account(), place, "numbers", COLUMNS, OLD_ROWS)
        api = connect(fake, place)
        api.lives = lives
        try:
            load(api, database(NUMBERS), NEW, chosen)
        except Killed:
            then(place, seen(fake, place) != (BEFORE if present else []))
        else:
            return lives
    raise AssertionError


def seen(fake: FakeTreasureData, place: str) -> list[tuple[Any, ...]]:
    """Read what is visible under the final name; a missing table has nothing."""
    there = fake.account().databases.get(place)
    if there is None or "numbers" not in there.tables or not there.tables["numbers"].columns:
        return []
    return rows(fake, "numbers", place=place)


@pytest.mark.parametrize(
    ("kind", "chosen", "present", "complete"),
    [
        ("create", options(), False, ALL),
        ("overwrite", options(existing="overwrite"), True, ALL),
        ("append", options(existing="append", on_conflict="error"), True, [*ALL, *BEFORE]),
    ],
    ids=["create", "overwrite", "append"],
)
def test_the_same_import_goes_on_wherever_it_was_killed(
    fake: FakeTreasureData,
    kind: str,
    chosen: ImportOptions,
    present: bool,
    complete: list[tuple[Any, ...]],
) -> None:
    """All or nothing is visible after a kill; the next run ends with each row once, and tidies."""
    outcomes: list[bool] = []

    def again(place: str, arrived: bool) -> None:
        assert seen(fake, place) in (BEFORE if present else [], complete)
        outcomes.append(arrived)
        api = connect(fake, place)
        # What had come to its end but for its session is there, and asks for nothing.
        finished = arrived and not any("dbsync_" in name for name in remains(fake, place))
        retry = options(existing="skip") if finished else chosen
        load(api, database(NUMBERS), NEW, retry)
        assert sorted(seen(fake, place)) == sorted(complete)
        assert remains(fake, place) == []

    assert killed_everywhere(fake, f"same_{kind}", chosen, again, present=present) > 12
    assert True in outcomes
    assert False in outcomes


@pytest.mark.parametrize(
    ("kind", "chosen", "present", "complete"),
    [
        ("create", {}, False, ALL),
        ("append", {"existing": "append", "on_conflict": "error"}, True, [*ALL, *BEFORE]),
    ],
    ids=["create", "append"],
)
def test_another_import_starts_afresh_wherever_the_first_was_killed(
    fake: FakeTreasureData,
    kind: str,
    chosen: dict[str, Any],
    present: bool,
    complete: list[tuple[Any, ...]],
) -> None:
    """It removes what the first one has left, and nothing of that gets into its rows."""

    def another(place: str, arrived: bool) -> None:
        settings = chosen | ({"existing": "overwrite"} if arrived else {})
        load(connect(fake, place), database(NUMBERS), NEW, options("another", **settings))
        assert sorted(seen(fake, place)) == sorted(ALL if arrived else complete)
        assert remains(fake, place) == []

    first = options(**chosen)
    assert killed_everywhere(fake, f"other_{kind}", first, another, present=present) > 12


def test_an_import_of_many_tables_goes_on_wherever_it_was_killed(fake: FakeTreasureData) -> None:
    """Tables that were in place are not loaded again, nor taken for those of somebody else."""
    source = database(NUMBERS, table("empty", column("id"), column("name")))
    chunks: Chunks = {"numbers": NEW["numbers"], "empty": []}
    for lives in count(10):  # what comes before is as with one table
        place = f"many_{lives:03d}"
        api = connect(fake, place)
        api.lives = lives
        try:
            load(api, source, chunks)
        except Killed:
            there = fake.account().databases.get(place)
            in_place = there and "numbers" in there.tables and there.tables["numbers"].columns
            uploads = len(fake.requests("bulk_upload"))
            if in_place and not remains(fake, place):
                continue  # killed with nothing left to do
            load(connect(fake, place), source, chunks)
            again = [one.path for one in fake.requests("bulk_upload")[uploads:]]
            assert not in_place or again == []
            assert rows(fake, "numbers", place=place) == ALL
            assert rows(fake, "empty", place=place) == []
            assert remains(fake, place) == []
        else:
            break
    assert lives > 30


def test_whoever_lost_its_table_to_another_import_says_so(fake: FakeTreasureData) -> None:
    """The later of two imports into a table wins, the earlier ends as a conflict, both at once."""
    api, chosen = connect(fake, "race"), options()
    opened = target(api)
    plan = opened.prepare(database(NUMBERS), chosen)
    with opened.load(plan, chosen) as running:
        list(running.create())
        load(connect(fake, "race"), database(NUMBERS), NEW, options("other"))
        with running.writer(plan.tables[0]) as writer:
            writer.write(OLD["numbers"][0])
            with pytest.raises(ConflictError, match="another import into table numbers"):
                writer.commit(ChunkId(table=NUMBERS.name, number=1, digest="0" * 64))
    assert rows(fake, "numbers", place="race") == ALL
    assert remains(fake, "race") == []


def test_a_table_that_others_made_meanwhile_is_not_replaced(fake: FakeTreasureData) -> None:
    """An import that was to create a table leaves one that has got rows in the meantime alone."""
    api = connect(fake, "meanwhile")
    fake.before("bulk_commit", lambda: make(fake.account(), "meanwhile", "numbers", [], [{}]))
    with pytest.raises(ConflictError, match="made by others while it was being loaded"):
        load(api, database(NUMBERS), NEW)
    assert len(rows(fake, "numbers", "time", place="meanwhile")) == 1
    load(connect(fake, "meanwhile"), database(NUMBERS), NEW, options("next", existing="overwrite"))
    assert rows(fake, "numbers", place="meanwhile") == ALL
    assert remains(fake, "meanwhile") == []


def test_without_resuming_an_import_begins_afresh(fake: FakeTreasureData) -> None:
    """`--no-resume` throws away what the run before has uploaded."""
    api = connect(fake, "afresh")
    api.lives = 12
    with pytest.raises(Killed):
        load(api, database(NUMBERS), NEW)
    assert remains(fake, "afresh") != []
    plan = load(connect(fake, "afresh"), database(NUMBERS), NEW, options(resume=False))
    assert not plan.resuming
    assert rows(fake, "numbers", place="afresh") == ALL


def test_half_of_a_chunk_is_sent_again_as_a_whole(fake: FakeTreasureData) -> None:
    """Parts of a chunk that was cut off are removed, so that other parts of it do not double."""
    api, chosen = connect(fake, "stray"), options()
    opened = target(api)
    plan = opened.prepare(database(NUMBERS), chosen)
    with opened.load(plan, chosen) as running:
        list(running.create())
    (session,) = (s for s in fake.imports.sessions.values() if s.database == "stray")
    half = part_name(ChunkPart(1, 1, 2, 60), "f" * 64)
    writer = PartWriter(
        NUMBERS, map_table(NUMBERS, "sqlite", {}), 0, lambda _n, _r, data: sent.append(data)
    )
    sent: list[bytes] = []
    writer.write(NEW["numbers"][0].slice(0, 60))
    writer.commit(ChunkId(table=NUMBERS.name, number=1, digest="f" * 64))
    upload_part(api, session.name, half, sent[0], "numbers")
    load(connect(fake, "stray"), database(NUMBERS), NEW)
    assert rows(fake, "numbers", place="stray") == ALL
