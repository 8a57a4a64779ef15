"""Sequences after an import: exact where the table is new, never backwards where it is not."""

from __future__ import annotations

import pytest

from dbsync.model.schema import Database, Identity, Name, Sequence
from dbsync.model.types import integer
from tests.servers import PostgresServer
from tests.unit.connectors.postgres.loading import (
    TEXT,
    column,
    database,
    load,
    query,
    run,
    table,
)

S = Name("public", "s")
T = table(
    "t",
    column("id", integer(32), "integer", identity=Identity(kind="serial", sequence=S)),
    column("a", TEXT),
    key=["id"],
    schema="public",
)


def archive(last: int | None, *, called: bool = True) -> Database:
    """Make an archive whose sequence stands at `last`."""
    sequence = Sequence(name=S, last_value=last, is_called=called)
    return database(T, engine="postgresql", sequences=(sequence,))


@pytest.mark.parametrize(
    ("stands", "archived", "ids", "expected"),
    [
        (5, 100, [1], 101),  # the archive is ahead
        (200, 100, [1], 201),  # the target is ahead
        (5, 100, [300], 301),  # the rows are ahead
        (5, None, [7], 8),  # the archive does not know
        (5, 2, [1], 6),  # nothing is ahead: it stays
    ],
)
def test_appending_only_advances(
    pg_url: str, stands: int, archived: int | None, ids: list[int], expected: int
) -> None:
    """The next number is beyond the archive's, the target's own, and every row."""
    run(
        pg_url,
        f"CREATE TABLE t (id serial PRIMARY KEY, a text); SELECT setval('t_id_seq', {stands})",
    )
    load(pg_url, archive(archived), {"t": [[(i, "x") for i in ids]]})
    assert query(pg_url, "SELECT nextval('t_id_seq')") == [(expected,)]


def test_a_new_table_gets_the_exact_position(pg_url: str) -> None:
    """A sequence that was never used is not used on the other side either."""
    load(pg_url, archive(42, called=False), {"t": [[(7, "x")]]}, ddl="portable")
    assert query(pg_url, "SELECT nextval(pg_get_serial_sequence('t', 'id'))") == [(42,)]


def test_an_overwritten_table_takes_the_archives_position(pg_url: str) -> None:
    """With all of the old rows gone, numbering goes on as in the archive."""
    run(
        pg_url,
        "CREATE TABLE t (id serial PRIMARY KEY, a text); INSERT INTO t VALUES (900, 'old'); "
        "SELECT setval('t_id_seq', 900)",
    )
    load(pg_url, archive(42), {"t": [[(7, "x")]]}, existing="overwrite")
    assert query(pg_url, "SELECT nextval('t_id_seq')") == [(43,)]


def test_descending_bounded_and_shared_sequences(pg_url: str) -> None:
    """A sequence that counts down, one at its end, and one that two tables use."""
    run(
        pg_url,
        "CREATE SEQUENCE down INCREMENT -1; CREATE SEQUENCE small MAXVALUE 10; "
        "CREATE TABLE t (id int PRIMARY KEY DEFAULT nextval('down'), a text); "
        "CREATE TABLE u (id int PRIMARY KEY DEFAULT nextval('small')); "
        "CREATE TABLE v (id int PRIMARY KEY DEFAULT nextval('small'), "
        "code text DEFAULT 'c' || nextval('small'))",
    )
    u, v = (table(name, column("id", integer(32)), schema="public") for name in "uv")
    rows = {"t": [[(-7, "x"), (3, "y")]], "u": [[(4,)]], "v": [[(6,)]]}
    load(pg_url, database(T, u, v), rows)
    assert query(pg_url, "SELECT nextval('down'), nextval('small')") == [(-8, 7)]
    load(pg_url, database(u), {"u": [[(99,)]]}, import_id="again")
    assert query(pg_url, "SELECT last_value, is_called FROM small") == [(10, True)]


def test_a_sequence_out_of_reach_is_a_loss_before_any_write(
    pg18: PostgresServer, pg_url: str
) -> None:
    """Without the right to move it, the plan says that numbers may repeat; rows still arrive."""
    run(pg_url, "CREATE TABLE t (id serial PRIMARY KEY, a text)")
    with pg18.role("poor"):
        run(
            pg_url,
            "GRANT SELECT, INSERT, UPDATE ON t TO poor; GRANT CREATE ON SCHEMA public TO poor",
        )
        url = pg18.url(pg_url.rsplit("/", 1)[1], user="poor")
        plan, _ = load(url, archive(9), {"t": [[(5, "x")]]})
    assert [loss.object for loss in plan.losses] == ["position of sequence public.t_id_seq"]
    assert query(pg_url, "TABLE t") == [(5, "x")]


def test_an_import_on_postgresql_16(pg16_url: str) -> None:
    """Create, load, upsert, staging and sequences work on an older server too."""
    load(pg16_url, archive(9), {"t": [[(1, "a"), (2, "b")]]}, ddl="portable")
    _, counts = load(pg16_url, archive(9), {"t": [[(2, "new"), (3, "c")]]}, import_id="2")
    assert (counts["t"][0].inserted, counts["t"][0].updated) == (1, 1)
    assert query(pg16_url, "TABLE t ORDER BY id") == [(1, "a"), (2, "new"), (3, "c")]
    assert query(pg16_url, "SELECT nextval(pg_get_serial_sequence('t', 'id'))") == [(10,)]
