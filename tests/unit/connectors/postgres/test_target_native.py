"""Native DDL replayed on a target: what is missing there is said first, what is there stays."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dbsync.connectors.base import ChunkId, ImportOptions, ImportPlan
from dbsync.connectors.postgres import open_source, open_target
from dbsync.errors import TargetError
from dbsync.model.schema import Database, NativeObject
from dbsync.model.selection import Selection
from tests.servers import PostgresServer
from tests.unit.connectors.postgres.loading import Stop, column, database, query, run, table

SCHEMA = """
CREATE SCHEMA app;
CREATE TYPE app.mood AS ENUM ('sad', 'ok');
CREATE DOMAIN app.small AS integer CHECK (VALUE < 1000);
CREATE SEQUENCE app.alone START 7 INCREMENT 3;
CREATE TABLE app.p (id serial PRIMARY KEY, m app.mood NOT NULL DEFAULT 'ok', n app.small,
    g int GENERATED ALWAYS AS (id * 2) STORED, t tstzrange, EXCLUDE USING gist (t WITH &&));
CREATE TABLE app.c (id bigint GENERATED ALWAYS AS IDENTITY (START 50), p int REFERENCES app.p,
    at date NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE app.c1 PARTITION OF app.c FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE app.c2 PARTITION OF app.c DEFAULT;
CREATE INDEX half ON app.p (n) WHERE n > 5;
CREATE FUNCTION app.bump() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN NEW.n = NEW.n + 1; RETURN NEW; END$$;
CREATE TRIGGER bump BEFORE INSERT ON app.p FOR EACH ROW EXECUTE FUNCTION app.bump();
CREATE VIEW app.v AS SELECT id, g FROM app.p;
CREATE MATERIALIZED VIEW app.mv AS SELECT count(*) AS n FROM app.c;
COMMENT ON COLUMN app.p.m IS 'it''s; a "comment"';
INSERT INTO app.p (m, n, t) VALUES ('sad', 1, '[2020-01-01,2021-01-01)'), ('ok', NULL, NULL);
INSERT INTO app.c (p, at) VALUES (1, '2024-05-05'), (2, '1999-01-01'), (NULL, '2024-01-01');
SELECT nextval('app.alone'), nextval('app.p_id_seq');
"""


def copy(
    source_url: str, target_url: str, *, at: Callable[[str], None] = lambda _: None, **options: Any
) -> ImportPlan:
    """Copy a database through both connectors, without an archive."""
    chosen = ImportOptions(**{"import_id": "x", "ddl": "native", **options})
    with (
        closing(open_source(source_url)) as source,
        closing(open_target(target_url)) as target,
        source.snapshot(Selection()) as snap,
    ):
        plan = target.prepare(snap.database, chosen)
        with target.load(plan, chosen) as load:
            for stage, name in load.create():
                at(f"{stage} {name}")
            done = load.committed()
            for one in plan.tables:
                if one.action == "skip" or (one.source.name, 0) in done:
                    continue
                with load.writer(one) as writer:
                    for part in snap.partitions(one.source, 1 << 30):
                        for batch in snap.read(one.source, part):
                            writer.write(batch)
                    writer.commit(ChunkId(table=one.source.name, number=0, digest="0"))
                    at(f"committed {one.source.name}")
            for stage, name in load.finalize():
                at(f"{stage} {name}")
    return plan


def dump(url: str, bin_folder: Path) -> str:
    """Describe a database's schema as pg_dump does."""
    import subprocess

    command = [str(bin_folder / "pg_dump"), "--schema-only", "--restrict-key=x", url]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.usefixtures("pg_dump18")
def test_a_copy_has_the_same_schema_rows_and_positions(
    pg18: PostgresServer, new_pg_url: Callable[[], str]
) -> None:
    """pg_dump says the same of both, rows are equal, triggers did not touch them, views work."""
    source, target = new_pg_url(), new_pg_url()
    run(source, SCHEMA)
    points: list[str] = []
    copy(source, target, at=points.append)
    # With the key in place first, rows that come in its order load fastest.
    assert points.index("constraints constraint app.p p_pkey") < points.index("committed app.p")
    assert dump(target, pg18.bin) == dump(source, pg18.bin)
    for name in ("p", "c1", "c2", "v"):
        rows = f"SELECT x::text FROM app.{name} x ORDER BY 1"
        assert query(target, rows) == query(source, rows)
    assert query(target, "SELECT n FROM app.mv") == [(3,)] or query(source, "TABLE app.mv") == [
        (0,)
    ]
    for sequence in ("alone", "p_id_seq", "c_id_seq"):
        position = f"SELECT last_value, is_called FROM app.{sequence}"
        assert query(target, position) == query(source, position)


@pytest.mark.usefixtures("pg_dump18")
def test_a_second_import_keeps_what_is_there(new_pg_url: Callable[[], str]) -> None:
    """Existing objects stay as they are, rows are upserted, and sequences do not go back."""
    source, target = new_pg_url(), new_pg_url()
    run(source, SCHEMA)
    copy(source, target)
    run(
        target,
        "CREATE OR REPLACE VIEW app.v AS SELECT id, g FROM app.p WHERE true; "
        "SELECT setval('app.alone', 100), setval('app.p_id_seq', 2, false)",
    )
    plan = copy(source, target)
    assert {p.action for p in plan.tables} == {"append"}
    assert query(target, "SELECT nextval('app.alone'), nextval('app.p_id_seq')") == [(103, 4)]
    assert query(target, "SELECT count(*) FROM app.c") == [(3,)]
    assert "WHERE true" in query(target, "SELECT pg_get_viewdef('app.v'::regclass)")[0][0]


@pytest.mark.usefixtures("pg_dump18")
def test_cut_off_at_every_step(pg18: PostgresServer, new_pg_url: Callable[[], str]) -> None:
    """Cut off at one step after another, the runs together make the same database."""
    source, target = new_pg_url(), new_pg_url()
    run(source, SCHEMA)
    points: list[str] = []
    copy(source, new_pg_url(), at=points.append)

    def stop_at(stop: str) -> Callable[[str], None]:
        def at(here: str) -> None:
            if here == stop:
                raise Stop

        return at

    for point in points[::3]:
        try:
            copy(source, target, at=stop_at(point))
        except Stop:
            continue
    if query(target, "SELECT to_regclass('public.dbsync_ledger') IS NOT NULL") == [(True,)]:
        copy(source, target)
    assert dump(target, pg18.bin) == dump(source, pg18.bin)
    assert query(target, "SELECT count(*) FROM app.p") == [(2,)]


@pytest.mark.usefixtures("pg_dump18")
def test_owners_and_grants(pg18: PostgresServer, new_pg_url: Callable[[], str]) -> None:
    """Owners that the target has are kept; missing roles are losses, known before any write."""
    source, target = new_pg_url(), new_pg_url()
    with pg18.role("own er"), pg18.role("reader"):
        run(
            source,
            'CREATE TABLE t (id int); ALTER TABLE t OWNER TO "own er"; GRANT SELECT ON t '
            "TO reader; "
            "CREATE FUNCTION \"F f\"(integer, text) RETURNS int LANGUAGE sql AS 'SELECT 1'; "
            'ALTER FUNCTION "F f"(integer, text) OWNER TO "own er"',
        )
        with closing(open_source(source)) as opened, opened.snapshot(Selection()) as snap:
            archive = snap.database
        plan = copy(source, target)
        assert plan.losses == ()
        assert dump(target, pg18.bin) == dump(source, pg18.bin)
        pg18.drop_database(source.rsplit("/", 1)[1])
        pg18.drop_database(target.rsplit("/", 1)[1])
    with closing(open_target(new_pg_url())) as opened:
        plan = opened.prepare(archive, ImportOptions(import_id="x", ddl="native"))
    found = {loss.object: loss.severity for loss in plan.losses}
    assert found == {"ownership by role own er": "changed", "acl public.TABLE t": "lost"}


def native(*objects: NativeObject) -> Database:
    """Make an archive of one table and native objects."""
    t = table("t", column("id", native="bigint"), schema="public")
    return database(t, engine="postgresql", native=objects)


def test_an_extension_that_is_not_available(pg_url: str) -> None:
    """What stands on it is a loss; a table that needs it is refused with the way out."""
    t = table("t", column("id"), schema="public")
    extension = NativeObject(
        kind="EXTENSION", name=t.name, sql="CREATE EXTENSION t", section="before_rows", provides="1"
    )
    create = NativeObject(
        kind="TABLE",
        name=t.name,
        sql="CREATE TABLE public.t (id bigint)",
        section="before_rows",
        table=t.name,
        provides="2",
        covers="table",
    )
    view = NativeObject(
        kind="VIEW",
        name=t.name,
        sql="CREATE VIEW public.v AS SELECT 1",
        section="after_rows",
        provides="3",
        requires=("1",),
    )
    with closing(open_target(pg_url)) as target:
        options = ImportOptions(import_id="x", ddl="native")
        plan = target.prepare(native(extension, create, view), options)
        assert [loss.object for loss in plan.losses] == ["extension public.t", "view public.t"]
        from msgspec.structs import replace

        needing = replace(create, requires=("1",))
        with pytest.raises(TargetError, match=r"table public\.t cannot be created") as refused:
            target.prepare(native(extension, needing, view), options)
    assert "--ddl portable" in (refused.value.hint or "")


def test_several_statements_and_dollar_quotes_in_one_object(pg_url: str) -> None:
    """An object's text is run as it is, whatever quotes and semicolons it holds."""
    t = table("t", column("id"), schema="public")
    sql = (
        "CREATE TABLE public.t (id bigint);\nCOMMENT ON TABLE public.t IS "
        "'$dbsync_body0$; END $dbsync_block0$; -- \\';\n"
        "CREATE FUNCTION public.f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; END;"
    )
    create = NativeObject(
        kind="TABLE",
        name=t.name,
        sql=sql,
        section="before_rows",
        table=t.name,
        provides="1",
        covers="table",
    )
    with closing(open_target(pg_url)) as target:
        options = ImportOptions(import_id="x", ddl="native")
        plan = target.prepare(native(create), options)
        with target.load(plan, options) as load:
            list(load.create())
            list(load.finalize())
    assert query(pg_url, "SELECT public.f()") == [(1,)]
    comment = query(pg_url, "SELECT obj_description('public.t'::regclass)")
    assert comment == [("$dbsync_body0$; END $dbsync_block0$; -- \\",)]


def test_native_ddl_keeps_its_schemas(pg_url: str) -> None:
    """--schema cannot move native DDL, and a table without any is refused."""
    of = native()
    options = ImportOptions(import_id="x", ddl="native")
    for schema, message in ((None, r"no native DDL for table public\.t"), ("z", r"and not z\.t")):
        with (
            closing(open_target(pg_url, schema=schema)) as target,
            pytest.raises(TargetError, match=message),
        ):
            target.prepare(of, options)
