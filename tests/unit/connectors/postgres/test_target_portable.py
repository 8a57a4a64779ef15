"""Portable DDL on PostgreSQL: names, types, keys, defaults, and a loss for everything else."""

from __future__ import annotations

from typing import Any

import psycopg2
import pytest

from dbsync.connectors.base import ImportOptions, ImportPlan
from dbsync.connectors.postgres import open_target
from dbsync.model.schema import (
    Check,
    Database,
    Default,
    ForeignKey,
    Generated,
    Identity,
    Index,
    IndexColumn,
    Key,
    Name,
    NativeObject,
    Sequence,
)
from dbsync.model.types import LogicalType, integer
from tests.unit.connectors.postgres.loading import (
    INT,
    TEXT,
    column,
    database,
    load,
    query,
    run,
    table,
)

HOSTILE = 'we"ird %s %(x)s :y {z} $1\\ \n😀'


def planned(url: str, of: Database, **options: Any) -> ImportPlan:
    """Plan a portable import."""
    target = open_target(url)
    try:
        return target.prepare(of, ImportOptions(import_id="x", ddl="portable", **options))
    finally:
        target.close()


def losses(plan: ImportPlan) -> dict[str, str]:
    """Map what is lost to the reason."""
    return {loss.object: loss.reason for loss in plan.losses}


def test_hostile_names_and_texts_arrive_as_they_are(pg_url: str) -> None:
    """Quotes, percent signs, newlines, emoji in every name, comment, label and default."""
    enum = LogicalType(name="enum", labels=(HOSTILE, "b"))
    t = table(
        HOSTILE,
        column("id", nullable=False),
        column(HOSTILE, TEXT, default=Default(kind="literal", value=HOSTILE), comment=HOSTILE),
        column("e" + HOSTILE, enum, default=Default(kind="literal", value=HOSTILE)),
        schema=HOSTILE,
        primary_key=Key(columns=("id",), name="pk" + HOSTILE),
        uniques=(Key(columns=(HOSTILE,), name="u" + HOSTILE),),
        indexes=(Index(name="i" + HOSTILE, columns=(IndexColumn(column=HOSTILE),)),),
        checks=(Check(expression="id > 0", name="c" + HOSTILE),),
        comment=HOSTILE,
    )
    load(pg_url, database(t), {HOSTILE: [[(1, "y", "b"), (2, "x", HOSTILE)]]}, ddl="portable")
    quoted = '"' + HOSTILE.replace('"', '""') + '"'
    run(pg_url, f"INSERT INTO {quoted}.{quoted} (id) VALUES (3)")
    rows = query(pg_url, f"SELECT * FROM {quoted}.{quoted} ORDER BY id")
    assert rows == [(1, "y", "b"), (2, "x", HOSTILE), (3, HOSTILE, HOSTILE)]
    comments = query(pg_url, "SELECT description FROM pg_description WHERE objoid > 16384")
    assert comments == [(HOSTILE,), (HOSTILE,)]
    names = query(pg_url, "SELECT conname FROM pg_constraint WHERE contype <> 'n' ORDER BY 1")
    assert [n for (n,) in names if HOSTILE in n] == [
        f"{kind}{HOSTILE}" for kind in ("c", "pk", "u")
    ]
    load(pg_url, database(t), {HOSTILE: [[(1, "new", "b")]]})
    assert query(pg_url, f"SELECT {quoted} FROM {quoted}.{quoted} WHERE id = 1") == [("new",)]


