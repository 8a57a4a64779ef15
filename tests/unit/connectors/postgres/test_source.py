"""What a PostgreSQL source says of a schema, and which rows it reads."""

from __future__ import annotations

import pytest

from dbsync.connectors.postgres import open_source
from dbsync.errors import SourceError, UsageError
from dbsync.model.schema import Default, Generated, Name, Table
from tests.servers import PostgresServer
from tests.unit.connectors.postgres.reading import batches, count, public, snapshot


def _name(url: str) -> str:
    return url.rsplit("/", 1)[1]


def _table(url: str, name: str, **selection: object) -> Table:
    with snapshot(url, **selection) as snap:  # type: ignore[arg-type]
        return snap.database.table(public(name))


def test_columns_keys_and_indexes_are_described(pg18: PostgresServer, pg_url: str) -> None:
    """Defaults, identity, generated columns, keys, foreign keys, checks, indexes and comments."""
    pg18.execute(
        """
        CREATE TABLE parent (a int, b int, PRIMARY KEY (b, a), UNIQUE NULLS NOT DISTINCT (a));
        CREATE TABLE t (
            id bigint GENERATED ALWAYS AS IDENTITY (START 5 INCREMENT 2) PRIMARY KEY,
            s serial,
            word varchar(20) COLLATE "C" NOT NULL DEFAULT 'it''s',
            n numeric(6,2) DEFAULT 1.50,
            at timestamptz DEFAULT now(),
            day date DEFAULT CURRENT_DATE,
            u uuid DEFAULT gen_random_uuid(),
            odd int DEFAULT (random() * 10)::int,
            double int GENERATED ALWAYS AS (s * 2) STORED,
            virtual int GENERATED ALWAYS AS (s * 3) VIRTUAL,
            pa int, pb int,
            CONSTRAINT fk FOREIGN KEY (pa, pb) REFERENCES parent (a, b)
                MATCH FULL ON DELETE CASCADE ON UPDATE SET NULL DEFERRABLE INITIALLY DEFERRED,
            CONSTRAINT positive CHECK (n > 0),
            CONSTRAINT later UNIQUE (word) DEFERRABLE,
            CONSTRAINT apart EXCLUDE USING btree (odd WITH =)
        );
        CREATE INDEX plain ON t (word, n DESC);
        CREATE INDEX expression ON t (lower(word)) WHERE n > 1;
        CREATE INDEX included ON t (n) INCLUDE (word);
        COMMENT ON TABLE t IS 'a table';
        COMMENT ON COLUMN t.word IS 'a word';
        """,
        _name(pg_url),
    )
    table = _table(pg_url, "t")
    column = table.column
    identity = column("id").identity
    assert identity is not None
    assert (identity.kind, identity.sequence) == ("always", public("t_id_seq"))
    serial = column("s").identity
    assert serial is not None
    assert (serial.kind, serial.sequence) == ("serial", public("t_s_seq"))
    assert column("word").default == Default(kind="literal", value="it's")
    assert column("word").collation == '"C"'
    assert column("word").comment == "a word"
    assert not column("word").nullable
    assert column("n").default == Default(kind="literal", value="1.50")
    assert column("at").default == Default(kind="function", value="current_timestamp")
    assert column("day").default == Default(kind="function", value="current_date")
    assert column("u").default == Default(kind="function", value="random_uuid")
    odd = column("odd").default
    assert odd is not None
    assert odd.kind == "native"
    assert column("double").generated == Generated(expression="(s * 2)", stored=True)
    assert column("virtual").generated == Generated(expression="(s * 3)", stored=False)
    assert table.comment == "a table"
    assert table.primary_key is not None
    assert table.primary_key.columns == ("id",)
    (unique,) = table.uniques
    assert (unique.name, unique.deferrable, unique.nulls_distinct) == ("later", True, True)
    (check,) = table.checks
    assert (check.name, check.expression) == ("positive", "(n > (0)::numeric)")
    (key,) = table.foreign_keys
    assert (key.columns, key.referred, key.referred_columns) == (
        ("pa", "pb"),
        public("parent"),
        ("a", "b"),
    )
    assert (key.on_delete, key.on_update, key.match_full) == ("cascade", "set null", True)
    assert key.deferrable
    assert key.initially_deferred
    indexes = {index.name: index for index in table.indexes}
    assert indexes.keys() == {"plain", "expression", "included"}
    assert indexes["plain"].portable
    assert [(c.column, c.descending) for c in indexes["plain"].columns] == [
        ("word", False),
        ("n", True),
    ]
    assert not indexes["expression"].portable
    assert "WHERE" in (indexes["expression"].definition or "")
    assert indexes["expression"].columns[0].expression == "lower(word::text)"
    assert not indexes["included"].portable
    parent = _table(pg_url, "parent")
    assert parent.primary_key is not None
    assert parent.primary_key.columns == ("b", "a")
    assert not parent.uniques[0].nulls_distinct


