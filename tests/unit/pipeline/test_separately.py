"""Tables that nothing connects are cloned and imported by themselves: on databases in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from dbsync import api
from dbsync.connectors.options import TreasureDataOptions
from dbsync.errors import LossError, SourceError, TargetError, UsageError
from dbsync.model.schema import Name
from dbsync.pipeline.events import (
    ChunkDone,
    Event,
    Finished,
    Planned,
    StageStarted,
    TableDone,
    TableFailed,
    TableStarted,
)
from dbsync.pipeline.results import CloneResult, ImportResult
from tests.unit.pipeline.independent import DATABASES, MemoryDatabase, installed

TABLES = {"a": [1, 2, 3], "b": [], "c": list(range(100)), "d": [7], "e": [8, 9]}


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> MemoryDatabase:
    """An empty target beside a source of five tables, at ``memory://from`` and ``memory://to``."""
    installed(monkeypatch)
    DATABASES["from"] = MemoryDatabase(tables={name: list(rows) for name, rows in TABLES.items()})
    DATABASES["to"] = MemoryDatabase()
    return DATABASES["to"]


def clone(**options: object) -> CloneResult:
    return api.clone("memory://from", "memory://to", **options)  # type: ignore[arg-type]


def imported(folder: Path) -> Callable[..., ImportResult]:
    """Export the source, and return a function that imports the archive into the target."""
    archive = str(folder / "x.dbsync.tar")
    api.export_database("memory://from", archive)
    return lambda **options: api.import_archive(archive, "memory://to", **options)


def test_every_table_arrives_by_itself(there: MemoryDatabase) -> None:
    """All rows arrive, the empty table included, each table with an import of its own."""
    result = clone()
    assert {name: sorted(rows) for name, rows in there.tables.items()} == TABLES
    assert result.imported.failed == ()
    assert result.imported.separately
    assert [(t.table.name, t.rows, t.action) for t in result.imported.tables] == [
        (name, len(rows), "create") for name, rows in TABLES.items()
    ]
    assert (result.exported.rows, result.imported.rows) == (106, 106)
    ids = {call.rpartition(" ")[2] for call in there.calls}
    assert len(ids) == len(TABLES)
    assert there.opened == 0


def test_a_failure_leaves_the_others(there: MemoryDatabase) -> None:
    """Tables that cannot be read, or written, are listed with their exit codes; the rest is there.

    Of a table that failed nothing is visible.
    """
    DATABASES["from"].broken_reads["c"] = SourceError("job 5 was killed", hint="run it again")
    there.broken_writes["d"] = TargetError("error records")
    result = clone()
    failed = {failure.table.name: failure for failure in result.imported.failed}
    assert set(failed) == {"c", "d"}
    assert (failed["c"].exit_code, failed["c"].message) == (3, "job 5 was killed")
    assert (failed["d"].exit_code, failed["c"].hint) == (4, "run it again")
    assert set(there.tables) == {"a", "b", "e"}
    assert {t.table.name for t in result.imported.tables} == {"a", "b", "e"}
    assert {t.table.name for t in result.exported.tables} == {"a", "b", "e"}
    assert result.imported.rows == 5


def test_tables_that_exist_are_refused(there: MemoryDatabase) -> None:
    """By default a table that exists is an error of its own, and is left as it was."""
    there.tables["c"] = [5]
    result = clone()
    assert [(f.table.name, f.exit_code) for f in result.imported.failed] == [("c", 4)]
    assert there.tables["c"] == [5]
    assert set(there.tables) == set(TABLES)


@pytest.mark.parametrize(
    ("existing", "rows"),
    [("skip", [5]), ("overwrite", [1, 2, 3]), ("append", [1, 2, 3, 5])],
)
def test_what_to_do_with_them(existing: str, rows: list[int], there: MemoryDatabase) -> None:
    """Skip, overwrite and append do what they say, and the result says which."""
    there.tables["a"] = [5]
    result = clone(existing=existing)
    assert sorted(there.tables["a"]) == rows
    (first, *_) = result.imported.tables
    assert (first.table.name, first.action) == ("a", existing)
    assert result.imported.failed == ()