def test_keys_references_and_indexes_are_there(pg_url: str) -> None:
    """Constraints hold after the import as they held in the source."""
    parent = table("parent", column("a"), column("b"), key=["a", "b"])
    child = table(
        "child",
        column("id", identity=Identity(kind="autoincrement"), nullable=False),
        column("a"),
        column("b"),
        key=["id"],
        foreign_keys=(
            ForeignKey(
                columns=("a", "b"),
                referred=Name(None, "parent"),
                referred_columns=("a", "b"),
                name="fk",
                on_delete="cascade",
                deferrable=True,
                initially_deferred=True,
                match_full=True,
            ),
        ),
        uniques=(Key(columns=("b",), nulls_distinct=False, deferrable=True, name="uk"),),
        indexes=(
            Index(
                name="ix",
                unique=True,
                columns=(IndexColumn(column="a", descending=True), IndexColumn(column="b")),
            ),
        ),
    )
    rows = {"parent": [[(1, 2)]], "child": [[(5, 1, 2), (9, None, None)]]}
    load(pg_url, database(child, parent), rows, ddl="portable")
    found = query(
        pg_url, "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conname ~ 'k$'"
    )
    assert dict(found)["fk"] == (
        "FOREIGN KEY (a, b) REFERENCES parent(a, b) MATCH FULL ON DELETE CASCADE "
        "DEFERRABLE INITIALLY DEFERRED"
    )
    assert dict(found)["uk"] == "UNIQUE NULLS NOT DISTINCT (b) DEFERRABLE"
    assert query(pg_url, "SELECT pg_get_indexdef('ix'::regclass)") == [
        ("CREATE UNIQUE INDEX ix ON public.child USING btree (a DESC, b)",)
    ]
    assert query(pg_url, "SELECT nextval(pg_get_serial_sequence('child', 'id'))") == [(10,)]


def test_defaults_by_kind(pg_url: str) -> None:
    """Literals and portable functions become defaults; everything else is a named loss."""
    moment = LogicalType(name="timestamp")
    cases = {
        "n": (INT, Default(kind="literal", value="-5"), -5),
        "s": (TEXT, Default(kind="literal", value="it's \\n %"), "it's \\n %"),
        "b": (LogicalType(name="boolean"), Default(kind="literal", value="true"), True),
        "bin": (LogicalType(name="binary"), Default(kind="literal", value="\\x00ff"), b"\x00\xff"),
        "d": (LogicalType(name="date"), Default(kind="literal", value="2024-02-29"), None),
        "now": (moment, Default(kind="function", value="current_timestamp"), None),
        "today": (LogicalType(name="date"), Default(kind="function", value="current_date"), None),
        "time": (LogicalType(name="time"), Default(kind="function", value="current_time"), None),
        "u": (LogicalType(name="uuid"), Default(kind="function", value="random_uuid"), None),
    }
    lost = {
        "native": (INT, Default(kind="native", value="abs(-1)")),
        "wrong": (INT, Default(kind="literal", value="abc")),
        "never": (LogicalType(name="date"), Default(kind="literal", value="2024-02-30")),
        "json": (LogicalType(name="json"), Default(kind="literal", value="{")),
    }
    columns = [column(name, kind, default=default) for name, (kind, default, _) in cases.items()]
    columns += [column(name, kind, default=default) for name, (kind, default) in lost.items()]
    of = database(table("t", *columns))
    assert [name for name in losses(planned(pg_url, of)) if "column t." in name] == [
        f"column t.{name}" for name in lost
    ]
    load(pg_url, of, {}, ddl="portable")
    run(pg_url, "INSERT INTO t DEFAULT VALUES")
    (row,) = query(pg_url, "TABLE t")
    for found, (name, (_, _, expected)) in zip(row, cases.items(), strict=False):
        value = bytes(found) if isinstance(found, memoryview) else found
        assert value == expected if expected is not None else value is not None, name
    assert row[len(cases) :] == (None,) * len(lost)


