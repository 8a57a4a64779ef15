"""An import that is cut off anywhere goes on where it stopped, exactly once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dbsync.connectors.base import Counts
from dbsync.errors import ConflictError, DbsyncError, LossError, TargetError
from dbsync.model.schema import (
    Database,
    ForeignKey,
    Identity,
    Index,
    IndexColumn,
    Key,
    Name,
    Sequence,
)
from tests.servers import PostgresServer
from tests.unit.connectors.postgres.loading import (
    TEXT,
    Stop,
    column,
    database,
    kill_others,
    load,
    query,
    run,
    table,
)

SEQUENCE = Name(None, "numbers")
PARENT = table(
    "parent",
    column("id", identity=Identity(kind="by default", sequence=SEQUENCE)),
    column("a", TEXT),
    key=["id"],
    uniques=(Key(columns=("a",), name="a_key"),),
    indexes=(Index(name="a_index", columns=(IndexColumn(column="a", descending=True),)),),
)
HEAP = table(
    "heap",
    column("p"),
    column("a", TEXT),
    foreign_keys=(
        ForeignKey(columns=("p",), referred=Name(None, "parent"), referred_columns=("id",)),
    ),
)
ARCHIVE = database(
    PARENT, HEAP, sequences=(Sequence(name=SEQUENCE, last_value=70, is_called=True),)
)
ROWS = {
    "parent": [[(1, "a"), (2, "b")], [(3, "c"), (4, "d")]],
    # Rows without a key, some of them equal: loading a chunk twice would show.
    "heap": [[(1, "x"), (1, "x"), (2, "y")], [(1, "x"), (3, "z")], [(4, "end")]],
}


def state(url: str) -> dict[str, Any]:
    """Describe everything that a clean run leaves."""
    return {
        "rows": query(url, "TABLE parent ORDER BY 1") + query(url, "TABLE heap ORDER BY 1, 2"),
        "constraints": query(
            url,
            "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint "
            "WHERE connamespace = 'public'::regnamespace AND contype <> 'n' ORDER BY 1",
        ),
        "indexes": query(
            url, "SELECT indexdef FROM pg_indexes WHERE schemaname='public' ORDER BY 1"
        ),
        "next": query(url, "SELECT nextval(pg_get_serial_sequence('parent', 'id'))"),
        "relations": query(
            url,
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1",
        ),
    }


def resumed(url: str, **options: Any) -> dict[str, list[Counts]]:
    """Run the import again, to its end."""
    _, counts = load(url, ARCHIVE, ROWS, **{"ddl": "portable", **options})
    return counts


def stop_at(point: str) -> Callable[[str], None]:
    """Abandon the import at a point, as an exception in the process would."""

    def at(here: str) -> None:
        if here == point:
            raise Stop

    return at


def kill_at(url: str, point: str) -> Callable[[str], None]:
    """End all of the import's sessions at a point, as losing the machine would."""

    def at(here: str) -> None:
        if here == point:
            kill_others(url)
            raise Stop

    return at


@pytest.fixture(scope="module")
def clean(pg18: PostgresServer) -> Any:
    """Every point of a clean run, and what it leaves."""
    seen: list[str] = []
    url = pg18.url(pg18.create_database("clean_target"))
    load(url, ARCHIVE, ROWS, ddl="portable", at=seen.append)
    found = state(url)
    pg18.drop_database("clean_target")
    return seen, found