def test_several_tables_at_once(there: MemoryDatabase) -> None:
    """As many tables as asked for are under way at the same time: they wait for one another."""
    DATABASES["from"].tables = {name: [1] for name in "abcdef"}
    there.at_once = threading.Barrier(3)
    result = clone(treasure_data=TreasureDataOptions(table_parallelism=3))
    assert result.imported.failed == ()


def test_the_largest_table_goes_first(there: MemoryDatabase) -> None:
    """With one table at a time, they go by size, so that no large one is left for the end."""
    clone(treasure_data=TreasureDataOptions(table_parallelism=1))
    order = [call.split()[1] for call in there.calls]
    assert order[:3] == ["c", "a", "e"]


def test_names_are_chosen_among_all(there: MemoryDatabase, tmp_path: Path) -> None:
    """Names that become alike are told apart, though each table is planned and loaded alone."""
    DATABASES["from"].tables = {"Orders": [1], "ORDERS": [2], "orders": [3]}
    planned = clone(dry_run=True).imported.plan.tables
    assert [table.target.name for table in planned] == ["orders", "orders2", "orders3"]
    clone()
    assert there.tables == {"orders": [1], "orders2": [2], "orders3": [3]}
    there.tables.clear()
    imported(tmp_path)()
    assert there.tables == {"orders": [1], "orders2": [2], "orders3": [3]}


def test_a_dry_run_changes_nothing(there: MemoryDatabase) -> None:
    """A dry run says what would become of each table, and calls nothing that writes."""
    there.tables["c"] = [5]
    there.refused["d"] = LossError("column x does not fit")
    result = clone(dry_run=True)
    plan = result.imported.plan
    assert [(t.source.name.name, t.action) for t in plan.tables] == [
        ("a", "create"),
        ("b", "create"),
        ("e", "create"),
    ]
    failed = [(f.table.name, f.exit_code, f.rows) for f in result.imported.failed]
    assert failed == [("c", 4, 100), ("d", 7, 1)]
    assert [t.rows for t in result.exported.tables] == [3, 0, 100, 1, 2]
    assert plan.statements == ("create a", "create b", "create e")
    assert (there.tables, there.calls) == ({"c": [5]}, [])


def test_the_source_comes_first(there: MemoryDatabase) -> None:
    """Where both sides are wrong, the source is named, and the target has not been asked."""
    DATABASES["from"].closed_to_all = SourceError("no such source")
    there.closed_to_all = TargetError("no such target")
    for dry_run in (True, False):
        with pytest.raises(SourceError):
            clone(dry_run=dry_run)
    assert there.prepared == []


def test_what_concerns_all_tables_is_raised(there: MemoryDatabase) -> None:
    """A rejected key is no failure of a table: it is raised before any table is looked at."""
    there.closed_to_all = TargetError("authentication failed")
    with pytest.raises(TargetError):
        clone()
    with pytest.raises(UsageError, match="one transaction"):
        clone(single_transaction=True)


def test_losses_are_announced_once_and_first(there: MemoryDatabase) -> None:
    """One plan with the losses of all tables comes before everything; --strict then refuses."""
    events: list[Event] = []
    clone(on_event=events.append)
    assert isinstance(events[0], Planned)
    assert [loss.object for loss in events[0].losses] == ["keys"]
    assert sum(isinstance(event, Planned) for event in events) == 1
    with pytest.raises(LossError):
        clone(strict=True, existing="overwrite")


def test_events_of_each_table(there: MemoryDatabase) -> None:
    """Each table begins, tells of its chunks and stages, and ends once: done, or failed."""
    there.broken_writes["d"] = TargetError("error records", hint="look at them")
    events: list[Event] = []
    clone(on_event=events.append)
    for name, rows in TABLES.items():
        table = Name(None, name)
        own = [event for event in events if getattr(event, "table", None) == table]
        assert isinstance(own[0], TableStarted)
        ends = [event for event in own if isinstance(event, TableDone | TableFailed)]
        assert ends == own[-1:]
        if name == "d":
            assert ends == [TableFailed(table=table, message="error records", hint="look at them")]
        else:
            assert ends == [TableDone(table=table, rows=len(rows))]
        assert sum(e.rows for e in own if isinstance(e, ChunkDone)) == len(rows)
        assert StageStarted(stage="publish", object=name) in events
    assert [e.rows for e in events if isinstance(e, Finished)] == [105]


