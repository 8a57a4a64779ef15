"""What a target is refused for, and how tables that exist are treated, foreign keys included."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg2
import pytest

from dbsync.connectors.base import ChunkId, ImportOptions
from dbsync.connectors.postgres import open_target
from dbsync.errors import ConflictError, LossError, TargetError
from dbsync.model.schema import ForeignKey, Name
from tests.servers import PostgresServer
from tests.unit.connectors.postgres.loading import (
    TEXT,
    Stop,
    batch,
    column,
    database,
    load,
    query,
    run,
    table,
)

T = table("t", column("id"), column("a", TEXT), key=["id"])
OLD = "CREATE TABLE t (id bigint PRIMARY KEY, a text); INSERT INTO t VALUES (1, 'old')"
CHILD = table("child", column("id"), column("t"), key=["id"])


def test_append_skip_error(pg_url: str) -> None:
    """skip leaves a table alone, error refuses it before any write."""
    run(pg_url, OLD)
    rows = {"t": [[(1, "new")]]}
    plan, _ = load(pg_url, database(T), rows, existing="skip")
    assert plan.tables[0].action == "skip"
    with pytest.raises(TargetError, match=r"table public\.t exists"):
        load(pg_url, database(T), rows, existing="error")
    assert query(pg_url, "TABLE t") == [(1, "old")]


def test_overwrite_replaces_every_row(pg_url: str) -> None:
    """overwrite leaves exactly the archive's rows, also without a key, in several chunks."""
    run(pg_url, OLD)
    plan, _ = load(pg_url, database(T), {"t": [[(2, "b")], [(3, "c")]]}, existing="overwrite")
    assert plan.tables[0].action == "overwrite"
    assert query(pg_url, "TABLE t ORDER BY id") == [(2, "b"), (3, "c")]


def test_an_overwrite_that_fails_keeps_the_old_rows(pg_url: str) -> None:
    """A refused row in a later chunk leaves the table as it was; other readers never see a gap."""
    run(pg_url, OLD)
    with pytest.raises(TargetError, match=r"\[23505\]"):
        load(pg_url, database(T), {"t": [[(2, "b")], [(2, "again")]]}, existing="overwrite")
    assert query(pg_url, "TABLE t") == [(1, "old")]


def test_overwriting_a_table_that_others_refer_to_is_refused(pg_url: str) -> None:
    """A reference from outside of the import is named before anything is written."""
    run(pg_url, OLD + "; CREATE TABLE child (id bigint PRIMARY KEY, t bigint REFERENCES t)")
    with pytest.raises(TargetError, match=r"public\.t cannot be overwritten: .*child_t_fkey"):
        load(pg_url, database(T), {"t": [[(2, "b")]]}, existing="overwrite")
    assert query(pg_url, "TABLE t") == [(1, "old")]


def test_overwriting_tables_that_refer_to_one_another(pg_url: str) -> None:
    """Tables of one import are emptied together and loaded in the order of their keys."""
    run(
        pg_url,
        OLD + "; CREATE TABLE child (id bigint PRIMARY KEY, t bigint REFERENCES t); "
        "INSERT INTO child VALUES (1, 1)",
    )
    rows = {"child": [[(5, 2)]], "t": [[(2, "b")]]}
    plan, _ = load(pg_url, database(CHILD, T), rows, existing="overwrite")
    assert plan.table_order == ((Name(None, "t"),), (Name(None, "child"),))
    assert query(pg_url, "SELECT c.id, t.a FROM child c JOIN t ON t.id = c.t") == [(5, "b")]


def test_a_tree_that_refers_to_itself(pg_url: str) -> None:
    """A child that arrives chunks before its parent is no error, and the key stays as it was."""
    run(pg_url, "CREATE TABLE child (id bigint PRIMARY KEY, t bigint REFERENCES child)")
    rows = {"child": [[(2, 1), (3, 2)], [(1, None)]]}
    for _ in range(2):  # into an empty table, then as an upsert
        load(pg_url, database(CHILD), rows)
    assert query(pg_url, "SELECT count(*) FROM child") == [(3,)]
    assert query(
        pg_url, "SELECT condeferrable, convalidated FROM pg_constraint WHERE contype = 'f'"
    ) == [(False, True)]
    with pytest.raises(TargetError, match=r"\[23503\]"):
        load(pg_url, database(CHILD), {"child": [[(9, 99)]]})
    assert query(pg_url, "SELECT count(*) FROM child") == [(3,)]


