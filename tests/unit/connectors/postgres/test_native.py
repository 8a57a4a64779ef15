"""Native DDL: replayed into an empty database it gives what pg_dump shows of the original."""

from __future__ import annotations

import re
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from dbsync.connectors.postgres import pg_dump as pg_dump_module
from dbsync.connectors.postgres.connection import parse_url
from dbsync.connectors.postgres.pg_dump import PgDumpError, find_pg_dump, run_pg_dump
from dbsync.connectors.postgres.toc import TocError, parse
from dbsync.model.schema import Database, Name
from tests.servers import PASSWORD, PostgresServer
from tests.unit.connectors.postgres.reading import public, snapshot

COMMON = """
CREATE SCHEMA other;
CREATE TYPE mood AS ENUM ('sad', 'o''k');
CREATE TYPE other.pair AS (a int, b text);
CREATE TYPE span AS RANGE (subtype = numeric);
CREATE DOMAIN positive AS int DEFAULT 1 CHECK (VALUE > 0);
CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE PROCEDURE nothing(x int) LANGUAGE sql AS 'SELECT 1';
CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');
CREATE SEQUENCE free AS smallint INCREMENT -2 MINVALUE -100 MAXVALUE 7 START 5 CYCLE;
CREATE TABLE parent (
    id bigint GENERATED ALWAYS AS IDENTITY (START 10 INCREMENT 5) PRIMARY KEY,
    code varchar(9) COLLATE "POSIX" DEFAULT 'x''y' UNIQUE,
    m mood DEFAULT 'sad', p other.pair, s span, pos positive, arr int[] DEFAULT '{1,2}',
    doubled int GENERATED ALWAYS AS (twice(3)) STORED,
    CONSTRAINT sane CHECK (pos < 1000)
) WITH (fillfactor = 70);
CREATE TABLE child (
    id serial PRIMARY KEY, parent_id bigint NOT NULL, note text, during tsrange,
    n int DEFAULT nextval('free'),
    CONSTRAINT fk FOREIGN KEY (parent_id) REFERENCES parent ON DELETE CASCADE DEFERRABLE,
    CONSTRAINT later UNIQUE (note) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT apart EXCLUDE USING gist (during WITH &&)
);
ALTER TABLE child ADD CONSTRAINT unchecked CHECK (n > 0) NOT VALID;
CREATE INDEX lower_note ON child (lower(note) text_pattern_ops DESC) WHERE id > 3;
CREATE INDEX with_note ON child (parent_id) INCLUDE (note);
CREATE STATISTICS both_of (dependencies) ON parent_id, n FROM child;
CREATE TABLE parts (id int, at date NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE parts_old PARTITION OF parts FOR VALUES FROM (MINVALUE) TO ('2020-01-01');
CREATE TABLE parts_new PARTITION OF parts DEFAULT PARTITION BY HASH (id);
CREATE TABLE parts_new_0 PARTITION OF parts_new FOR VALUES WITH (MODULUS 1, REMAINDER 0);
CREATE INDEX parts_at ON parts (at);
CREATE TABLE base (id int, CHECK (id > 0));
CREATE TABLE derived (more text) INHERITS (base);
CREATE UNLOGGED TABLE quick (id int);
CREATE TABLE typed OF other.pair (a WITH OPTIONS NOT NULL);
CREATE VIEW grouped WITH (security_barrier = true) AS
    SELECT p.id, p.code, count(*) FROM parent p JOIN child c ON c.parent_id = p.id GROUP BY p.id;
CREATE VIEW over_view AS SELECT id, twice(id::int) FROM grouped;
CREATE MATERIALIZED VIEW filled AS SELECT id, total(1) FROM parent GROUP BY id;
CREATE UNIQUE INDEX filled_id ON filled (id);
CREATE MATERIALIZED VIEW unfilled AS SELECT id FROM filled WITH NO DATA;
CREATE FUNCTION of_view() RETURNS SETOF grouped LANGUAGE sql AS 'SELECT * FROM public.grouped';
CREATE TRIGGER touch BEFORE UPDATE ON child FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER asleep AFTER INSERT ON parts FOR EACH ROW EXECUTE FUNCTION touch();
ALTER TABLE child DISABLE TRIGGER touch;
CREATE RULE silent AS ON DELETE TO quick DO INSTEAD NOTHING;
CREATE POLICY mine ON child AS RESTRICTIVE FOR SELECT USING (n > 0);
ALTER TABLE child ENABLE ROW LEVEL SECURITY;
ALTER TABLE child FORCE ROW LEVEL SECURITY;
COMMENT ON TABLE parent IS 'it''s; a -- comment';
COMMENT ON COLUMN parent.code IS E'two\\nlines';
COMMENT ON INDEX lower_note IS 'an index';
COMMENT ON FUNCTION twice(int) IS 'a function';
COMMENT ON TYPE mood IS 'a type';
COMMENT ON CONSTRAINT sane ON parent IS 'a constraint';
COMMENT ON SCHEMA other IS 'a schema';
"""
"""What both ways of getting DDL carry."""

