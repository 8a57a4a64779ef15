"""How rows meet those that a table already holds: each outcome of an upsert, by real servers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dbsync.errors import LossError, TargetError, UsageError
from dbsync.model.schema import Key
from dbsync.model.types import LogicalType, integer
from tests.unit.connectors.postgres.loading import (
    TEXT,
    Literal,
    column,
    database,
    load,
    query,
    run,
    table,
)

T = table("t", column("id"), column("a", TEXT), column("b", TEXT), key=["id"])
OLD = "CREATE TABLE t (id bigint PRIMARY KEY, a text, b text); INSERT INTO t VALUES (1, 'old', 'b')"


def test_update_replaces_and_inserts(pg_url: str) -> None:
    """A row whose key is there takes every value of the archive's, NULL included."""
    run(pg_url, OLD)
    plan, counts = load(pg_url, database(T), {"t": [[(1, "new", None), (2, "x", "y")]]})
    assert (plan.tables[0].mode, plan.tables[0].key) == ("update", ("id",))
    assert query(pg_url, "TABLE t ORDER BY id") == [(1, "new", None), (2, "x", "y")]
    assert (counts["t"][0].inserted, counts["t"][0].updated) == (1, 1)


def test_merge_keeps_what_the_archive_has_not(pg_url: str) -> None:
    """Under merge a NULL of the archive keeps the value that is there."""
    run(pg_url, OLD)
    load(pg_url, database(T), {"t": [[(1, "new", None)]]}, on_conflict="merge")
    assert query(pg_url, "TABLE t") == [(1, "new", "b")]


def test_skip_keeps_the_row(pg_url: str) -> None:
    """Under skip the row that is there stays, and is counted."""
    run(pg_url, OLD)
    rows = {"t": [[(1, "new", "c"), (2, "x", "y")]]}
    _, counts = load(pg_url, database(T), rows, on_conflict="skip")
    assert query(pg_url, "TABLE t ORDER BY id") == [(1, "old", "b"), (2, "x", "y")]
    assert (counts["t"][0].inserted, counts["t"][0].skipped) == (1, 1)


def test_error_refuses_and_changes_nothing(pg_url: str) -> None:
    """Under error the first clash refuses the chunk with the server's state."""
    run(pg_url, OLD)
    with pytest.raises(TargetError, match=r"table public\.t .*\[23505\]"):
        load(pg_url, database(T), {"t": [[(2, "x", "y"), (1, "n", "n")]]}, on_conflict="error")
    assert query(pg_url, "TABLE t") == [(1, "old", "b")]


def test_identical_rows_are_not_touched(pg_url: str) -> None:
    """A row that is the same already fires no trigger, and one that differs does."""
    run(
        pg_url,
        OLD + ", (2, NULL, 'b'); ALTER TABLE t ADD changed int DEFAULT 0; "
        "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN NEW.changed = OLD.changed + 1; RETURN NEW; END'; "
        "CREATE TRIGGER touch BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION touch()",
    )
    load(pg_url, database(T), {"t": [[(1, "old", "b"), (2, None, "c")]]})
    assert query(pg_url, "SELECT id, changed FROM t ORDER BY id") == [(1, 0), (2, 1)]


def test_an_equal_value_of_another_form_is_taken_over(pg_url: str) -> None:
    """1.50 replaces 1.5: rows are compared as they are stored, not by what counts as equal."""
    run(pg_url, "CREATE TABLE t (id bigint PRIMARY KEY, v numeric); INSERT INTO t VALUES (1, 1.5)")
    of = table("t", column("id"), column("v", LogicalType(name="numeric")), key=["id"])
    load(pg_url, database(of), {"t": [[(1, "1.50")]]})
    assert query(pg_url, "SELECT v::text FROM t") == [("1.50",)]


def test_a_null_key_is_refused_before_anything_of_the_chunk(pg_url: str) -> None:
    """NULL in the key names table, column and count, and the chunk leaves nothing."""
    run(pg_url, OLD)
    of = table("t", column("id"), column("a", TEXT), column("b", TEXT))
    rows = {"t": [[(2, "x", "y")], [(3, "x", "y"), (None, "x", "y")]]}
    with pytest.raises(LossError, match="table t, column id: 1 NULL in the key"):
        load(pg_url, database(of), rows)
    assert query(pg_url, "SELECT id FROM t ORDER BY id") == [(1,), (2,)]