def test_every_attribute_that_is_not_carried_is_named(pg_url: str) -> None:
    """The loss report of a portable import names each object and attribute, one by one."""
    t = table(
        "t",
        column("id", integer(64, unsigned=True), identity=Identity(kind="autoincrement")),
        column("g", INT, generated=Generated(expression="id + 1")),
        column("c", TEXT, collation="NOCASE"),
        column("j", LogicalType(name="json")),
        column("x", LogicalType(name="native"), native="geometry"),
        key=["id"],
        checks=(Check(expression="length(c) > 1", name="chk"),),
        indexes=(
            Index(name="expr", columns=(IndexColumn(expression="lower(c)"),), portable=False),
            Index(name="on_json", columns=(IndexColumn(column="j"),)),
        ),
        foreign_keys=(
            ForeignKey(
                columns=("g",), referred=Name(None, "gone"), referred_columns=("x",), name="f"
            ),
            ForeignKey(columns=("g",), referred=Name(None, "u"), referred_columns=("v",), name="n"),
            ForeignKey(
                columns=("c",), referred=Name(None, "u"), referred_columns=("id",), name="m"
            ),
        ),
    )
    u = table("u", column("id"), column("v"), key=["id"])
    view = NativeObject(kind="VIEW", name=Name(None, "w"), sql="...", section="after_rows")
    covered = NativeObject(
        kind="TABLE", name=Name(None, "t"), sql="...", section="before_rows", covers="table"
    )
    found = losses(planned(pg_url, database(t, u, native=(view, covered))))
    assert set(found) == {
        "column t.id",
        "column t.g",
        "column t.c",
        "column t.x",
        "check chk of table t",
        "index expr of table t",
        "index on_json of table t",
        "foreign key f of table t",
        "foreign key n of table t",
        "foreign key m of table t",
        "view w",
    }
    load(pg_url, database(t, u), {"t": [[(1, 2, "c", "{}", "x")]]}, ddl="portable")
    assert query(pg_url, "SELECT id::int, g, x FROM t") == [(1, 2, "x")]


def test_names_that_are_taken_or_too_long_are_replaced(pg_url: str) -> None:
    """Keys and indexes share one space of names with tables; a replaced name is reported."""
    run(pg_url, "CREATE TABLE taken (x int); CREATE TABLE t_pkey (x int)")
    long = "i" * 70
    t = table(
        "t",
        column("id", nullable=False),
        column("a"),
        key=["id"],
        uniques=(Key(columns=("a",), name="taken"),),
        indexes=(
            Index(name=long, columns=(IndexColumn(column="a"),)),
            Index(name="u", columns=(IndexColumn(column="a"),)),
        ),
    )
    u = table("u", column("id"))
    of = database(t, u)
    found = losses(planned(pg_url, of))
    assert set(found) == {
        "constraint taken of table t",
        f"index {long} of table t",
        "index u of table t",
    }
    load(pg_url, of, {}, ddl="portable")
    indexes = {
        n for (n,) in query(pg_url, "SELECT indexname FROM pg_indexes WHERE tablename = 't'")
    }
    assert {"t_pkey_1", "taken_1", "u_1"} < indexes
    assert len(indexes) == 4


def test_enums_are_made_beside_what_is_there(pg_url: str) -> None:
    """An enum of the same name stays as it is; columns of one source type share the new one."""
    run(pg_url, "CREATE TYPE mood AS ENUM ('other')")
    mood = LogicalType(name="enum", labels=("sad", "ok"))
    of = database(
        table(
            "t", column("a", mood, "public.mood"), column("b", mood, "public.mood"), schema="public"
        ),
        table(
            "u",
            column("m", LogicalType(name="array", element=mood), "public.mood[]"),
            schema="public",
        ),
        engine="postgresql",
    )
    rows = {"t": [[("ok", "sad")]], "u": [[("{ok,sad}",)]]}
    load(pg_url, of, rows, ddl="portable")
    found = query(pg_url, "SELECT pg_typeof(a)::text, pg_typeof(b)::text, a < b FROM t")
    assert found == [("mood_1", "mood_1", False)]
    assert query(pg_url, "SELECT pg_typeof(m)::text, m::text FROM u") == [("mood_1[]", "{ok,sad}")]