def test_sequences_stand_where_they_stand(pg18: PostgresServer, pg_url: str) -> None:
    """Positions with is_called, options and owners; one that is hidden becomes a loss."""
    name = _name(pg_url)
    pg18.execute(
        """
        CREATE SEQUENCE fresh;
        CREATE SEQUENCE used INCREMENT -3 MAXVALUE 100 MINVALUE -50 START 90 CYCLE CACHE 7;
        SELECT nextval('used'), nextval('used');
        CREATE SEQUENCE placed AS smallint;
        SELECT setval('placed', 41, false);
        CREATE TABLE t (id int GENERATED BY DEFAULT AS IDENTITY, free int DEFAULT nextval('fresh'));
        """,
        name,
    )
    with snapshot(pg_url) as snap:
        found = {s.name.name: s for s in snap.database.sequences}
        free = snap.database.table(public("t")).column("free")
    assert (found["fresh"].last_value, found["fresh"].is_called) == (1, False)
    used = found["used"]
    assert (used.increment, used.minimum, used.maximum, used.start) == (-3, -50, 100, 90)
    assert (used.cycle, used.cache, used.is_called) == (True, 7, True)
    assert (found["placed"].last_value, found["placed"].is_called) == (41, False)
    assert found["placed"].data_type == "smallint"
    assert (found["t_id_seq"].owner_table, found["t_id_seq"].owner_column) == (public("t"), "id")
    assert free.identity is not None
    assert free.identity.sequence == public("fresh")
    with pg18.role("blind") as role:
        pg18.execute("GRANT SELECT ON t TO blind", name)
        with snapshot(pg18.url(name, user=role)) as snap:
            hidden = [s for s in snap.database.sequences if s.last_value is None]
            losses = [loss.object for loss in snap.database.losses]
    assert len(hidden) == 4
    assert "position of sequence public.used" in losses


def test_hostile_names_are_only_names(pg18: PostgresServer, pg_url: str) -> None:
    """Quotes, newlines, percent signs, emoji, reserved words, 63 bytes, `A` beside `a`."""
    names = [
        'a"b',
        "a'b",
        "line\nbreak",
        "100%s",
        "😀",
        "select",
        "x" * 63,
        "A",
        "a",
        "a;--",
        "ctid ",
    ]
    connection = pg18.connect(_name(pg_url))
    with connection.cursor() as cursor:
        cursor.execute('CREATE SCHEMA "od""d %s\';"')
        for table in names:
            quoted = '"' + table.replace('"', '""') + '"'
            columns = ", ".join('"' + c.replace('"', '""') + '" int' for c in names)
            cursor.execute(f'CREATE TABLE "od""d %s\';".{quoted} ({columns})')
            cursor.execute(f'INSERT INTO "od""d %s\';".{quoted} VALUES (1)')
            sequence = '"s' + table[:40].replace('"', '""') + '"'
            cursor.execute(f'CREATE SEQUENCE "od""d %s\';".{sequence}')
    connection.close()
    with snapshot(pg_url) as snap:
        found = {table.name for table in snap.database.tables}
        assert found == {Name("od\"d %s';", name) for name in names}
        for table in snap.database.tables:
            assert [c.name for c in table.columns] == names
            (batch,) = batches(snap, table, 1)
            assert batch.schema.names == names
            assert batch.column(0).to_pylist() == [1]
        sequences = {s.name.name: s.last_value for s in snap.database.sequences}
        assert sequences == {f"s{name[:40]}": 1 for name in names}


