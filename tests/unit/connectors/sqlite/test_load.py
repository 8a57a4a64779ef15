"""Imports that are interrupted, repeated, refused or in the way of one another."""

from __future__ import annotations

from pathlib import Path

import pytest

from dbsync.connectors.base import ChunkId
from dbsync.connectors.sqlite import open_target
from dbsync.errors import ConflictError, TargetError, UsageError
from tests.unit.connectors.sqlite.files import copy, dump, load, make, options, query, read, url

TWO = """
CREATE TABLE keyed (id INTEGER PRIMARY KEY, v TEXT);
CREATE TABLE keyless (v TEXT);
CREATE INDEX i ON keyless (v);
CREATE VIEW w AS SELECT * FROM keyed;
"""
ROWS = [(f"row {i}",) for i in range(20_000)]


def two(path: Path) -> Path:
    return make(
        path,
        TWO,
        ("INSERT INTO keyed (v) VALUES (?)", ROWS),
        ("INSERT INTO keyless VALUES (?)", ROWS),
    )


@pytest.mark.parametrize("stop_after", [0, 1, 2, 3])
def test_an_interrupted_import_goes_on(tmp_path: Path, stop_after: int) -> None:
    """Chunks that are committed are not loaded again, and the end is as if nothing had happened."""
    source, target = two(tmp_path / "a.db"), tmp_path / "b.db"
    database, batches = read(source)
    total = sum(map(len, batches.values()))
    assert total == 4
    first = load(target, database, batches, stop_after=stop_after)
    assert not first.plan.resuming
    assert query(target, "SELECT count(*) FROM dbsync_ledger WHERE item LIKE 'chunk%'") == [
        (stop_after,)
    ]
    second = load(target, database, batches)
    assert second.plan.resuming
    assert {plan.mode for plan in second.plan.tables} == {"insert"}
    assert second.written == total - stop_after
    assert dump(target) == dump(source)


def test_each_step_of_finalize_may_be_the_last(tmp_path: Path) -> None:
    """Stopped before any step after the rows, a further run ends in the same database."""
    source = two(tmp_path / "a.db")
    database, batches = read(source)
    chosen = options()
    for stop in range(3):
        path = tmp_path / f"{stop}.db"
        target = open_target(url(path))
        with target.load(target.prepare(database, chosen), chosen) as running:
            list(running.create())
            for plan in target.prepare(database, chosen).tables:
                with running.writer(plan) as writer:
                    for number, batch in enumerate(batches[plan.source.name.name]):
                        writer.write(batch)
                        writer.commit(ChunkId(table=plan.source.name, number=number, digest="x"))
            steps = running.finalize()
            for _ in range(stop + 1):
                next(steps)
        assert query(path, "SELECT count(*) > 0 FROM dbsync_ledger") == [(1,)]
        assert load(path, database, batches).written == 0
        assert dump(path) == dump(source)


def test_other_options_do_not_resume(tmp_path: Path) -> None:
    """An import started with other options is not mixed with this one, but may begin afresh."""
    database, batches = read(two(tmp_path / "a.db"))
    target = tmp_path / "b.db"
    load(target, database, batches, stop_after=1)
    for other in ({"on_conflict": "error"}, {"single_transaction": True}):
        with pytest.raises(ConflictError) as caught:
            load(target, database, batches, **other)
        assert "--no-resume" in (caught.value.hint or "")
    load(target, database, batches, resume=False, existing="overwrite")
    assert query(target, "SELECT count(*) FROM keyless") == [(20_000,)]
    assert query(target, "SELECT name FROM sqlite_master WHERE name LIKE 'dbsync%'") == []


def test_a_dry_run_makes_nothing(tmp_path: Path) -> None:
    """Planning neither creates the file nor locks nor changes one that is there."""
    database, _ = read(two(tmp_path / "a.db"))
    plan = open_target(url(tmp_path / "b.db")).prepare(database, options())
    assert [p.name for p in tmp_path.iterdir()] == ["a.db"]
    assert plan.statements[0] == "create table keyed"
    assert plan.max_writers == 1
    assert plan.guarantee == "exactly_once"


def test_single_transaction_leaves_nothing(tmp_path: Path) -> None:
    """Under a single transaction a stopped import leaves the target as it was, or no file."""
    database, batches = read(two(tmp_path / "a.db"))
    load(tmp_path / "b.db", database, batches, stop_after=2, single_transaction=True)
    assert not (tmp_path / "b.db").exists()
    target = make(tmp_path / "c.db", "CREATE TABLE other (v); INSERT INTO other VALUES (1);")
    before = dump(target)
    load(target, database, batches, stop_after=2, single_transaction=True)
    assert dump(target) == before


