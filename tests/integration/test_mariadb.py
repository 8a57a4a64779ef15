"""A MariaDB database with every type and feature, through an archive and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.command import dbsync
from tests.integration.maria_rows import Rows, maria_definitions, maria_query, maria_rows
from tests.integration.rows import pg_query, pg_tables, sqlite_query
from tests.servers import MariaServer

SCRIPTS = Path(__file__).parent / "mariadb"
TYPES, TABLES, OBJECTS = (SCRIPTS / f"{name}.sql" for name in ("types", "tables", "objects"))
HOSTILE = "dé ☃ 'x' `y` \"z\" %/?#&"


@pytest.fixture(scope="module")
def zoo(maria: MariaServer) -> Iterator[str]:
    """The URL of a database with everything, whose own name is hostile too."""
    name = maria.create_database(HOSTILE)
    maria.script(name, TYPES, TABLES, OBJECTS)
    yield maria.url(name)
    maria.drop_database(name)


@pytest.fixture(scope="module")
def zoo_archive(zoo: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of it, in chunks so small that large tables have several."""
    archive = tmp_path_factory.mktemp("zoo") / "zoo.dbsync.tar"
    dbsync("export", "--url", zoo, "--chunk-bytes", "16KiB", archive)
    return archive


def _losses(result: dict[str, object]) -> list[dict[str, str]]:
    plan = result.get("plan", result)
    assert isinstance(plan, dict)
    return plan["losses"]


@pytest.fixture(scope="module")
def zoo_rows(zoo: str) -> Rows:
    """Its rows, in the bytes that the server stores."""
    return maria_rows(zoo)


@pytest.fixture(scope="module")
def zoo_again(maria: MariaServer, zoo_archive: Path) -> Iterator[str]:
    """The URL of a database that the archive was imported into."""
    name = maria.create_database()
    dbsync("import", "--url", maria.url(name), "--include-schema", zoo_archive)
    yield maria.url(name)
    maria.drop_database(name)


def test_definitions_come_back(zoo: str, zoo_again: str) -> None:
    """SHOW CREATE of every object is identical, counters, modes and character sets included."""
    expected, found = maria_definitions(zoo), maria_definitions(zoo_again)
    assert set(found) == set(expected)
    assert {k: (expected[k], v) for k, v in found.items() if v != expected[k]} == {}


def test_values_come_back(zoo_rows: Rows, zoo_archive: Path, zoo_again: str) -> None:
    """Every value of every column is identical in the bytes that the server stores."""
    found = maria_rows(zoo_again)
    assert set(found) == set(zoo_rows)
    for table, rows in zoo_rows.items():
        different = [pair for pair in zip(rows, found[table], strict=True) if pair[0] != pair[1]]
        assert different == [], table
    dbsync("verify", zoo_archive, "--against", zoo_again)


def _different(expected: Rows, url: str) -> set[str]:
    found = maria_rows(url)
    return {t for t in expected.keys() | found.keys() if found.get(t) != expected.get(t)}


def test_values_come_back_without_load_data(
    zoo_rows: Rows, zoo_archive: Path, maria_without_load_data: MariaServer
) -> None:
    """Where LOAD DATA LOCAL is disabled, multi-row INSERT brings the same bytes."""
    name = maria_without_load_data.create_database()
    url = maria_without_load_data.url(name)
    dbsync("import", "--url", url, "--include-schema", zoo_archive)
    assert _different(zoo_rows, url) == set()
    maria_without_load_data.drop_database(name)


def test_several_workers_bring_the_same(zoo: str, zoo_rows: Rows, maria_url: str) -> None:
    """Four workers on both sides, and a clone through a pipe, lose no row and add none."""
    dbsync(
        "clone", "--from", zoo, "--to", maria_url, "--include-schema", "--jobs", 4,
        "--chunk-bytes", "16KiB",
    )  # fmt: skip
    assert _different(zoo_rows, maria_url) == set()