def test_a_column_of_any_type_does_not_block_its_table(pg18: PostgresServer, pg_url: str) -> None:
    """A table with a column of every base type, range and array of the server can be read."""
    name = _name(pg_url)
    types = pg18.execute(
        """
        SELECT format_type(t.oid, NULL) FROM pg_type t LEFT JOIN pg_type e ON e.oid = t.typelem
        WHERE t.typtype IN ('b', 'r', 'm') AND t.typisdefined AND t.typname NOT LIKE 'pg\\_%'
          AND coalesce(e.typtype, 'b') IN ('b', 'r', 'm')
          AND t.typnamespace = 'pg_catalog'::regnamespace ORDER BY 1
        """,
        name,
    )
    assert len(types) > 130
    columns = ", ".join(f"c{n} {kind}" for n, (kind,) in enumerate(types))
    pg18.execute(f"CREATE TABLE t ({columns}); INSERT INTO t DEFAULT VALUES", name)
    with snapshot(pg_url) as snap:
        table = snap.database.table(public("t"))
        (batch,) = batches(snap, table)
    assert batch.num_rows == 1
    assert all(column.null_count == 1 for column in batch.columns)
    for column, (kind,) in zip(table.columns, types, strict=True):
        assert column.native_type.startswith(str(kind).removesuffix("[]"))


def test_ranges_of_pages_are_disjoint_and_complete(pg18: PostgresServer, pg_url: str) -> None:
    """However small the ranges, every row is read once, also after updates moved rows."""
    name = _name(pg_url)
    pg18.execute(
        "CREATE TABLE t (id int, note text); "
        "INSERT INTO t SELECT g, repeat('x', 700) FROM generate_series(1, 2000) g; "
        "UPDATE t SET note = 'y' WHERE id % 3 = 0; DELETE FROM t WHERE id > 1900",
        name,
    )
    with snapshot(pg_url) as snap:
        table = snap.database.table(public("t"))
        for target in (1, 8192, 100_000, 1 << 40):
            parts = snap.partitions(table, target)
            ids = sorted(
                id
                for part in parts
                for batch in snap.read(table, part)
                for id in batch.column("id").to_pylist()
            )
            assert ids == list(range(1, 1901))
        assert len(snap.partitions(table, 1)) > 150
        assert len(snap.partitions(table, 1 << 40)) == 1
        again = [list(snap.read(table, parts[0])) for _ in range(2)]
        assert again[0] == again[1]


def test_partitioned_tables_are_one_table(pg18: PostgresServer, pg_url: str) -> None:
    """Leaves of any depth and column order are read as their root, in parallel ranges."""
    name = _name(pg_url)
    pg18.execute(
        """
        CREATE TABLE root (id int, region text, v int, PRIMARY KEY (id, region))
            PARTITION BY LIST (region);
        CREATE TABLE north (v int, gone int, region text NOT NULL, id int NOT NULL);
        ALTER TABLE north DROP COLUMN gone;
        ALTER TABLE root ATTACH PARTITION north FOR VALUES IN ('n');
        CREATE TABLE south PARTITION OF root FOR VALUES IN ('s') PARTITION BY RANGE (id);
        CREATE TABLE south_1 PARTITION OF south FOR VALUES FROM (0) TO (100);
        CREATE TABLE south_2 PARTITION OF south DEFAULT;
        CREATE TABLE rest PARTITION OF root DEFAULT;
        CREATE TABLE barren (id int) PARTITION BY HASH (id);
        INSERT INTO root SELECT g, (ARRAY['n', 's', 'x'])[g % 3 + 1], g * 2
            FROM generate_series(1, 900) g;
        """,
        name,
    )
    with snapshot(pg_url) as snap:
        assert [str(t.name) for t in snap.database.tables] == ["public.barren", "public.root"]
        root = snap.database.table(public("root"))
        assert [c.name for c in root.columns] == ["id", "region", "v"]
        assert root.details["partition_key"] == "LIST (region)"
        assert len(snap.partitions(root, 1)) > 4
        assert len(snap.partitions(root, 1 << 40)) == 1
        for target in (1, 1 << 40):
            rows = [row for b in batches(snap, root, target) for row in b.to_pylist()]
            assert sorted(row["id"] for row in rows) == list(range(1, 901))
            assert all(row["v"] == row["id"] * 2 for row in rows)
        assert count(snap, public("barren")) == 0
    with snapshot(pg_url, where={"root": "root.id <= 30"}) as snap:
        assert count(snap, public("root"), 1) == 30
    with pytest.raises(SourceError, match="north") as caught, snapshot(pg_url, tables=("north",)):
        pass
    assert "is a partition" in (caught.value.hint or "")


