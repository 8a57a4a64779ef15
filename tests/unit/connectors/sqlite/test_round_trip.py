"""SQLite to SQLite: what comes back is what was there."""

from __future__ import annotations

from pathlib import Path

import pytest

from dbsync.errors import LossError
from dbsync.model.schema import Name
from tests.unit.connectors.sqlite.files import copy, dump, load, make, query, read
from tests.unit.connectors.sqlite.test_read import TRAPS

HARD = """
PRAGMA user_version = 42; PRAGMA application_id = -7;
CREATE TABLE plain(a integer primary key, b text default 'x''y', c real default -1.5, d blob,
  e numeric, f, g boolean default true, h datetime default current_timestamp);
CREATE TABLE auto(id integer primary key autoincrement,
  v varchar(10) collate nocase unique on conflict ignore); -- a comment
CREATE TABLE wr(a text, b int, c, primary key(a, b desc)) without rowid;
CREATE TABLE st(a integer primary key, b any, c text not null, d real, e blob, f int) strict;
CREATE TABLE gen(a int, b int as (a*2) stored, c text generated always as ('v'||a) virtual, d int);
CREATE TABLE "we""ird
 name 🎉"("select" int, "a""b" text, [x y] real, `🎉` blob, "x:exceptions" int, x int);
CREATE TABLE parent(id int, k text, primary key(id, k));
CREATE TABLE child(id integer primary key, pid int, pk text,
  self int references child(id) on delete set null,
  constraint fkp foreign key(pid, pk) references parent on update cascade on delete restrict
  deferrable initially deferred, check (pid > 0), constraint named check (pk <> ')'));
CREATE TABLE typeless(a, b, c);
CREATE TABLE rowid_taken(rowid text, oid text, _rowid_ text);
CREATE TABLE fired(a int, b text);
CREATE INDEX i1 on plain(b desc, c);
CREATE UNIQUE INDEX i2 on plain(lower(b)) where b is not null;
CREATE INDEX i3 on auto(v collate rtrim);
CREATE VIEW v1 as select * from plain;
CREATE TRIGGER tr after insert on plain begin insert into fired values(new.a, new.b); end;
CREATE TRIGGER tv instead of insert on v1 begin select 1; end;
CREATE VIRTUAL TABLE docs using fts5(title, body);
CREATE VIRTUAL TABLE rt using rtree(id, minx, maxx);
CREATE VIRTUAL TABLE f4 using fts4(content);
INSERT INTO docs VALUES('hello', 'world of text'), ('second', 'another text');
INSERT INTO rt VALUES(1, 0, 1), (2, 5, 6);
INSERT INTO f4 VALUES('quick brown fox');
INSERT INTO auto(v) VALUES('a'), ('b'), ('c'); DELETE FROM auto WHERE v = 'c';
INSERT INTO wr VALUES('a', 1, 1.5), ('a', 2, 'x'), ('b', 1, NULL);
INSERT INTO gen(a, d) VALUES(1, 2), (3, NULL);
INSERT INTO "we""ird
 name 🎉" VALUES(1, 'x', 2.5, 'q', 5, 'text in an int column');
INSERT INTO parent VALUES(1, 'a'); INSERT INTO child VALUES(1, 1, 'a', 1), (2, 77, 'dangling', 2);
INSERT INTO rowid_taken VALUES('a', 'b', 'c');
INSERT INTO plain(a, b, f) VALUES(-9223372036854775808, CAST(x'ff41' AS TEXT),
  CAST(x'c328' AS TEXT)), (9223372036854775807, NULL, NULL);
"""


def hard(path: Path) -> Path:
    """Make a database of every kind of object, with every kind of value."""
    return make(
        path,
        HARD,
        (
            "INSERT INTO plain(a, b, c, d, e, f, g, h) VALUES (?, 'b' || ?1, ?, ?, ?, ?, ?, ?)",
            [(i * 1_000_003, v, v, v, v, v, v) for i, v in enumerate(TRAPS)],
        ),
        (
            "INSERT INTO st VALUES (?, ?, 'c', 1.0, x'00', 3)",
            list(enumerate(TRAPS)),
        ),
        ("INSERT INTO typeless VALUES (?, ?, ?)", [(v, i, str(i)) for i, v in enumerate(TRAPS)]),
    )


@pytest.mark.parametrize("more", [{}, {"single_transaction": True}])
def test_native_copy_is_identical(tmp_path: Path, more: dict[str, bool]) -> None:
    """Definitions byte for byte, every value in its class, sequences and pragmas are the same."""
    source = hard(tmp_path / "a.db")
    moved = copy(source, tmp_path / "b.db", jobs=2, **more)
    assert dump(tmp_path / "b.db") == dump(source)
    assert moved.plan.losses == ()
    titles = query(tmp_path / "b.db", "SELECT title FROM docs WHERE docs MATCH 'another'")
    assert titles == [("second",)]
    assert query(tmp_path / "b.db", "SELECT id FROM rt WHERE minx > 2") == [(2,)]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.db", "b.db"]


def test_next_number_goes_on(tmp_path: Path) -> None:
    """A number that AUTOINCREMENT has used for a deleted row is not used again in the copy."""
    copy(hard(tmp_path / "a.db"), tmp_path / "b.db")
    sql = "INSERT INTO auto(v) VALUES ('next') RETURNING id"
    assert query(tmp_path / "b.db", sql) == [(4,)]