def test_a_circle_of_keys(pg_url: str) -> None:
    """Two tables that refer to each other, and one that hangs on them, are loaded together."""
    run(
        pg_url,
        "CREATE TABLE t (id bigint PRIMARY KEY, a text); "
        "CREATE TABLE child (id bigint PRIMARY KEY, t bigint REFERENCES t); "
        "ALTER TABLE t ADD child bigint REFERENCES child; "
        "CREATE TABLE above (id bigint PRIMARY KEY, t bigint NOT NULL REFERENCES t)",
    )
    t = table("t", column("id"), column("child"), key=["id"])
    above = table("above", column("id"), column("t"), key=["id"])
    rows = {"above": [[(1, 1)]], "t": [[(1, 2)], [(2, None)]], "child": [[(2, 1)]]}
    load(pg_url, database(above, t, CHILD), rows)
    found = "SELECT t.id, c.id FROM above a JOIN t ON t.id = a.t JOIN child c ON c.id = t.child"
    assert query(pg_url, found) == [(1, 2)]
    assert query(pg_url, "SELECT bool_or(condeferrable) FROM pg_constraint WHERE contype='f'") == [
        (False,)
    ]


def test_a_circle_that_this_role_cannot_put_off_is_refused(
    pg18: PostgresServer, pg_url: str
) -> None:
    """Without ownership a circle of keys is refused before any write, with the choices."""
    name = pg_url.rsplit("/", 1)[1]
    with pg18.role("not_the_owner"):
        run(
            pg_url,
            "CREATE TABLE child (id bigint PRIMARY KEY, t bigint REFERENCES child); "
            "GRANT ALL ON child TO not_the_owner",
        )
        with pytest.raises(TargetError, match="closes a circle") as refused:
            load(pg18.url(name, user="not_the_owner"), database(CHILD), {})
    assert "owner" in (refused.value.hint or "")


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        ("", r"table public\.t does not exist"),
        ("CREATE TABLE t (id bigint)", r"table public\.t lacks column a of the archive"),
        ("CREATE TABLE t (id int, a text, b int NOT NULL)", "without a default .* lacks: b"),
        ("CREATE VIEW t AS SELECT 1 AS id", r"public\.t exists on the target and is a view"),
    ],
)
def test_what_cannot_work_is_refused_before_any_write(
    pg_url: str, definition: str, message: str
) -> None:
    """Each misfit of an existing table is named by `prepare`."""
    if definition:
        run(pg_url, definition)
    with pytest.raises(TargetError, match=message) as refused:
        load(pg_url, database(T), {})
    if not definition:
        assert "--include-schema" in (refused.value.hint or "")


def test_extra_columns_with_a_default_are_fine(pg_url: str) -> None:
    """A column that the archive lacks takes its default."""
    run(pg_url, "CREATE TABLE t (id bigint, a text, b int NOT NULL DEFAULT 7)")
    load(pg_url, database(T), {"t": [[(1, "x")]]})
    assert query(pg_url, "TABLE t") == [(1, "x", 7)]


def test_a_read_only_target_is_refused(pg_url: str, pg18: PostgresServer) -> None:
    """A role or database whose transactions are read-only is refused with the server's code."""
    run(pg_url, OLD)
    name = pg_url.rsplit("/", 1)[1]
    pg18.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    with pytest.raises(TargetError, match="25006"):
        load(pg_url, database(T), {})