def test_another_user_brings_them_back(
    maria: MariaServer, zoo: str, new_maria_url: Callable[[], str], tmp_path: Path
) -> None:
    """Exported by a user who may only read, imported by one who has rights on one database."""
    target = new_maria_url()
    name = target.rpartition("/")[2]
    escaped = HOSTILE.replace("`", "``").replace("%", "\\%").replace("_", "\\_")
    archive = tmp_path / "a.dbsync.tar"
    reader = (
        f"SELECT, SHOW VIEW, TRIGGER, EVENT, LOCK TABLES ON `{escaped}`.*",
        "RELOAD ON *.*",
        "SELECT ON mysql.proc",
    )
    with maria.account("read'er", *reader), maria.account("owner", f"ALL ON `{name}`.*"):
        dbsync("export", "--url", maria.url(HOSTILE, user="read'er"), archive)
        dbsync("import", "--url", maria.url(name, user="owner"), "--include-schema", archive)
        expected, found = maria_definitions(zoo), maria_definitions(target)
        assert {
            k: (expected[k], found.get(k)) for k in expected if found.get(k) != expected[k]
        } == {}
        definers = maria_query(
            target, "SELECT DISTINCT definer FROM information_schema.views"
            " WHERE table_schema = DATABASE()",
        )  # fmt: skip
    assert definers == [("owner@%",)]


def test_what_stays_behind_is_named(zoo_archive: Path, maria_url: str) -> None:
    """The loss report says that definers are stripped, and that history of rows is not carried."""
    arguments = ("import", "--url", maria_url, "--include-schema", "--dry-run", "--json")
    about = _about(dbsync(*arguments, zoo_archive).json())
    assert "definers" in about
    assert "versioned" in about
    assert "spatial" not in about


def test_spatial_columns_are_named_elsewhere(zoo_archive: Path, pg_url: str) -> None:
    """Another engine gets the bytes of spatial values, SRID first, and the loss report says so."""
    arguments = ("--url", pg_url, "--include-schema", "--tables", "places", "--json")
    told = _about(dbsync("import", *arguments, zoo_archive).json())
    assert "columns g, p, l, a, mp, ml, ma, gc, pn, ref of table places" in told
    assert "REF_SYSTEM_ID of column ref" in told
    srid = b"\xe6\x10\x00\x00"
    assert [bytes(g)[:4] for (g,) in pg_query(pg_url, "SELECT g FROM places WHERE id = 1")] == [
        srid
    ]


def test_tables_without_a_snapshot_are_named(zoo_archive: Path) -> None:
    """An archive names the tables whose engine cannot show one moment."""
    about = _about(dbsync("inspect", "--json", zoo_archive).json())
    for table in ("my_isam", "aria", "in_memory"):
        assert f"table {table} " in about


def test_names_stay_on_one_line(zoo_archive: Path) -> None:
    """A line break in a name does not break the table of `inspect`."""
    printed = dbsync("inspect", zoo_archive).out.decode()
    assert [line for line in printed.splitlines() if line.startswith("new\\nline\\ttab ")]


def _about(result: dict[str, object]) -> str:
    return " ".join(f"{loss['object']} {loss['reason']}" for loss in _losses(result))


def test_the_collation_of_the_database(maria: MariaServer, maria_url: str, tmp_path: Path) -> None:
    """A function takes the text that it took, in a database of another collation too; a user who
    may not change the database's collation for that moment is told before anything is made."""
    source = maria.create_database("of unicode", options="COLLATE utf8mb4_unicode_ci")
    body = "CREATE FUNCTION f(word varchar(9)) RETURNS int DETERMINISTIC RETURN word = 'STRASSE';"
    maria.script(source, text=body)
    archive = tmp_path / "a.dbsync.tar"
    dbsync("export", "--url", maria.url(source), archive)
    maria.drop_database(source)
    name = maria_url.rpartition("/")[2]
    question = "SELECT f('straße'), @@collation_database"
    rights = "CREATE, SELECT, INSERT, UPDATE, DELETE, DROP, CREATE ROUTINE, ALTER ROUTINE, EXECUTE"
    with maria.account("maker", f"{rights} ON `{name}`.*"):
        arguments = ("--url", maria.url(name, user="maker"), "--include-schema", "--json")
        told = dbsync("import", *arguments, "--dry-run", archive)
        assert "collation_database of 1" in _about(told.json())
        dbsync("import", *arguments, archive)
        assert maria_query(maria_url, question)[0][1] == "latin1_swedish_ci"
    maria_query(maria_url, "DROP FUNCTION f")
    dbsync("import", "--url", maria_url, "--include-schema", archive)
    assert maria_query(maria_url, question) == [(1, "latin1_swedish_ci")]


def test_overwriting_where_an_engine_has_no_savepoints(
    zoo_rows: Rows, zoo_archive: Path, maria_url: str
) -> None:
    """Tables of Aria, MyISAM and MEMORY are overwritten together with tables of InnoDB."""
    tables = ("--tables", "aria,my_isam,in_memory,parent,child,zero_key")
    dbsync("import", "--url", maria_url, "--include-schema", *tables, zoo_archive)
    maria_query(maria_url, "UPDATE aria SET v = 'x'; DELETE FROM child; UPDATE zero_key SET v = 9")
    arguments = ("import", "--url", maria_url, "--existing", "overwrite", *tables)
    told = _about(dbsync(*arguments, "--dry-run", "--json", zoo_archive).json())
    for table in ("aria", "my_isam", "in_memory"):
        assert f"transactions of table {table} " in told
    dbsync(*arguments, zoo_archive)
    found = maria_rows(maria_url)
    assert {t for t, rows in found.items() if zoo_rows[t] != rows} == set()