def test_cut_off_at_every_point_it_ends_like_a_clean_run(pg18: PostgresServer, clean: Any) -> None:
    """Abandoned at each step in turn, with and without a key, the next run completes the rest."""
    seen, expected = clean
    assert {"created", "half heap 1", "written heap 1", "committed heap 1"} <= set(seen)
    assert {"sequences sequence positions", "cleanup dbsync_ledger"} <= set(seen)
    assert expected["next"] == [(71,)]
    assert ("dbsync_ledger",) not in expected["relations"]
    for number, point in enumerate(seen):
        if point.startswith(("half parent", "written parent", "half heap 2", "written heap 0")):
            continue  # as others, and each point takes its time
        name = pg18.create_database()
        url = pg18.url(name)
        at = kill_at(url, point) if number % 2 else stop_at(point)
        with pytest.raises((Stop, DbsyncError)):
            load(url, ARCHIVE, ROWS, ddl="portable", at=at)
        again: list[str] = []
        load(url, ARCHIVE, ROWS, ddl="portable", at=again.append)
        done = [p.removeprefix("committed ") for p in seen[: number + 1] if "committed" in p]
        assert [p.removeprefix("resumed ") for p in again if "resumed" in p] == done, point
        assert state(url) == expected, point
        pg18.drop_database(name)


def test_many_cuts_in_a_row(pg_url: str, clean: Any) -> None:
    """Each run may be cut off again; together they load each chunk once."""
    seen, expected = clean
    for point in seen:
        try:
            load(pg_url, ARCHIVE, ROWS, ddl="portable", at=kill_at(pg_url, point))
        except (Stop, DbsyncError):
            continue
    resumed(pg_url)
    assert state(pg_url) == expected


def test_the_mode_of_a_table_stays_what_it_was(pg_url: str) -> None:
    """A table without a key, empty at the start, is appended to again though it holds rows now."""
    run(pg_url, "CREATE TABLE heap (p bigint, a text)")
    with pytest.raises(Stop):
        load(pg_url, database(HEAP), ROWS, at=stop_at("written heap 1"))
    assert query(pg_url, "SELECT count(*) FROM heap") == [(3,)]
    plan, _ = load(pg_url, database(HEAP), ROWS)
    assert plan.resuming
    assert plan.tables[0].mode == "insert"
    assert query(pg_url, "SELECT count(*) FROM heap") == [(6,)]


def test_an_overwrite_that_was_cut_off_starts_over(pg_url: str) -> None:
    """The old rows are there until the new ones are, then all of the new ones exactly once."""
    run(pg_url, "CREATE TABLE heap (p bigint, a text); INSERT INTO heap VALUES (0, 'old')")
    with pytest.raises(Stop):
        load(pg_url, database(HEAP), ROWS, existing="overwrite", at=stop_at("written heap 2"))
    assert query(pg_url, "TABLE heap") == [(0, "old")]
    with pytest.raises(Stop):
        load(
            pg_url,
            database(HEAP),
            ROWS,
            existing="overwrite",
            at=stop_at("sequences sequence positions"),
        )
    assert query(pg_url, "SELECT count(*) FROM heap") == [(6,)]
    load(pg_url, database(HEAP), ROWS, existing="overwrite")
    assert query(pg_url, "SELECT count(*) FROM heap") == [(6,)]


def test_other_options_are_refused_and_no_resume_starts_afresh(pg_url: str) -> None:
    """Going on needs the same options; --no-resume forgets what the ledger says."""
    run(pg_url, "CREATE TABLE heap (p bigint, a text)")
    with pytest.raises(Stop):
        load(pg_url, database(HEAP), ROWS, at=stop_at("committed heap 0"))
    for options in ({"on_conflict": "error"}, {"ddl": "portable"}):
        with pytest.raises(ConflictError, match="had other options") as refused:
            load(pg_url, database(HEAP), ROWS, **options)  # type: ignore[arg-type]
        assert "--no-resume" in (refused.value.hint or "")
    with pytest.raises(ConflictError, match="other tables"):
        load(pg_url, database(HEAP, PARENT), ROWS)
    with pytest.raises(LossError, match="no primary key"):
        load(pg_url, database(HEAP), ROWS, resume=False)
    load(pg_url, database(HEAP), ROWS, resume=False, on_conflict="error")
    assert query(pg_url, "SELECT count(*) FROM heap") == [(9,)]
    assert query(pg_url, "SELECT to_regclass('dbsync_ledger')") == [(None,)]