def test_leaves_out_of_reach_are_read_through_their_root(pg18: PostgresServer, pg_url: str) -> None:
    """A role with SELECT on the root alone gets every row."""
    name = _name(pg_url)
    pg18.execute(
        "CREATE TABLE root (id int) PARTITION BY HASH (id);"
        "CREATE TABLE h0 PARTITION OF root FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
        "CREATE TABLE h1 PARTITION OF root FOR VALUES WITH (MODULUS 2, REMAINDER 1);"
        "INSERT INTO root SELECT generate_series(1, 100)",
        name,
    )
    with pg18.role("above") as role:
        pg18.execute("GRANT SELECT ON root TO above", name)
        with snapshot(pg18.url(name, user=role)) as snap:
            root = snap.database.table(public("root"))
            assert len(snap.partitions(root, 1)) == 1
            assert count(snap, public("root"), 1) == 100


def test_inheritance_children_are_tables_of_their_own(pg18: PostgresServer, pg_url: str) -> None:
    """A parent's rows are read without its children's, so that nothing comes twice."""
    pg18.execute(
        "CREATE TABLE parent (id int); CREATE TABLE child (x int) INHERITS (parent);"
        "INSERT INTO parent VALUES (1); INSERT INTO child VALUES (2, 3), (4, 5)",
        _name(pg_url),
    )
    with snapshot(pg_url) as snap:
        assert count(snap, public("parent")) == 1
        assert count(snap, public("child")) == 2
        child = snap.database.table(public("child"))
        assert child.details["inherits"] == "public.parent"
        assert [c.name for c in child.columns] == ["id", "x"]


def test_foreign_tables_views_and_temporary_tables_have_no_rows_here(
    pg18: PostgresServer, pg_url: str
) -> None:
    """What has no rows of its own is no table; rows that stay away are reported."""
    name = _name(pg_url)
    pg18.execute(
        """
        CREATE FOREIGN DATA WRAPPER w; CREATE SERVER far FOREIGN DATA WRAPPER w;
        CREATE USER MAPPING FOR postgres SERVER far OPTIONS (password 'mapped-secret');
        CREATE FOREIGN TABLE distant (id int) SERVER far;
        CREATE TABLE root (id int) PARTITION BY RANGE (id);
        CREATE TABLE near PARTITION OF root FOR VALUES FROM (0) TO (10);
        CREATE FOREIGN TABLE far_part PARTITION OF root FOR VALUES FROM (10) TO (20) SERVER far;
        INSERT INTO root VALUES (1);
        CREATE VIEW seen AS SELECT 1 AS one;
        CREATE UNLOGGED TABLE quick (id int); INSERT INTO quick VALUES (1);
        SELECT lo_create(0);
        """,
        name,
    )
    with snapshot(pg_url) as snap:
        assert [t.name.name for t in snap.database.tables] == ["quick", "root"]
        assert snap.database.table(public("quick")).details["persistence"] == "unlogged"
        assert count(snap, public("root")) == 1
        assert count(snap, public("quick")) == 1
        losses = {loss.object for loss in snap.database.losses}
        assert "mapped-secret" not in repr(snap.database)
    assert {
        "rows of foreign table public.distant",
        "rows of foreign table public.far_part",
        "1 large objects",
        "user mapping of postgres for server far",
    } <= losses


def test_rows_without_columns_are_counted(pg18: PostgresServer, pg_url: str) -> None:
    """A table without columns may have rows, and they arrive."""
    pg18.execute("CREATE TABLE t (); INSERT INTO t SELECT FROM generate_series(1, 100000)",
                 _name(pg_url))  # fmt: skip
    with snapshot(pg_url) as snap:
        table = snap.database.table(public("t"))
        assert table.columns == ()
        assert count(snap, public("t")) == 100_000
        assert count(snap, public("t"), 200_000) == 100_000


def test_a_wide_and_an_empty_table(pg18: PostgresServer, pg_url: str) -> None:
    """1,600 columns are read; a table without rows still has one partition."""
    columns = ", ".join(f"c{n} int" for n in range(1600))
    name = _name(pg_url)
    pg18.execute(f"CREATE TABLE wide ({columns}); INSERT INTO wide (c1599) VALUES (7)", name)
    pg18.execute("CREATE TABLE none (id int)", name)
    with snapshot(pg_url) as snap:
        (batch,) = batches(snap, snap.database.table(public("wide")))
        assert batch.num_columns == 1600
        assert batch.column("c1599").to_pylist() == [7]
        assert len(snap.partitions(snap.database.table(public("none")), 1)) == 1
        assert count(snap, public("none")) == 0