def test_a_native_type_that_the_target_has_is_kept(pg_url: str) -> None:
    """From PostgreSQL to PostgreSQL types stay; text that is no type is never run."""
    native = LogicalType(name="native")
    evil = "int); DROP TABLE precious; --"
    run(pg_url, "CREATE TABLE precious (x int)")
    of = database(
        table(
            "t",
            column("i", native, "inet"),
            column("c", LogicalType(name="string", length=4), "character(4)"),
            column("e", native, evil),
        ),
        engine="postgresql",
    )
    load(pg_url, of, {"t": [[("10.0.0.1/24", "ab  ", "x")]]}, ddl="portable")
    assert query(
        pg_url, "SELECT pg_typeof(i)::text, pg_typeof(c)::text, pg_typeof(e)::text FROM t"
    ) == [("inet", "character", "text")]
    run(pg_url, "TABLE precious")


def test_sequences_and_identity_options(pg_url: str) -> None:
    """Identity columns keep their options, and sequences that stand alone are made."""
    s = Name("public", "s")
    alone = Name("public", "alone")
    t = table(
        "t",
        column("id", INT, "bigint", nullable=False, identity=Identity(kind="always", sequence=s)),
        schema="public",
    )
    of = database(
        t,
        engine="postgresql",
        sequences=(
            Sequence(
                name=s, start=100, increment=10, minimum=100, maximum=900, cycle=True, cache=5,
                last_value=150, is_called=True, owner_table=t.name, owner_column="id",
            ),
            Sequence(
                name=alone, data_type="integer", start=-5, increment=-5, minimum=-50, maximum=-5,
                last_value=-20, is_called=False,
            ),
        ),
    )  # fmt: skip
    load(pg_url, of, {"t": [[(140,)]]}, ddl="portable")
    assert query(pg_url, "SELECT nextval(pg_get_serial_sequence('t', 'id'))") == [(160,)]
    options = (
        "SELECT seqstart, seqincrement, seqmin, seqmax, seqcycle FROM pg_sequence "
        "WHERE seqrelid = {}::regclass"
    )
    assert query(pg_url, options.format("pg_get_serial_sequence('t', 'id')")) == [
        (100, 10, 100, 900, True)
    ]
    assert query(pg_url, options.format("'alone'")) == [(-5, -5, -50, -5, False)]
    assert query(pg_url, "SELECT nextval('alone'), nextval('alone')") == [(-20, -25)]
    with pytest.raises(psycopg2.errors.GeneratedAlways):
        run(pg_url, "INSERT INTO t (id) VALUES (1)")


def test_a_partitioned_table_becomes_one_table(pg_url: str) -> None:
    """Without native DDL the rows of all partitions arrive in one table, and that is said."""
    of = database(
        table("t", column("id"), schema="public", details={"partition_key": "RANGE (id)"}),
        engine="postgresql",
    )
    assert "without partitions" in losses(planned(pg_url, of))["table public.t"]
    load(pg_url, of, {"t": [[(1,)]]}, ddl="portable")
    assert query(pg_url, "TABLE t") == [(1,)]


def test_enums_and_sequences_that_are_there_are_used(pg_url: str) -> None:
    """An enum with the same labels and a sequence of the same name are not made twice."""
    run(pg_url, "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE SEQUENCE s; SELECT setval('s', 50)")
    mood = LogicalType(name="enum", labels=("sad", "ok"))
    of = database(
        table("t", column("a", mood, "public.mood"), schema="public"),
        engine="postgresql",
        sequences=(Sequence(name=Name("public", "s"), last_value=9, is_called=True),),
    )
    load(pg_url, of, {"t": [[("ok",)]]}, ddl="portable")
    assert query(pg_url, "SELECT pg_typeof(a)::text FROM t") == [("mood",)]
    assert query(pg_url, "SELECT nextval('s')") == [(51,)]