def test_missing_rights_are_refused_before_any_write(pg18: PostgresServer, pg_url: str) -> None:
    """INSERT, SELECT, row-level security: each is named with the grant that is missing."""
    name = pg_url.rsplit("/", 1)[1]
    run(pg_url, OLD)
    with pg18.role("poor"):
        url = pg18.url(name, user="poor")
        run(pg_url, "GRANT SELECT ON t TO poor")
        with pytest.raises(TargetError, match=r"lacks INSERT on table public\.t"):
            load(url, database(T), {})
        run(pg_url, "GRANT INSERT ON t TO poor")
        with pytest.raises(TargetError, match=r"lacks UPDATE on column a of table public\.t"):
            load(url, database(T), {})
        with pytest.raises(TargetError, match="lacks TRUNCATE"):
            load(url, database(T), {}, existing="overwrite")
        run(pg_url, "GRANT UPDATE ON t TO poor; ALTER TABLE t ENABLE ROW LEVEL SECURITY")
        with pytest.raises(TargetError, match="row-level security applies"):
            load(url, database(T), {})
        with pytest.raises(TargetError, match="may not create tables in schema public"):
            load(url, database(table("u", column("id"))), {}, ddl="portable")


def test_without_the_right_to_a_ledger_the_guarantee_is_said_first(
    pg18: PostgresServer, pg_url: str
) -> None:
    """A role that may only write rows imports, and the plan says that nothing can be resumed."""
    name = pg_url.rsplit("/", 1)[1]
    run(pg_url, OLD)
    with pg18.role("poor"):
        run(pg_url, "GRANT SELECT, INSERT, UPDATE ON t TO poor")
        plan, _ = load(pg18.url(name, user="poor"), database(T), {"t": [[(1, "new")]]})
    assert plan.guarantee == "none"
    assert [loss.object for loss in plan.losses] == ["resuming this import"]
    assert query(pg_url, "TABLE t") == [(1, "new")]


def test_one_import_at_a_time(pg_url: str) -> None:
    """A second import into the same database is refused while the first one runs."""
    options = ImportOptions(import_id="second", ddl="portable")

    def second(_: str) -> None:
        target = open_target(pg_url)
        try:
            plan = target.prepare(database(table("u", column("id"))), options)
            with pytest.raises(ConflictError, match="another import"), target.load(plan, options):
                pass
        finally:
            target.close()
        raise Stop

    with pytest.raises(Stop):
        load(pg_url, database(T), {"t": [[(1, "x")]]}, ddl="portable", at=second)
    load(pg_url, database(T), {"t": [[(1, "x")]]}, ddl="portable")


def test_a_target_that_changed_since_the_plan_is_refused(pg_url: str) -> None:
    """Rows that appear between plan and load would need another plan."""
    run(pg_url, OLD + "; TRUNCATE t")
    options = ImportOptions(import_id="x")
    target = open_target(pg_url)
    try:
        plan = target.prepare(database(T), options)
        run(pg_url, "INSERT INTO t VALUES (5, 'x')")
        with pytest.raises(ConflictError, match="changed since"), target.load(plan, options):
            pass
    finally:
        target.close()


def test_tables_of_two_schemas_that_would_become_one(pg_url: str) -> None:
    """--schema puts every table into one schema, and refuses two of the same name."""
    a, b = (table("t", column("id"), schema=schema) for schema in ("x", "y"))
    with pytest.raises(TargetError, match=r"x\.t and y\.t would both become z\.t"):
        load(pg_url, database(a, b), {}, ddl="portable", schema="z")
    load(pg_url, database(a), {"t": [[(1,)]]}, ddl="portable", schema="z")
    assert query(pg_url, "TABLE z.t") == [(1,)]


def test_triggers_see_rows_in_the_roles_own_search_path(pg_url: str) -> None:
    """A trigger function with unqualified names works as it does for any insert."""
    run(
        pg_url,
        OLD + "; CREATE TABLE log (id bigint); CREATE FUNCTION note() RETURNS trigger LANGUAGE "
        "plpgsql AS 'BEGIN INSERT INTO log VALUES (NEW.id); RETURN NEW; END'; "
        "CREATE TRIGGER note AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION note()",
    )
    load(pg_url, database(T), {"t": [[(2, "x")]]})
    assert query(pg_url, "TABLE log") == [(2,)]


def test_triggers_that_touch_overwritten_tables_do_not_hang(pg_url: str) -> None:
    """Tables with triggers share the transaction that has emptied what they may touch."""
    run(
        pg_url,
        "CREATE TABLE child (id bigint PRIMARY KEY, t bigint); " + OLD + "; "
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN PERFORM count(*) FROM t; RETURN NEW; END'; "
        "CREATE TRIGGER note AFTER INSERT ON child FOR EACH ROW EXECUTE FUNCTION note()",
    )
    rows = {"t": [[(2, "b")]], "child": [[(1, 1)]]}
    load(pg_url, database(T, CHILD), rows, existing="overwrite")
    assert query(pg_url, "SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM child)") == [
        (1, 1)
    ]