DUMP_ONLY = """
CREATE EXTENSION vector SCHEMA other;
CREATE TABLE embedded (v other.vector(3));
CREATE COLLATION twisted (provider = libc, locale = 'C');
CREATE TEXT SEARCH CONFIGURATION plain (COPY = simple);
CREATE FUNCTION same(mood, mood) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT true';
CREATE OPERATOR === (LEFTARG = mood, RIGHTARG = mood, FUNCTION = same);
CREATE CAST (mood AS other.pair) WITH INOUT;
CREATE FUNCTION watch() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$;
CREATE EVENT TRIGGER watcher ON ddl_command_end EXECUTE FUNCTION watch();
COMMENT ON EVENT TRIGGER watcher IS 'an event trigger';
CREATE FOREIGN DATA WRAPPER wrapper;
CREATE SERVER far FOREIGN DATA WRAPPER wrapper OPTIONS (host 'h');
CREATE USER MAPPING FOR postgres SERVER far OPTIONS (password 'mapped-secret');
CREATE FOREIGN TABLE distant (id int DEFAULT 3) SERVER far;
CREATE PUBLICATION pub FOR TABLE parent, child;
GRANT SELECT ON parent TO PUBLIC;
GRANT UPDATE (note) ON child TO PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA other GRANT SELECT ON TABLES TO PUBLIC;
ALTER TABLE parent ALTER code SET STORAGE EXTERNAL, ALTER code SET STATISTICS 55;
ALTER TABLE child REPLICA IDENTITY FULL;
ALTER TABLE child CLUSTER ON with_note;
CREATE FUNCTION standard(x int) RETURNS int LANGUAGE sql RETURN x + (SELECT count(*) FROM parent);
"""


def _name(url: str) -> str:
    return url.rsplit("/", 1)[1]


def _ddl(server: PostgresServer, url: str) -> str:
    command = [str(server.bin / "pg_dump"), "--schema-only", url]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return re.sub(r"^\\(un)?restrict .*$", "", done.stdout, flags=re.MULTILINE)


def _statements(dump: str) -> list[str]:
    """Split a dump into what stands under each of its headings, in an order of its own."""
    body = dump.replace("-- PostgreSQL database dump complete", "")
    return sorted(part.strip("- \n") for part in re.split(r"^-- Name: ", body, flags=re.MULTILINE))


def _replay(server: PostgresServer, url: str, database: Database) -> None:
    """Run the objects of one section after the other, as the target does."""
    connection = server.connect(_name(url))
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET search_path = ''; SET check_function_bodies = off")
            for section in ("before_rows", "after_rows"):
                for item in database.native:
                    if item.section == section:
                        cursor.execute(item.sql)
    finally:
        connection.close()


def _capture(url: str, **selection: object) -> Database:
    with snapshot(url, **selection) as snap:  # type: ignore[arg-type]
        return snap.database