def test_imports_of_other_archives_keep_their_lines(pg_url: str) -> None:
    """The ledger stays while another import is not complete, and goes with the last one."""
    run(pg_url, "CREATE TABLE heap (p bigint, a text)")
    with pytest.raises(Stop):
        load(pg_url, database(HEAP), ROWS, import_id="a", at=stop_at("committed heap 0"))
    load(pg_url, database(PARENT), ROWS, import_id="b", ddl="portable")
    assert query(pg_url, "SELECT DISTINCT import_id FROM dbsync_ledger") == [("a",)]
    load(pg_url, database(HEAP), ROWS, import_id="a")
    assert query(pg_url, "SELECT to_regclass('dbsync_ledger')") == [(None,)]
    assert query(pg_url, "SELECT count(*) FROM heap") == [(6,)]


def test_a_single_transaction_is_all_or_nothing(pg_url: str, clean: Any) -> None:
    """Under --single-transaction a failure at the very end leaves an empty database, no ledger."""
    _, expected = clean
    before = query(pg_url, "SELECT count(*) FROM pg_class")
    for point in ("committed heap 2", "sequences sequence positions"):
        with pytest.raises(Stop):
            load(pg_url, ARCHIVE, ROWS, ddl="portable", single_transaction=True, at=stop_at(point))
        assert query(pg_url, "SELECT count(*) FROM pg_class") == before
    bad = {**ROWS, "heap": [*ROWS["heap"], [(99, "no parent")]]}
    with pytest.raises(TargetError, match=r"\[23503\]"):
        load(pg_url, ARCHIVE, bad, ddl="portable", single_transaction=True)
    assert query(pg_url, "SELECT count(*) FROM pg_class") == before
    plan, _ = load(pg_url, ARCHIVE, ROWS, ddl="portable", single_transaction=True)
    assert (plan.guarantee, plan.max_writers) == ("single_transaction", 1)
    assert state(pg_url) == expected


def test_a_single_transaction_undoes_one_chunk_of_an_upsert(pg_url: str) -> None:
    """Existing rows are as they were after a failure in a later chunk."""
    run(pg_url, "CREATE TABLE parent (id bigint PRIMARY KEY, a text UNIQUE)")
    run(pg_url, "INSERT INTO parent VALUES (1, 'old')")
    rows = {"parent": [[(1, "new")], [(2, "new")]]}
    with pytest.raises(TargetError, match=r"\[23505\]"):
        load(pg_url, database(PARENT), rows, single_transaction=True)
    assert query(pg_url, "TABLE parent") == [(1, "old")]


def test_a_ledger_of_another_role_is_not_followed(pg18: PostgresServer, pg_url: str) -> None:
    """The lines of a ledger are instructions: only this role's own are carried out."""
    run(pg_url, "CREATE TABLE heap (p bigint, a text)")
    with pg18.role("stranger"):
        run(pg_url, "GRANT CREATE ON SCHEMA public TO stranger; GRANT ALL ON heap TO stranger")
        with pytest.raises(Stop):
            load(pg_url, database(HEAP), ROWS, at=stop_at("committed heap 0"))
        name = pg_url.rsplit("/", 1)[1]
        with pytest.raises(TargetError, match="dbsync_ledger belongs to role postgres"):
            load(pg18.url(name, user="stranger"), database(HEAP), ROWS)


def test_many_tables_are_created_in_batches(pg_url: str) -> None:
    """DDL is committed every hundred steps: a server has locks for only some thousand tables."""
    tables = [table(f"t{i}", column("id"), key=["id"]) for i in range(250)]
    of = Database(engine="sqlite", version="1", name="many", tables=tuple(tables))
    committed: list[int] = []

    def at(point: str) -> None:
        if point == "create table public.t200":
            committed.extend(
                query(pg_url, "SELECT count(*) FROM pg_class WHERE relname ~ '^t[0-9]+$'")[0]
            )
            raise Stop

    with pytest.raises(Stop):
        load(pg_url, of, {}, ddl="portable", at=at)
    assert committed == [200]