def test_a_special_value_in_the_key_is_no_null(pg_url: str) -> None:
    """An infinite date is a key like any other, though its Arrow value is NULL."""
    run(pg_url, "CREATE TABLE t (d date PRIMARY KEY, a int); INSERT INTO t VALUES ('infinity', 1)")
    of = table("t", column("d", LogicalType(name="date")), column("a", integer(32)), key=["d"])
    load(pg_url, database(of), {"t": [[(Literal("infinity"), 7), (0, 8)]]})
    assert query(pg_url, "SELECT d::text, a FROM t ORDER BY a") == [
        ("infinity", 7),
        ("1970-01-01", 8),
    ]


def test_another_unique_key_that_clashes_is_an_error(pg_url: str) -> None:
    """A clash with a key other than the conflict key refuses the chunk and says so."""
    run(pg_url, OLD + "; CREATE UNIQUE INDEX other ON t (a)")
    with pytest.raises(TargetError, match=r"other.*\[23505\]"):
        load(pg_url, database(T), {"t": [[(2, "old", "y")]]})
    assert query(pg_url, "TABLE t") == [(1, "old", "b")]


def test_a_table_of_keys_only_skips(pg_url: str) -> None:
    """Nothing can be updated where every column is a key: known rows are skipped."""
    run(
        pg_url,
        "CREATE TABLE t (a bigint, b bigint, PRIMARY KEY (a, b)); INSERT INTO t VALUES (1, 2)",
    )
    of = table("t", column("a"), column("b"), key=["a", "b"])
    _, counts = load(pg_url, database(of), {"t": [[(1, 2), (3, 4)]]})
    assert query(pg_url, "TABLE t ORDER BY a") == [(1, 2), (3, 4)]
    assert (counts["t"][0].inserted, counts["t"][0].skipped) == (1, 1)


@pytest.mark.parametrize("mode", ["update", "merge", "skip"])
def test_of_a_key_that_repeats_the_last_row_wins(pg_url: str, mode: str) -> None:
    """Without a promise of the archive, later rows beat earlier ones and losers are counted."""
    run(pg_url, OLD)
    of = table("t", column("id"), column("a", TEXT), column("b", TEXT))
    rows = [(2, "first", "b"), (3, "c", "c"), (2, "last", "b"), (2, "very last", "b")]
    plan, counts = load(pg_url, database(of), {"t": [rows]}, on_conflict=mode)
    assert plan.tables[0].ordered
    assert query(pg_url, "SELECT a FROM t WHERE id = 2") == [("very last",)]
    assert (counts["t"][0].inserted, counts["t"][0].superseded) == (2, 2)


def test_keys_are_compared_as_the_target_does(pg_url: str) -> None:
    """1.0 and 1.00 are one key of a numeric column, though the archive's text column has two."""
    run(pg_url, "CREATE TABLE t (k numeric PRIMARY KEY, v int); INSERT INTO t VALUES (2, 0)")
    of = table("t", column("k", TEXT), column("v", integer(32)), key=["k"])
    _, counts = load(pg_url, database(of), {"t": [[("1.0", 1), ("1.00", 2), ("2.0", 3)]]})
    assert query(pg_url, "SELECT k::text, v FROM t ORDER BY k") == [("1.00", 2), ("2", 3)]
    assert (counts["t"][0].inserted, counts["t"][0].updated, counts["t"][0].superseded) == (1, 1, 1)


def test_a_chosen_key_must_be_unique_and_not_null(pg_url: str) -> None:
    """--conflict-key takes a unique NOT NULL key of the target and refuses anything else."""
    run(pg_url, OLD + "; ALTER TABLE t ALTER a SET NOT NULL; CREATE UNIQUE INDEX other ON t (a)")
    plan, _ = load(pg_url, database(T), {"t": [[(1, "old", "new")]]}, conflict_keys={"t": ("a",)})
    assert plan.tables[0].key == ("a",)
    assert query(pg_url, "TABLE t") == [(1, "old", "new")]
    with pytest.raises(LossError, match=r"table public\.t: \(b\) is not a unique key"):
        load(pg_url, database(T), {}, conflict_keys={"t": ("b",)})
    with pytest.raises(UsageError, match="'nothing'"):
        load(pg_url, database(T), {}, conflict_keys={"nothing": ("a",)})