@pytest.fixture(scope="module")
def features_archive(
    maria: MariaServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """An archive of tables and objects whose values every engine can hold."""
    name = maria.create_database()
    maria.script(name, TABLES, OBJECTS)
    # Refused, as the tests below show: these names, and a date that only MySQL knows.
    maria.script(name, text=f"DROP TABLE `A`, `{LONG_NAME}`; UPDATE defaults SET zero = NULL;")
    archive = tmp_path_factory.mktemp("features") / "features.dbsync.tar"
    dbsync("export", "--url", maria.url(name), archive)
    yield archive
    maria.drop_database(name)


LONG_NAME = "sixty-four characters, most of them plain ".ljust(64, "☃")


def test_names_that_cannot_be_kept_are_refused(zoo: str, pg_url: str, tmp_path: Path) -> None:
    """`A` beside `a` for SQLite, and 64 characters that are more than 63 bytes for PostgreSQL."""
    for url, tables, word in (
        (f"sqlite:///{tmp_path / 'a.sqlite'}", "A,a", "'A'"),
        (pg_url, f'"{LONG_NAME}"', "63 bytes"),
    ):
        arguments = ["clone", "--from", zoo, "--to", url, "--include-schema", "--tables", tables]
        done = dbsync(*arguments, code=None)
        assert done.code in (4, 7)
        assert word in done.err


NOT_CARRIED = (
    "z_base", "a_on_z", "m_on_a", "checked_view", "in_german", "it's a \"view\"", "odd mode",
    "busy_first", "busy_`second'", "busy_third", "busy_after", "busy_gone",
    "twice", "hello `w'orld\"", "total", "fill", "in latin",
    "every_hour", "once`'", "elsewhere", "other database",
)  # fmt: skip
SEQUENCES = ("odd `sequence", "unused")  # of the third one a column takes its numbers
CHANGED_TABLES = (
    "by_range", "by_columns", "by_list", "by_hash", "by_key", "by_both",  # partitions
    "versioned", "periods",
)  # fmt: skip
LOST_INDEXES = ("words", "place")


@pytest.mark.parametrize("engine", ["postgresql", "sqlite"])
def test_every_object_not_carried_is_named(
    features_archive: Path, pg_url: str, tmp_path: Path, engine: str
) -> None:
    """Into another engine, each view, program, event, partition and index is in the report, and
    each sequence where that engine has none."""
    url = pg_url if engine == "postgresql" else f"sqlite:///{tmp_path / 'a.sqlite'}"
    arguments = ["import", "--url", url, "--include-schema", "--ddl", "portable"]
    result = dbsync(*arguments, "--json", features_archive).json()
    objects = {loss["object"] for loss in _losses(result)}
    reasons = _about(result)
    missing = {
        name
        for name in (*NOT_CARRIED, *SEQUENCES)
        if not any(known.endswith(f" {name}") for known in objects)
    }
    if engine == "postgresql":
        made = pg_query(url, "SELECT sequencename FROM pg_sequences")
        assert {(name,) for name in SEQUENCES} < set(made)
        missing -= set(SEQUENCES)
    assert missing == set()
    assert {name for name in (*CHANGED_TABLES, *LOST_INDEXES) if name not in reasons} == set()
    dbsync("verify", features_archive, "--against", url)


@pytest.mark.parametrize("engine", ["postgresql", "sqlite"])
def test_strict_refuses_before_writing(
    features_archive: Path, pg_url: str, tmp_path: Path, engine: str
) -> None:
    """--strict ends with 7, and neither a table nor a file has been made."""
    path = tmp_path / "a.sqlite"
    url = pg_url if engine == "postgresql" else f"sqlite:///{path}"
    arguments = ["import", "--url", url, "--include-schema", "--ddl", "portable", "--strict"]
    refused = dbsync(*arguments, features_archive, code=7)
    assert "Traceback" not in refused.err
    assert pg_tables(pg_url) == []
    assert not path.exists() or sqlite_query(path, "SELECT * FROM sqlite_master") == []


ODD_MOMENTS = (
    ("date", "0000-00-00"),
    ("date", "2020-00-15"),
    ("datetime(6)", "2020-02-31 10:00:00"),
    ("timestamp", "0000-00-00 00:00:00"),
    ("time", "838:59:59"),
    ("time(6)", "-00:00:00.000001"),
)


def test_odd_moments_are_refused_elsewhere(
    maria: MariaServer, maria_url: str, pg_url: str, tmp_path: Path
) -> None:
    """Odd dates and times beyond a day: exit code 7, with table, column, how many and a key, and
    neither a table nor a file has been made."""
    columns = ", ".join(f"m{i} {kind} NULL" for i, (kind, _) in enumerate(ODD_MOMENTS))
    values = ", ".join(f"'{value}'" for _, value in ODD_MOMENTS)
    script = (
        "SET sql_mode = 'ALLOW_INVALID_DATES';"
        f"CREATE TABLE odd (id int PRIMARY KEY, {columns});"
        f"INSERT INTO odd VALUES (4711, {values}), (4713, {values});"
        "INSERT INTO odd (id) VALUES (4712);"
    )
    maria.script(maria_url.rpartition("/")[2], text=script)
    archive = tmp_path / "a.dbsync.tar"
    dbsync("export", "--url", maria_url, archive)
    path = tmp_path / "a.sqlite"
    for url in (pg_url, f"sqlite:///{path}"):
        refused = dbsync("import", "--url", url, "--include-schema", archive, code=7)
        assert "Traceback" not in refused.err
        for i in range(len(ODD_MOMENTS)):
            said = [line for line in refused.err.splitlines() if f"column m{i}: 2 values" in line]
            assert ["table odd" in line and "id=4711" in line for line in said] == [True], i
    assert pg_tables(pg_url) == []
    assert not path.exists()


def test_socket_and_tls(
    maria: MariaServer, maria_with_tls: MariaServer, certificates: object, tmp_path: Path
) -> None:
    """A Unix socket works; TLS verifies the server by the authority that is named, or fails."""
    name = maria.create_database()
    maria.script(name, text="CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2);")
    socket = dbsync("export", "--url", maria.socket_url(name), "--json", tmp_path / "a.tar").json()
    assert socket["rows"] == 2
    maria.drop_database(name)
    name = maria_with_tls.create_database()
    authority = getattr(certificates, "authority")  # noqa: B009
    url = maria_with_tls.url(name, options=f"ssl_mode=verify_identity&ssl_ca={authority}")
    dbsync("import", "--url", url, "--include-schema", tmp_path / "a.tar")
    dbsync("verify", tmp_path / "a.tar", "--against", url)
    other = tmp_path / "other.pem"
    other.write_bytes(Path(authority).with_name("server.pem").read_bytes())
    wrong = maria_with_tls.url(name, options=f"ssl_mode=verify_ca&ssl_ca={other}")
    refused = dbsync("export", "--url", wrong, tmp_path / "b.tar", code=3)
    assert "Traceback" not in refused.err
    required = maria.url("mysql", options="ssl_mode=required")
    refused = dbsync("export", "--url", required, tmp_path / "b.tar", code=3)
    assert "TLS" in refused.err.upper() or "SSL" in refused.err.upper()
    maria_with_tls.drop_database(name)


def test_small_packets(
    serve_maria: Callable[..., MariaServer], zoo_archive: Path, zoo_rows: Rows
) -> None:
    """A server that takes packets of 2 MiB at most gets the same rows, wide ones among them."""
    server = serve_maria({"max-allowed-packet": "2M"})
    name = server.create_database()
    url = server.url(name)
    wide = ("texts", "binaries", "keys_of_text")
    arguments = ("--include-schema", "--tables", ",".join(wide))
    dbsync("import", "--url", url, *arguments, zoo_archive)
    assert _different({table: zoo_rows[table] for table in wide}, url) == set()
    server.drop_database(name)


def test_position_of_the_binary_log(maria_with_binlog: MariaServer, tmp_path: Path) -> None:
    """Where there is a binary log, the archive's head holds the position of its moment."""
    name = maria_with_binlog.create_database()
    maria_with_binlog.script(name, text="CREATE TABLE t (id int PRIMARY KEY);")
    archive = tmp_path / "a.dbsync.tar"
    dbsync("export", "--url", maria_with_binlog.url(name), archive)
    ((file, position, *_),) = maria_with_binlog.execute("SHOW MASTER STATUS")
    token = dbsync("inspect", "--json", archive).json()["consistency"]["token"]
    assert file in token
    assert str(position) in token
    maria_with_binlog.drop_database(name)