def test_an_overwrite_that_stops_leaves_the_old_rows(tmp_path: Path) -> None:
    """Old rows go only together with the arrival of all new ones."""
    database, batches = read(two(tmp_path / "a.db"))
    target = make(tmp_path / "b.db", TWO + "INSERT INTO keyless VALUES ('old');")
    before = dump(target)
    stopped = load(target, database, batches, stop_after=3, existing="overwrite")
    assert stopped.plan.guarantee == "single_transaction"
    assert dump(target) == before
    load(target, database, batches, existing="overwrite")
    assert query(target, "SELECT count(*) FROM keyless WHERE v = 'old'") == [(0,)]
    assert query(target, "SELECT count(*) FROM keyless") == [(20_000,)]


def test_one_import_at_a_time(tmp_path: Path) -> None:
    """A second import is refused while one runs, and welcome after it has died."""
    database, batches = read(two(tmp_path / "a.db"))
    target = open_target(url(tmp_path / "b.db"))
    plan = target.prepare(database, options())
    with (
        target.load(plan, options()),
        pytest.raises(ConflictError, match="another import"),
        target.load(plan, options()),
    ):
        pass
    assert load(tmp_path / "b.db", database, batches).written == 4


def test_existing_tables(tmp_path: Path) -> None:
    """Each choice for existing tables does what it says."""
    database, batches = read(two(tmp_path / "a.db"), tables=("keyless",))
    target = make(
        tmp_path / "b.db", "CREATE TABLE keyless (v TEXT); INSERT INTO keyless VALUES (1)"
    )
    with pytest.raises(TargetError, match="keyless exists already"):
        load(target, database, batches, existing="error")
    skipped = load(target, database, batches, existing="skip")
    assert [plan.action for plan in skipped.plan.tables] == ["skip"]
    assert query(target, "SELECT count(*) FROM keyless") == [(1,)]
    load(target, database, batches, on_conflict="error")
    assert query(target, "SELECT count(*) FROM keyless") == [(20_001,)]


def test_missing_tables_and_columns(tmp_path: Path) -> None:
    """Without DDL, what is missing is named before anything is written."""
    database, batches = read(two(tmp_path / "a.db"))
    target = make(tmp_path / "b.db", "CREATE TABLE keyed (id INTEGER PRIMARY KEY)")
    with pytest.raises(TargetError, match="has no column v"):
        load(target, database, batches)
    target = make(tmp_path / "c.db", "CREATE TABLE keyed (id INTEGER PRIMARY KEY, v)")
    with pytest.raises(TargetError, match="no table keyless") as caught:
        load(target, database, batches, ddl="none")
    assert "--include-schema" in (caught.value.hint or "")
    target = make(
        tmp_path / "d.db",
        "CREATE TABLE keyed (id INTEGER PRIMARY KEY, v, w NOT NULL); CREATE TABLE keyless (v)",
    )
    with pytest.raises(TargetError, match="column w of table keyed may not be NULL"):
        load(target, database, batches)
    target = make(tmp_path / "e.db", "CREATE VIEW keyed AS SELECT 1")
    with pytest.raises(TargetError, match="has a view of that name"):
        load(target, database, batches)


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    """A folder that is not there, a folder as the file, and a schema are refused in planning."""
    database, _ = read(two(tmp_path / "a.db"))
    with pytest.raises(TargetError, match="does not exist"):
        open_target(url(tmp_path / "none" / "b.db")).prepare(database, options())
    with pytest.raises(TargetError, match="is not a file"):
        open_target(url(tmp_path)).prepare(database, options())
    with pytest.raises(UsageError, match="schemas"):
        open_target(url(tmp_path / "b.db")).prepare(database, options(schema="s"))


def test_chunks_that_fail_are_undone(tmp_path: Path) -> None:
    """A row that the table refuses undoes its chunk and leaves those before it."""
    source = make(
        tmp_path / "a.db",
        "CREATE TABLE t (v)",
        ("INSERT INTO t VALUES (?)", [(i,) for i in range(20_000)]),
    )
    database, batches = read(source)
    assert len(batches["t"]) == 2
    target = make(tmp_path / "b.db", "CREATE TABLE t (v CHECK (v < 19000))")
    with pytest.raises(TargetError, match="CHECK constraint failed"):
        load(target, database, batches)
    rows = len(batches["t"][0])
    assert query(target, "SELECT count(*), max(v) FROM t") == [(rows, rows - 1)]
    # The cause removed, the same import goes on.
    make(
        target,
        "CREATE TABLE new (v); INSERT INTO new SELECT v FROM t; DROP TABLE t;"
        "ALTER TABLE new RENAME TO t;",
    )
    assert load(target, database, batches).written == 1
    assert query(target, "SELECT count(*), sum(v) FROM t") == [(20_000, sum(range(20_000)))]