def test_a_table_without_a_key_is_refused_while_it_holds_rows(pg_url: str) -> None:
    """Rows that cannot be told apart are refused with the choices; empty tables are loaded."""
    run(pg_url, "CREATE TABLE t (id bigint, a text, b text)")
    load(pg_url, database(T), {"t": [[(1, "x", "y")]]})
    with pytest.raises(LossError, match=r"table public\.t holds rows and has no primary key") as e:
        load(pg_url, database(T), {"t": [[(1, "x", "y")]]})
    assert "--on-conflict error" in (e.value.hint or "")
    load(pg_url, database(T), {"t": [[(1, "x", "y")]]}, on_conflict="error")
    assert query(pg_url, "SELECT count(*) FROM t") == [(2,)]


def test_partial_deferrable_and_expression_keys_do_not_count(pg_url: str) -> None:
    """Only an index that ON CONFLICT can use makes a key."""
    run(
        pg_url,
        "CREATE TABLE t (id bigint NOT NULL, a text NOT NULL, b text NOT NULL, "
        "UNIQUE (id) DEFERRABLE); CREATE UNIQUE INDEX ON t (a) WHERE a <> ''; "
        "CREATE UNIQUE INDEX ON t (lower(b)); INSERT INTO t VALUES (1, 'a', 'b')",
    )
    with pytest.raises(LossError, match="holds rows and has no primary key"):
        load(pg_url, database(T), {})


def test_partitioned_tables_count_new_and_known_rows(pg_url: str, pg16_url: str) -> None:
    """An upsert into a partitioned table reaches its partitions and counts both kinds of rows."""
    for url in (pg_url, pg16_url):
        run(
            url,
            "CREATE TABLE t (id bigint PRIMARY KEY, a text, b text) PARTITION BY RANGE (id); "
            "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10); "
            "CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (10) TO (20); "
            "INSERT INTO t VALUES (1, 'old', 'b')",
        )
        _, counts = load(url, database(T), {"t": [[(1, "new", "b"), (11, "x", "y")]]})
        assert (counts["t"][0].inserted, counts["t"][0].updated) == (1, 1)
        assert query(url, "SELECT a FROM t ORDER BY id") == [("new",), ("x",)]


def test_generated_and_identity_columns(pg_url: str) -> None:
    """Computed columns are left to the database; GENERATED ALWAYS numbers are written."""
    run(
        pg_url,
        "CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a text, "
        "b text GENERATED ALWAYS AS (upper(a)) STORED)",
    )
    load(pg_url, database(T), {"t": [[(7, "x", "anything")]]})
    load(pg_url, database(T), {"t": [[(7, "y", "anything"), (9, "z", "z")]]})
    assert query(pg_url, "TABLE t ORDER BY id") == [(7, "y", "Y"), (9, "z", "Z")]
    run(pg_url, "INSERT INTO t (a) VALUES ('next')")
    assert query(pg_url, "SELECT max(id) FROM t") == [(10,)]


def test_rules_do_not_send_rows_elsewhere(pg_url: str) -> None:
    """A table's rules are off while its rows arrive and as they were afterwards."""
    run(
        pg_url,
        OLD + "; CREATE TABLE u (LIKE t); CREATE RULE away AS ON INSERT TO t DO INSTEAD "
        "INSERT INTO u VALUES (NEW.*); ALTER TABLE t ENABLE ALWAYS RULE away",
    )
    load(pg_url, database(T), {"t": [[(1, "new", "b"), (2, "x", "y")]]})
    assert query(pg_url, "SELECT id, a FROM t ORDER BY id") == [(1, "new"), (2, "x")]
    assert query(pg_url, "SELECT ev_enabled FROM pg_rewrite WHERE rulename = 'away'") == [("A",)]


def test_a_unique_constraint_promises_order_only_as_it_stands(
    new_pg_url: Callable[[], str],
) -> None:
    """A unique constraint of the archive over the same columns lets several writers work."""
    for uniques, ordered in (((Key(columns=("id",)),), False), ((Key(columns=("a",)),), True)):
        url = new_pg_url()
        run(url, OLD)
        of = table("t", column("id"), column("a", TEXT), column("b", TEXT), uniques=uniques)
        plan, _ = load(url, database(of), {})
        assert plan.tables[0].ordered is ordered