def test_pg_dump_brings_everything_back(
    pg18: PostgresServer, new_pg_url: Callable[[], str], pg_dump18: Path
) -> None:
    """About sixty features: the dump of the copy is the dump of the original, to the byte."""
    source, target = new_pg_url(), new_pg_url()
    pg18.execute(COMMON + DUMP_ONLY, _name(source))
    database = _capture(source)
    assert database.details["native_ddl"].startswith("pg_dump 18.")
    _replay(pg18, target, database)
    original = _ddl(pg18, source)
    without_mapping = re.sub(
        r"--\n-- Name: USER MAPPING.*?\);\n\n\n", "", original, flags=re.DOTALL
    )
    assert without_mapping != original
    assert _ddl(pg18, target) == without_mapping
    assert "mapped-secret" not in repr(database)
    tables = {table.name for table in database.tables}
    assert {item.table for item in database.native} <= tables | {None}
    assert [loss.object for loss in database.losses] == [
        "rows of foreign table public.distant",
        "user mapping of postgres for server far",
    ]


def test_the_catalog_alone_brings_most_back(
    pg18: PostgresServer, new_pg_url: Callable[[], str], no_pg_dump: None
) -> None:
    """Without pg_dump the same DDL comes from the server's own functions, in a working order."""
    source, target = new_pg_url(), new_pg_url()
    pg18.execute(COMMON, _name(source))
    database = _capture(source)
    assert database.details["native_ddl"].startswith("catalog (")
    assert [loss.object for loss in database.losses] == []
    _replay(pg18, target, database)
    left, right = _statements(_ddl(pg18, source)), _statements(_ddl(pg18, target))
    assert [s for s in left if s not in right] == []
    assert [s for s in right if s not in left] == []


def test_what_the_catalog_cannot_give_is_reported(
    pg18: PostgresServer, new_pg_url: Callable[[], str], no_pg_dump: None
) -> None:
    """Each kind that only pg_dump carries is a loss, with how many there are."""
    source = new_pg_url()
    pg18.execute(COMMON + DUMP_ONLY, _name(source))
    losses = {loss.object for loss in _capture(source).losses}
    assert {
        "2 rights (GRANT)",
        "1 default rights",
        "1 casts",
        "1 operators",
        "1 collations",
        "1 text search objects",
        "1 foreign servers",
        "1 foreign tables",
        "1 publications",
        "1 event triggers",
        "1 replica identities",
        "1 column storage and statistics settings",
    } <= losses