def test_whoever_watches_may_stop_it(there: MemoryDatabase) -> None:
    """An exception from the callback ends the whole run, and reaches the caller."""

    def stop(event: Event) -> None:
        if isinstance(event, ChunkDone):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        clone(on_event=stop, treasure_data=TreasureDataOptions(table_parallelism=1))
    assert there.tables == {}
    assert there.opened == 0


def test_what_waits_is_stopped(there: MemoryDatabase) -> None:
    """When a run is given up, tables that wait for their service do not keep it from ending."""
    there.waiting = "c"
    done: list[Event] = []

    def stop(event: Event) -> None:
        if isinstance(event, TableDone):
            done.append(event)
        if len(done) == len(TABLES) - 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        clone(on_event=stop)
    assert there.stopped.is_set()
    assert "c" not in there.tables


def test_a_bug_is_no_failure_of_a_table(there: MemoryDatabase) -> None:
    """What is no error of dbsync's own is not hidden in a list."""
    there.broken_writes["a"] = ZeroDivisionError("bug")
    with pytest.raises(ZeroDivisionError):
        clone()


def test_a_kept_archive_goes_together(there: MemoryDatabase, tmp_path: Path) -> None:
    """With --keep there is one archive and one pipe: a failure is raised, and nothing is kept."""
    kept = tmp_path / "kept.dbsync.tar"
    there.broken_writes["d"] = TargetError("error records")
    with pytest.raises(TargetError, match="error records"):
        clone(keep=str(kept))
    assert not kept.exists()
    there.broken_writes.clear()
    clone(keep=str(kept), existing="overwrite")
    assert api.inspect(str(kept)).rows == 106
    assert {name: sorted(rows) for name, rows in there.tables.items()} == TABLES


def test_an_archive_is_imported_by_tables(there: MemoryDatabase, tmp_path: Path) -> None:
    """From an archive that can be read at random, a table fails alone too; --tables narrows it."""
    run = imported(tmp_path)
    there.broken_writes["d"] = TargetError("error records")
    result = run(exclude_tables=["e"])
    assert [(f.table.name, f.exit_code) for f in result.failed] == [("d", 4)]
    assert {name: sorted(rows) for name, rows in there.tables.items()} == {
        name: TABLES[name] for name in "abc"
    }
    assert (result.rows, result.separately) == (103, True)


def test_the_parts_of_an_import_keep_their_names(there: MemoryDatabase, tmp_path: Path) -> None:
    """Run again, the import of a table has the same id, so that it goes on; others have others."""
    run = imported(tmp_path)
    run()
    first = sorted(there.calls)
    there.calls.clear()
    run(existing="overwrite")
    assert sorted(there.calls) == first
    assert len({call.rpartition(" ")[2] for call in first}) == len(TABLES)


def test_a_dry_run_of_an_import(there: MemoryDatabase, tmp_path: Path) -> None:
    """It says what would become of each table of the archive, and writes nothing."""
    there.tables["c"] = [5]
    result = imported(tmp_path)(dry_run=True)
    assert [f.table.name for f in result.failed] == ["c"]
    assert [t.source.rows_estimate for t in result.plan.tables] == [3, 0, 1, 2]
    assert there.calls == []


def test_a_pipe_goes_together(there: MemoryDatabase, tmp_path: Path) -> None:
    """From a pipe the tables cannot be told apart in advance: the first failure is raised."""
    archive = tmp_path / "x.dbsync.tar"
    api.export_database("memory://from", str(archive))
    there.broken_writes["d"] = TargetError("error records")
    with archive.open("rb") as stream, pytest.raises(TargetError, match="error records"):
        api.import_archive(stream, "memory://to")


def test_no_schema_creates_no_table(there: MemoryDatabase) -> None:
    """Tables are created without being asked, unless that is refused."""
    result = clone(include_schema=False)
    assert len(result.imported.failed) == len(TABLES)
    assert there.tables == {}


def test_verify_compares_what_arrived(there: MemoryDatabase) -> None:
    """--verify compares the tables that arrived, and names those that did not as not compared."""
    there.broken_writes["d"] = TargetError("error records")
    result = clone(verify=True)
    assert result.verified is not None
    assert result.verified.ok
    assert (result.verified.tables, result.verified.rows) == (4, 105)
    assert [name.name for name in result.verified.not_compared] == ["d"]