def test_portable_copy_keeps_every_value(tmp_path: Path) -> None:
    """Without native DDL the rows are the same, class by class, and the losses name the rest."""
    source = hard(tmp_path / "a.db")
    moved = copy(source, tmp_path / "b.db", ddl="portable")
    before, after = dump(source), dump(tmp_path / "b.db")
    for name in ("plain", "auto", "wr", "st", "gen", "parent", "child", "typeless", "fired",
                 'we"ird\n name 🎉', "rowid_taken", "sqlite_sequence"):  # fmt: skip
        assert after[name] == before[name], name
    assert "docs_data" not in after
    lost = {loss.object for loss in moved.plan.losses if loss.severity == "lost"}
    assert {"view v1", "trigger tr", "trigger tv", "index i2 of table plain", "virtual table docs",
            "column gen.b", "column gen.c"} <= lost  # fmt: skip
    schema = dict(query(tmp_path / "b.db", "SELECT name, sql FROM sqlite_master"))
    assert "AUTOINCREMENT" in schema["auto"]
    assert schema["wr"].endswith("WITHOUT ROWID")
    assert schema["st"].endswith("STRICT")
    assert "DEFERRABLE INITIALLY DEFERRED" in schema["child"]
    assert 'COLLATE "NOCASE"' in schema["auto"]
    assert schema["i1"] == 'CREATE INDEX "i1" ON "plain" ("b" DESC, "c")'


@pytest.mark.parametrize("encoding", ["UTF-16le", "UTF-16be"])
def test_lone_surrogates(tmp_path: Path, encoding: str) -> None:
    """Text that UTF-16 allows and Unicode does not comes back unit by unit."""
    unit = "00d8" if encoding == "UTF-16le" else "d800"
    source = make(
        tmp_path / "a.db",
        f"PRAGMA encoding = '{encoding}'; CREATE TABLE t (v TEXT);"
        f"INSERT INTO t VALUES ('ü'), (CAST(x'{unit}' AS TEXT));",
    )
    copy(source, tmp_path / "b.db")
    sql = "SELECT typeof(v), hex(CAST(v AS BLOB)) FROM t ORDER BY 2"
    assert query(tmp_path / "b.db", sql) == query(source, sql)
    assert query(tmp_path / "b.db", "PRAGMA encoding") == [(encoding,)]


def test_broken_utf8_into_utf16(tmp_path: Path) -> None:
    """Bytes that no UTF-16 can express are refused with table, column and count."""
    source = make(
        tmp_path / "a.db", "CREATE TABLE t (v TEXT); INSERT INTO t VALUES (CAST(x'ff' AS TEXT));"
    )
    target = make(tmp_path / "b.db", "PRAGMA encoding = 'UTF-16le'; CREATE TABLE t (v TEXT);")
    with pytest.raises(LossError, match="table t, column v: 1 value"):
        copy(source, target, ddl="none")
    assert query(target, "SELECT * FROM t") == []


def test_some_columns_of_a_table(tmp_path: Path) -> None:
    """A table exported without some columns is made from what is there, with its plain indexes."""
    source = make(
        tmp_path / "a.db",
        "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT, c TEXT NOT NULL);"
        "CREATE INDEX ib ON t (b); CREATE INDEX ic ON t (c);"
        "CREATE TRIGGER tr AFTER INSERT ON t BEGIN SELECT new.c; END;"
        "INSERT INTO t VALUES (1, 'x', 'y');",
    )
    database, batches = read(source, columns={"t": ("a", "b")})
    moved = load(tmp_path / "b.db", database, batches)
    assert query(tmp_path / "b.db", "SELECT * FROM t") == [(1, "x")]
    names = query(tmp_path / "b.db", "SELECT name FROM sqlite_master ORDER BY 1")
    assert names == [("ib",), ("t",)]
    assert "trigger tr" in {loss.object for loss in moved.plan.losses}


def test_selected_tables_bring_their_objects(tmp_path: Path) -> None:
    """Indexes and triggers come with their table, shadow tables with their virtual table."""
    database, _ = read(hard(tmp_path / "a.db"), tables=("plain", "docs"))
    assert {t.name.name for t in database.tables} == {
        "plain", "docs_data", "docs_idx", "docs_content", "docs_docsize", "docs_config",
    }  # fmt: skip
    made = [(item.kind, item.name.name) for item in database.native]
    assert made == [
        ("TABLE", "plain"), ("VIRTUAL TABLE", "docs"), ("INDEX", "i1"), ("INDEX", "i2"),
        ("TRIGGER", "tr"),
    ]  # fmt: skip
    assert all(item.table == Name(None, "plain") for item in database.native if item.table)


def test_sequences_and_pragmas_of_others_stay(tmp_path: Path) -> None:
    """Importing into a database that has tables changes neither its version nor lowers numbers."""
    source = make(
        tmp_path / "a.db",
        "PRAGMA user_version = 5; CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT);"
        "INSERT INTO t VALUES (7);",
    )
    target = make(
        tmp_path / "b.db",
        "PRAGMA user_version = 9; CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT);"
        "INSERT INTO t VALUES (90); DELETE FROM t;",
    )
    copy(source, target)
    assert query(target, "PRAGMA user_version") == [(9,)]
    assert query(target, "SELECT seq FROM sqlite_sequence") == [(90,)]
    assert query(target, "SELECT id FROM t") == [(7,)]