@pytest.mark.parametrize("with_dump", [True, False])
def test_every_object_says_what_it_belongs_to(
    pg18: PostgresServer,
    new_pg_url: Callable[[], str],
    pg_dump18: Path,
    monkeypatch: pytest.MonkeyPatch,
    with_dump: bool,
) -> None:
    """Tables, what of the model is covered, sections, owners, and an order by dependency."""
    if not with_dump:
        monkeypatch.setenv("DBSYNC_PG_DUMP", "/nonexistent/pg_dump")
    source = new_pg_url()
    pg18.execute(COMMON, _name(source))
    database = _capture(source)
    objects = {(o.kind, o.name.name): o for o in database.native}

    def facts(kind: str, name: str) -> tuple[str | None, str | None, str]:
        item = objects[kind, name]
        return (str(item.table) if item.table else None, item.covers, item.section)

    assert facts("TABLE", "parent") == ("public.parent", "table", "before_rows")
    assert facts("TABLE", "parts_old") == ("public.parts", None, "before_rows")
    assert facts("TABLE ATTACH", "parts_old") == ("public.parts", "table", "before_rows")
    assert facts("CONSTRAINT", "parent parent_pkey") == (
        "public.parent", "primary_key", "after_rows",
    )  # fmt: skip
    assert facts("CONSTRAINT", "child later") == ("public.child", "unique", "after_rows")
    assert facts("CONSTRAINT", "child apart") == ("public.child", None, "after_rows")
    assert facts("FK CONSTRAINT", "child fk") == ("public.child", "foreign_key", "after_rows")
    assert facts("CHECK CONSTRAINT", "child unchecked") == ("public.child", None, "after_rows")
    assert facts("INDEX", "lower_note") == ("public.child", "index", "after_rows")
    assert facts("INDEX", "filled_id") == (None, None, "after_rows")
    assert facts("TRIGGER", "child touch") == ("public.child", None, "after_rows")
    assert facts("TYPE", "mood") == (None, None, "before_rows")
    assert facts("SEQUENCE", "child_id_seq") == ("public.child", "sequence", "before_rows")
    assert facts("SEQUENCE OWNED BY", "child_id_seq")[:2] == ("public.child", "sequence")
    assert facts("SEQUENCE", "free") == (None, "sequence", "before_rows")
    assert facts("COMMENT", "TABLE parent")[:2] == ("public.parent", "table")
    assert facts("VIEW", "grouped")[:2] == (None, None)
    assert facts("MATERIALIZED VIEW DATA", "filled") == (None, None, "after_rows")
    assert ("MATERIALIZED VIEW DATA", "unfilled") not in objects
    assert objects["TABLE", "parent"].owner == "postgres"
    assert not any(item.sql.lstrip().startswith("\\") for item in database.native)
    seen: set[str] = set()
    for item in database.native:
        assert item.provides
        assert item.provides not in seen
        assert item.provides not in item.requires
        seen.add(item.provides)
    assert all(set(item.requires) <= seen for item in database.native)


@pytest.mark.parametrize("with_dump", [True, False])
def test_a_selection_takes_along_only_what_can_be_made(
    pg18: PostgresServer,
    new_pg_url: Callable[[], str],
    pg_dump18: Path,
    monkeypatch: pytest.MonkeyPatch,
    with_dump: bool,
) -> None:
    """Objects of other tables stay away quietly, those that need one become losses."""
    if not with_dump:
        monkeypatch.setenv("DBSYNC_PG_DUMP", "/nonexistent/pg_dump")
    source, target = new_pg_url(), new_pg_url()
    pg18.execute(COMMON, _name(source))
    database = _capture(source, exclude=("parent",))
    names = {(o.kind, o.name.name) for o in database.native}
    assert ("TABLE", "child") in names
    assert ("FUNCTION", "twice(integer)") in names
    assert ("TABLE", "parent") not in names
    assert ("CONSTRAINT", "parent parent_pkey") not in names
    assert ("VIEW", "grouped") not in names
    losses = {loss.object for loss in database.losses}
    assert {"foreign key fk of table public.child", "view public.grouped"} <= losses
    assert {"materialized view public.filled", "view public.over_view"} <= losses
    assert not any("parent_pkey" in loss for loss in losses)
    assert {s.name for s in database.sequences} == {public("free"), public("child_id_seq")}
    _replay(pg18, target, database)
    for copied, original in zip(_capture(target).tables, database.tables, strict=True):
        assert replace(copied, bytes_estimate=0) == replace(original, bytes_estimate=0)


def test_tables_out_of_reach_do_not_stop_pg_dump(
    pg18: PostgresServer, pg_url: str, pg_dump18: Path
) -> None:
    """A role that may read only some tables still gets native DDL for those."""
    name = _name(pg_url)
    pg18.execute('CREATE TABLE open (id int); CREATE TABLE "clo.s""ed*" (id int)', name)
    with pg18.role("half") as role:
        pg18.execute("GRANT SELECT ON open TO half", name)
        database = _capture(pg18.url(name, user=role), tables=("open",))
    assert database.details["native_ddl"].startswith("pg_dump")
    assert [o.name for o in database.native if o.kind == "TABLE"] == [public("open")]