def test_conditions_filter_with_the_users_own_search_path(
    pg18: PostgresServer, pg_url: str
) -> None:
    """A condition may call the user's functions and end in a comment; `*` holds for every table."""
    name = _name(pg_url)
    pg18.execute(
        "CREATE TABLE a (id int); CREATE TABLE b (id int); "
        "INSERT INTO a SELECT generate_series(1, 9); INSERT INTO b SELECT generate_series(1, 5);"
        "CREATE FUNCTION even(int) RETURNS bool LANGUAGE sql AS 'SELECT $1 % 2 = 0'",
        name,
    )
    where = {"a": "even(id) OR id = 1 -- odd ones out", "*": "id > 3"}
    with snapshot(pg_url, where=where) as snap:
        assert snap.database.table(public("a")).where == where["a"]
        assert count(snap, public("a")) == 5
        assert count(snap, public("b")) == 2
        assert count(snap, public("a"), 1) == 5


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ({"*": "other = 1"}, ["public.a", "other"]),
        ({"a": "id = = 1"}, ["public.a", "syntax"]),
        ({"a": "id = 1; DROP TABLE a"}, ["public.a"]),
    ],
)
def test_a_condition_that_does_not_fit_is_refused_at_once(
    pg18: PostgresServer, pg_url: str, where: dict[str, str], words: list[str]
) -> None:
    """An unknown column or broken SQL names the table before a row is read."""
    name = _name(pg_url)
    pg18.execute("CREATE TABLE a (id int)", name)
    with pytest.raises(SourceError) as caught, snapshot(pg_url, where=where):
        pass
    for word in words:
        assert word in caught.value.message
    assert pg18.execute("SELECT count(*) FROM a", name) == [(0,)]


def test_chosen_columns_only(pg18: PostgresServer, pg_url: str) -> None:
    """Columns that are left out take keys and indexes with them, as losses; others are read."""
    pg18.execute(
        "CREATE TABLE t (id int PRIMARY KEY, a int CHECK (a > 0), b int UNIQUE, c text);"
        "CREATE INDEX on_c ON t (lower(c)); INSERT INTO t VALUES (1, 2, 3, 'x')",
        _name(pg_url),
    )
    with snapshot(pg_url, columns={"t": ("c", "b")}) as snap:
        table = snap.database.table(public("t"))
        assert [c.name for c in table.columns] == ["b", "c"]
        assert not table.all_columns
        assert table.primary_key is None
        assert len(table.uniques) == 1
        assert table.checks == ()
        assert [i.name for i in table.indexes] == ["on_c"]
        (batch,) = batches(snap, table)
        assert batch.to_pylist() == [{"b": 3, "c": "x"}]
        assert all(o.covers is None for o in snap.database.native if o.table == public("t"))
        lost = " ".join(loss.object for loss in snap.database.losses)
    assert "primary key t_pkey" in lost
    assert "check t_a_check" in lost
    with pytest.raises(SourceError, match="no column 'idd'") as caught:
        _table(pg_url, "t", columns={"t": ("idd",)})
    assert "'id'" in (caught.value.hint or "")


def test_without_schema_only_columns_and_primary_keys(pg18: PostgresServer, pg_url: str) -> None:
    """The smallest description: no foreign key, index, sequence or native DDL."""
    pg18.execute(
        "CREATE TABLE t (id serial PRIMARY KEY, n int UNIQUE, CHECK (n > 0)); "
        "CREATE INDEX x ON t (n)",
        _name(pg_url),
    )
    with snapshot(pg_url, include_schema=False) as snap:
        database = snap.database
    table = database.table(public("t"))
    assert table.primary_key is not None
    assert (table.uniques, table.checks, table.indexes) == ((), (), ())
    assert (database.sequences, database.native) == ((), ())