def test_created_and_existing_tables_in_one_import(new_pg_url: Callable[[], str]) -> None:
    """A new table gets its foreign key to one that was there."""
    url = new_pg_url()
    run(url, OLD)
    child = table(
        "child",
        column("id"),
        column("t"),
        key=["id"],
        foreign_keys=(
            ForeignKey(columns=("t",), referred=Name(None, "t"), referred_columns=("id",)),
        ),
    )
    load(url, database(T, child), {"t": [[(2, "b")]], "child": [[(1, 2)]]}, ddl="portable")
    with pytest.raises(psycopg2.errors.ForeignKeyViolation):
        run(url, "INSERT INTO child VALUES (2, 99)")


def test_names_that_postgresql_would_cut_are_refused(pg_url: str) -> None:
    """64 bytes are one too many for a table or a column, and nothing is created."""
    for of in (table("ü" * 32, column("id")), table("t", column("c" * 64))):
        with pytest.raises(LossError, match="not between 1 and 63 bytes"):
            load(pg_url, database(of), {}, ddl="portable")
    load(pg_url, database(table("t" * 63, column("c" * 63))), {}, ddl="portable")


@pytest.mark.parametrize("existing", ["append", "overwrite"])
def test_several_writers_at_once(pg_url: str, existing: str) -> None:
    """Threads write chunks of one table side by side, or in turn where they share a transaction."""
    run(pg_url, OLD)
    options = ImportOptions(import_id="x", existing=existing)  # type: ignore[arg-type]
    with closing(open_target(pg_url, jobs=4)) as target:
        plan = target.prepare(database(T), options)
        with target.load(plan, options) as loading:
            list(loading.create())

            def work(first: int) -> int:
                with loading.writer(plan.tables[0]) as writer:
                    inserted = 0
                    for number in range(first, first + 5):
                        writer.write(batch(T, [(number * 10 + i, "x") for i in range(10)]))
                        chunk = ChunkId(table=T.name, number=number, digest="x")
                        inserted += writer.commit(chunk).inserted
                return inserted

            with ThreadPoolExecutor(4) as pool:
                assert sum(pool.map(work, (1, 6, 11, 16))) == 200
            list(loading.finalize())
    assert query(pg_url, "SELECT count(*) FROM t WHERE id > 1") == [(200,)]


def test_a_chunk_that_is_given_up_leaves_the_others(pg_url: str) -> None:
    """Leaving a writer without commit undoes its chunk only, in a shared transaction as well."""
    run(pg_url, OLD)
    options = ImportOptions(import_id="x", existing="overwrite")
    with closing(open_target(pg_url)) as target:
        plan = target.prepare(database(T), options)
        with target.load(plan, options) as loading:
            list(loading.create())
            with loading.writer(plan.tables[0]) as writer:
                writer.write(batch(T, [(2, "kept")]))
                writer.commit(ChunkId(table=T.name, number=0, digest="x"))
                writer.write(batch(T, [(3, "given up")]))
            with loading.writer(plan.tables[0]) as writer, pytest.raises(TargetError):
                writer.write(batch(T, [(2, "twice")]))
            list(loading.finalize())
    assert query(pg_url, "TABLE t") == [(2, "kept")]


def test_check_says_what_is_missing(pg18: PostgresServer, pg_url: str) -> None:
    """The owner lacks nothing; a poor role gets the grants to ask for."""
    run(pg_url, OLD)
    with closing(open_target(pg_url)) as target:
        assert all(item.ok and item.hint is None for item in target.check())
    with (
        pg18.role("poor"),
        closing(open_target(pg18.url(pg_url.rsplit("/", 1)[1], user="poor"))) as target,
    ):
        bad = {item.item: item.hint or "" for item in target.check() if not item.ok}
    assert set(bad) == {"create tables", "write existing tables", "exactly once"}
    assert bad["create tables"].startswith('GRANT CREATE ON SCHEMA "public" TO "poor"')