def test_foreign_keys_of_appended_rows(tmp_path: Path) -> None:
    """Rows that refer to nothing are an error that counts them; broken rows of before are not."""
    script = (
        "CREATE TABLE p (id INTEGER PRIMARY KEY);"
        "CREATE TABLE c (id INTEGER PRIMARY KEY, p INT REFERENCES p (id));"
        "INSERT INTO p VALUES (1);"
    )
    target = make(tmp_path / "b.db", script + "INSERT INTO c VALUES (1, 99);")
    good = make(tmp_path / "good.db", script + "INSERT INTO c VALUES (2, 1);")
    copy(good, target)
    bad = make(tmp_path / "bad.db", script + "INSERT INTO c VALUES (3, 5), (4, 6), (5, 1);")
    with pytest.raises(TargetError, match="table c: 2 rows break a foreign key"):
        copy(bad, target, single_transaction=True)
    assert query(target, "SELECT id FROM c ORDER BY 1") == [(1,), (2,)]


def test_foreign_keys_of_a_filtered_copy(tmp_path: Path) -> None:
    """A whole copy may carry what was broken at the source; a filtered one has to fit together."""
    source = make(
        tmp_path / "a.db",
        "CREATE TABLE p (id INTEGER PRIMARY KEY);"
        "CREATE TABLE c (p INT REFERENCES p (id)); INSERT INTO p VALUES (1), (2);"
        "INSERT INTO c VALUES (1), (2), (77);",
    )
    copy(source, tmp_path / "whole.db")
    assert dump(tmp_path / "whole.db") == dump(source)
    database, batches = read(source, where={"p": "id = 1"})
    with pytest.raises(TargetError, match="table c: 2 rows break"):
        load(tmp_path / "part.db", database, batches)


def test_check_items(tmp_path: Path) -> None:
    """The check tells a new file from one with an unfinished import."""
    database, batches = read(two(tmp_path / "a.db"))
    (item,) = open_target(url(tmp_path / "b.db")).check()
    assert item.ok
    assert not (tmp_path / "b.db").exists()
    load(tmp_path / "b.db", database, batches, stop_after=1)
    items = {item.item: item for item in open_target(url(tmp_path / "b.db")).check()}
    assert items["writing"].ok
    assert not items["unfinished import"].ok


def test_the_ledger_is_not_exported(tmp_path: Path) -> None:
    """A database with an unfinished import is exported without the ledger."""
    database, batches = read(two(tmp_path / "a.db"))
    load(tmp_path / "b.db", database, batches, stop_after=1)
    again, _ = read(tmp_path / "b.db")
    assert {table.name.name for table in again.tables} == {"keyed", "keyless"}


def test_triggers_of_existing_tables(tmp_path: Path) -> None:
    """Overwriting does not fire triggers and keeps them; appending fires them and says so."""
    script = (
        "CREATE TABLE t (v); CREATE TABLE log (v);"
        "CREATE TRIGGER tr AFTER INSERT ON t BEGIN INSERT INTO log VALUES (new.v); END;"
        "CREATE TRIGGER td AFTER DELETE ON t BEGIN INSERT INTO log VALUES ('gone'); END;"
        "INSERT INTO t VALUES (1), (2);"
    )
    source = make(tmp_path / "a.db", script)
    target = make(tmp_path / "b.db", script + "INSERT INTO t VALUES (3);")
    copy(source, target, existing="overwrite")
    assert dump(target) == dump(source)
    moved = copy(source, target, on_conflict="error", ddl="none")
    assert {loss.object for loss in moved.plan.losses} == {"trigger tr", "trigger td"}
    assert query(target, "SELECT count(*) FROM log") == [(6,)]


def test_broken_rows_of_before_are_remembered(tmp_path: Path) -> None:
    """A run that goes on does not take for its own what was broken before the first one."""
    script = "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (p INT REFERENCES p (id));"
    source = make(tmp_path / "a.db", script + "INSERT INTO c VALUES (NULL);")
    target = make(tmp_path / "b.db", script + "INSERT INTO c VALUES (99);")
    database, batches = read(source)
    load(target, database, batches, stop_after=0, on_conflict="error")
    assert load(target, database, batches, on_conflict="error").plan.resuming
    assert query(target, "SELECT count(*) FROM c") == [(2,)]