def test_a_pattern_that_matches_nothing_is_refused_with_a_suggestion(
    pg18: PostgresServer, pg_url: str
) -> None:
    """A misspelt table names its neighbour, and a view is called a view."""
    pg18.execute("CREATE TABLE orders (id int); CREATE VIEW v AS SELECT 1", _name(pg_url))
    for pattern, hint in (("ordes", "orders"), ("v", "is a view")):
        with (
            pytest.raises(SourceError, match=pattern) as caught,
            snapshot(pg_url, tables=(pattern,)),
        ):
            pass
        assert hint in (caught.value.hint or "")


def test_one_schema_alone(pg18: PostgresServer, pg_url: str) -> None:
    """With a schema given, tables, sequences and objects of others stay away."""
    name = _name(pg_url)
    pg18.execute(
        "CREATE SCHEMA one; CREATE SCHEMA two; CREATE TABLE one.t (id serial);"
        "CREATE TABLE two.t (id serial); CREATE VIEW one.v AS SELECT 1;"
        "CREATE TYPE two.kind AS ENUM ('x'); CREATE TABLE one.uses (k two.kind)",
        name,
    )
    with snapshot(pg_url, schema="one") as snap:
        database = snap.database
    assert [str(t.name) for t in database.tables] == ["one.t", "one.uses"]
    assert [str(s.name) for s in database.sequences] == ["one.t_id_seq"]
    assert {str(o.name) for o in database.native if o.kind in ("TABLE", "VIEW", "TYPE")} == {
        "one.t",
        "one.uses",
        "one.v",
        "two.kind",
    }
    with pytest.raises(SourceError, match="no schema 'three'"):
        open_source(pg_url, schema="three")


def test_every_supported_server_is_read_alike(
    pg18: PostgresServer, pg16: PostgresServer, pg_url: str, pg16_url: str
) -> None:
    """The catalog queries give the same description on PostgreSQL 16 as on 18."""
    ddl = """
        CREATE TABLE p (id int PRIMARY KEY);
        CREATE TABLE t (id serial PRIMARY KEY, p int REFERENCES p ON DELETE CASCADE,
            n numeric(5,1) DEFAULT 0, CHECK (n < 9));
        CREATE INDEX x ON t (p) WHERE n > 1
    """
    pg18.execute(ddl, _name(pg_url))
    pg16.execute(ddl, _name(pg16_url))
    with snapshot(pg_url) as new, snapshot(pg16_url) as old:
        assert new.database.tables == old.database.tables
        assert new.database.sequences == old.database.sequences
        assert old.database.version.startswith("16.")


def test_check_lists_what_is_missing(pg18: PostgresServer, pg_url: str) -> None:
    """A role without rights is told which; the owner lacks nothing but perhaps pg_dump."""
    name = _name(pg_url)
    pg18.execute("CREATE TABLE t (id serial); ALTER TABLE t ENABLE ROW LEVEL SECURITY", name)
    with pg18.role("poor") as role:
        source = open_source(pg18.url(name, user=role))
        try:
            items = {item.item: item for item in source.check()}
        finally:
            source.close()
            source.close()
    assert not items["read tables"].ok
    assert "public.t" in items["read tables"].found
    assert "GRANT SELECT" in (items["read tables"].hint or "")
    assert not items["read sequences"].ok
    assert items["consistent snapshot"].ok
    assert items["server version"].ok
    assert items["server version"].found == pg18.execute("SHOW server_version")[0][0]


def test_urls_are_understood_as_libpq_does(pg18: PostgresServer) -> None:
    """Drivers after a plus, sockets and extra parameters are accepted."""
    for url in (
        pg18.url().replace("postgresql://", "postgresql+psycopg2://"),
        pg18.url().replace("postgresql://", "postgres://") + "?sslmode=prefer&connect_timeout=3",
        pg18.socket_url(),
    ):
        source = open_source(url)
        assert all(item.item for item in source.check())
        source.close()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:se/cret@host/db",
        "postgresql://user:se@cret@host/db",
        "postgresql://user:12/se@cret/db",
        "postgresql://user:secret@host/db?bogus=secret",
        "postgresql://user:secret@host:se/db",
        "mysql://user:secret@host/db",
    ],
)
def test_malformed_urls_are_refused_without_quoting_them(url: str) -> None:
    """A misplaced part may be the password, so nothing of the URL is shown."""
    with pytest.raises(UsageError) as caught:
        open_source(url)
    shown = f"{caught.value} {caught.value.hint}"
    assert "secret" not in shown
    assert "cret" not in shown