def test_a_pg_dump_that_is_too_old_is_not_used(
    pg18: PostgresServer, pg16: PostgresServer, pg_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Version 16 does not dump a server of version 18; the reason stands in the details."""
    monkeypatch.setenv("DBSYNC_PG_DUMP", str(pg16.bin / "pg_dump"))
    details = _capture(pg_url).details
    assert re.match(r"catalog \(pg_dump 16\.\d+ is older than the server", details["native_ddl"])


def test_the_first_fitting_pg_dump_is_taken(
    pg18: PostgresServer, pg16: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PATH comes first, then Debian's newest; none is too old, and a broken one is no error."""
    installed = {"8.4": None, "16": pg16, "18": pg18, "19": None}
    for version, server in installed.items():
        folder = tmp_path / version / "bin"
        folder.mkdir(parents=True)
        (folder / "pg_dump").symlink_to(server.bin / "pg_dump" if server else "/nonexistent")
    monkeypatch.setattr(pg_dump_module, "_DEBIAN", tmp_path)
    monkeypatch.delenv("DBSYNC_PG_DUMP", raising=False)

    def found(server_major: int, path: Path) -> Path | None:
        monkeypatch.setenv("PATH", str(path))
        dump, _ = find_pg_dump(server_major)
        return dump.path.parent if dump else None

    assert found(16, pg16.bin) == pg16.bin
    assert found(18, pg16.bin) == tmp_path / "18" / "bin"
    assert found(16, tmp_path) == tmp_path / "18" / "bin"
    assert found(20, pg18.bin) is None
    monkeypatch.setattr(pg_dump_module, "_DEBIAN", tmp_path / "19")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_pg_dump(14) == (None, "pg_dump is not installed")


def test_the_password_is_in_no_argument_and_no_message(
    pg18: PostgresServer, pg_url: str, tmp_path: Path
) -> None:
    """pg_dump gets it from a private file that is gone afterwards."""
    seen = tmp_path / "seen"
    fake = tmp_path / "pg_dump"
    fake.write_text(
        f'#!/bin/sh\n{{ echo "$@"; stat -c %a "$PGPASSFILE"; echo "$PGPASSFILE"; env; }} > {seen}\n'
        f'exec {pg18.bin}/pg_dump "$@"\n'
    )
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    dump = pg_dump_module.PgDump(path=fake, version="18.4", major=18)
    with snapshot(pg_url) as snap:
        token = snap.consistency.token or ""
        data = run_pg_dump(dump, parse_url(pg_url), _name(pg_url), token)
    assert parse(data).server_version.startswith("18.")
    arguments, mode, path, *_ = seen.read_text().splitlines()
    assert "--schema-only" in arguments
    assert mode == "600"
    assert not Path(path).exists()
    assert PASSWORD not in seen.read_text()
    wrong = parse_url(pg_url.replace("S3cr3t", "Wrong-S3cr3t"))
    with pytest.raises(PgDumpError, match="authentication failed") as caught:
        run_pg_dump(dump, wrong, _name(pg_url), token)
    assert "S3cr3t" not in str(caught.value)


def test_a_pg_dump_that_fails_leaves_the_catalog(
    pg18: PostgresServer, pg_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash or garbage instead of a dump falls back, and says why."""
    fake = tmp_path / "pg_dump"
    for body, reason in (
        ("echo 'pg_dump: error: no luck' >&2; exit 1", "no luck"),
        ('for a in "$@"; do case $a in --file=*) echo x > "${a#--file=}";; esac; done', "early"),
    ):
        fake.write_text(
            f'#!/bin/sh\n[ "$1" = --version ] && echo "pg_dump (PostgreSQL) 18.4" && exit\n{body}\n'
        )
        fake.chmod(0o755)
        monkeypatch.setenv("DBSYNC_PG_DUMP", str(fake))
        details = _capture(pg_url).details
        assert details["native_ddl"].startswith("catalog (pg_dump 18.4 failed")
        assert reason in details["native_ddl"]


def _dump(program: Path, url: str) -> bytes:
    command = [str(program), "-Fc", "--schema-only", url]
    return subprocess.run(command, capture_output=True, check=True).stdout


def test_the_table_of_contents_agrees_with_pg_restore(
    pg18: PostgresServer, pg16: PostgresServer, pg_url: str, pg16_url: str, tmp_path: Path
) -> None:
    """Archive versions 1.15 and 1.16: the same entries as pg_restore lists, and the same SQL."""
    pg18.execute(COMMON + DUMP_ONLY, _name(pg_url))
    pg16.execute("CREATE TABLE t (id serial PRIMARY KEY, x text); CREATE VIEW v AS SELECT 1",
                 _name(pg16_url))  # fmt: skip
    for program, url, version in (
        (pg18.bin / "pg_dump", pg_url, (1, 16, 0)),
        (pg16.bin / "pg_dump", pg16_url, (1, 15, 0)),
        (pg18.bin / "pg_dump", pg16_url, (1, 16, 0)),
    ):
        file = tmp_path / "x.dump"
        file.write_bytes(_dump(program, url))
        toc = parse(file.read_bytes())
        assert toc.version == version
        listed = subprocess.run(
            [str(pg18.bin / "pg_restore"), "--list", str(file)],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        expected = [line for line in listed.splitlines() if re.match(r"\d+; ", line)]
        hidden = ("ENCODING", "STDSTRINGS", "SEARCHPATH", "DATABASE")
        assert expected == [
            f"{e.number}; {e.catalog} {e.oid} {e.kind} {e.namespace or '-'} {e.tag} {e.owner or ''}"
            for e in toc.entries
            if e.kind not in hidden
        ]
        script = subprocess.run(
            [str(pg18.bin / "pg_restore"), "-f", "-", str(file)],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        missing = [e.kind for e in toc.entries if e.sql.strip() not in script]
        assert set(missing) <= {"DATABASE", "STDSTRINGS"}


def test_a_table_of_contents_that_is_cut_is_refused(pg18: PostgresServer, pg_url: str) -> None:
    """At every length short of the whole, with an error of its own and without hanging."""
    pg18.execute("CREATE TABLE t (id serial PRIMARY KEY)", _name(pg_url))
    data = _dump(pg18.bin / "pg_dump", pg_url)
    parse(data)
    for length in range(len(data)):
        with pytest.raises(TocError):
            parse(data[:length])


def test_a_damaged_table_of_contents_never_breaks_the_reader(
    pg18: PostgresServer, pg_url: str
) -> None:
    """Any byte may be wrong: the result is a refusal or another table of contents, no crash."""
    pg18.execute("CREATE TABLE t (id int)", _name(pg_url))
    data = _dump(pg18.bin / "pg_dump", pg_url)
    refused = 0
    for at in range(len(data)):
        for bit in (0x01, 0x80):
            damaged = bytearray(data)
            damaged[at] ^= bit
            try:
                parse(bytes(damaged))
            except TocError:
                refused += 1
    assert refused > len(data) / 4
    with pytest.raises(TocError, match=r"version 1\.17"):
        parse(data[:6] + b"\x11" + data[7:])


def test_sakila_comes_back_from_both(
    pg18: PostgresServer,
    sakila_url: str,
    new_pg_url: Callable[[], str],
    pg_dump18: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Sakila's DDL is identical after pg_dump, and but for rights on public after the catalog."""
    first, second = new_pg_url(), new_pg_url()
    original = _ddl(pg18, sakila_url)
    _replay(pg18, first, _capture(sakila_url))
    assert _ddl(pg18, first) == original
    monkeypatch.setenv("DBSYNC_PG_DUMP", "/nonexistent/pg_dump")
    database = _capture(sakila_url)
    assert [loss.object for loss in database.losses] == ["1 rights (GRANT)"]
    _replay(pg18, second, database)
    missing = set(_statements(original)) - set(_statements(_ddl(pg18, second)))
    assert [part for part in missing if not part.startswith("SCHEMA public; Type: ACL")] == []
    assert Name("public", "film") in {t.name for t in database.tables}
