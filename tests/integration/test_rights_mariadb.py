"""Which rights MariaDB asks for what, as docs/mysql.md says: enough is enough, less is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import dbsync as library
from dbsync.api import check
from dbsync.errors import TargetError
from tests.integration.maria_rows import maria_definitions, maria_query, maria_rows
from tests.servers import MariaServer

SCRIPT = """
CREATE TABLE parent (id int AUTO_INCREMENT PRIMARY KEY, name varchar(40) NOT NULL UNIQUE);
CREATE TABLE child (id int PRIMARY KEY, parent_id int, KEY (parent_id),
  FOREIGN KEY (parent_id) REFERENCES parent (id));
INSERT INTO parent (name) SELECT CONCAT('name ', seq) FROM seq_1_to_500;
INSERT INTO child SELECT id, id FROM parent;
CREATE VIEW names AS SELECT name FROM parent;
CREATE TRIGGER keep BEFORE UPDATE ON child FOR EACH ROW SET NEW.parent_id = OLD.parent_id;
CREATE PROCEDURE nothing() SELECT 1;
CREATE FUNCTION one() RETURNS int DETERMINISTIC RETURN 1;
CREATE EVENT never ON SCHEDULE EVERY 1 DAY DISABLE DO SELECT 1;
"""
OBJECTS = {"names": "SHOW VIEW", "keep": "TRIGGER", "never": "EVENT"}
ROWS = "SELECT, INSERT, UPDATE"
SCHEMA = "CREATE, DROP, ALTER, CREATE VIEW, TRIGGER, CREATE ROUTINE, EVENT"
LEDGER = "CREATE, DELETE, DROP"


@pytest.fixture
def source(maria_url: str) -> str:
    """A database with rows and an object of every kind."""
    maria_query(maria_url, SCRIPT)
    return maria_url


@pytest.fixture(scope="module")
def archive(maria: MariaServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of that database."""
    name = maria.create_database()
    maria.execute(SCRIPT, name)
    place = tmp_path_factory.mktemp("rights") / "a.dbsync.tar"
    library.export_database(maria.url(name), str(place), chunk_bytes=4 << 10)
    maria.drop_database(name)
    return place


def _as(url: str, user: str) -> str:
    name = url.rpartition("@")[0].rpartition("/")[2].partition(":")[0]
    return url.replace(f"//{name}:", f"//{user}:")


def _database(url: str) -> str:
    return f"`{url.rpartition('/')[2]}`.*"


def _objects(url: str) -> set[tuple[str, str]]:
    kinds = ("TABLE", "VIEW", "TRIGGER", "PROCEDURE", "FUNCTION", "EVENT")
    sections = {("TRIGGER", "order"), ("TABLE", "reference systems")}
    return {place for place in maria_definitions(url) if place[0] in kinds} - sections


def test_an_export_with_these_rights_is_whole(
    maria: MariaServer, source: str, new_maria_url: Callable[[], str], tmp_path: Path
) -> None:
    """SELECT, SHOW VIEW, TRIGGER, EVENT and SELECT on mysql.proc lose nothing but DEFINER."""
    place, copy = str(tmp_path / "a.dbsync.tar"), new_maria_url()
    grants = ("SELECT, SHOW VIEW, TRIGGER, EVENT ON " + _database(source), "SELECT ON mysql.proc")
    with maria.account("reader", *grants):
        result = library.export_database(_as(source, "reader"), place)
    assert [loss for loss in result.losses if loss.severity == "lost"] == []
    library.import_archive(place, copy, include_schema=True)
    assert maria_definitions(copy) == maria_definitions(source)
    assert maria_rows(copy) == maria_rows(source)


@pytest.mark.parametrize("hidden", [*OBJECTS, "nothing"])
def test_what_may_not_be_read_is_a_loss(
    maria: MariaServer, source: str, tmp_path: Path, hidden: str
) -> None:
    """Without one of these rights the rows come, and the loss report names what does not."""
    rights = ", ".join(r for name, r in OBJECTS.items() if name != hidden)
    grants = [f"SELECT, {rights} ON {_database(source)}"]
    if hidden != "nothing":
        grants.append("SELECT ON mysql.proc")
    with maria.account("reader", *grants):
        result = library.export_database(_as(source, "reader"), str(tmp_path / "a.tar"))
    assert result.rows == 1000
    lost = " ".join(f"{x.object} {x.reason}" for x in result.losses if x.severity == "lost")
    assert (hidden in lost) or (OBJECTS.get(hidden, "mysql.proc") in lost), result.losses


def test_everyone_may_see_the_position_in_the_log(
    maria_with_binlog: MariaServer, tmp_path: Path
) -> None:
    """MariaDB tells the position in its binary log to a user with SELECT alone."""
    name = maria_with_binlog.create_database()
    maria_with_binlog.execute("CREATE TABLE t (id int PRIMARY KEY)", name)
    with maria_with_binlog.account("reader", f"SELECT ON `{name}`.*"):
        url = maria_with_binlog.url(name, user="reader")
        result = library.export_database(url, str(tmp_path / "a.tar"), jobs=1)
    assert "binlog." in str(result.consistency.token)
    maria_with_binlog.drop_database(name)


def test_an_import_with_the_schema_needs_these_rights(
    maria: MariaServer, archive: Path, maria_url: str
) -> None:
    """The rights that the document lists make a whole database, and nothing is left behind."""
    with maria.account("writer", f"{ROWS}, DELETE, {SCHEMA} ON {_database(maria_url)}"):
        library.import_archive(str(archive), _as(maria_url, "writer"), include_schema=True)
    assert _objects(maria_url) == {
        ("TABLE", "parent"), ("TABLE", "child"), ("VIEW", "names"), ("TRIGGER", "keep"),
        ("PROCEDURE", "nothing"), ("FUNCTION", "one"), ("EVENT", "never"),
    }  # fmt: skip
    assert maria_query(maria_url, "SELECT count(*) FROM child") == [(500,)]


@pytest.mark.parametrize("right", [right for right in SCHEMA.split(", ") if right != "DROP"])
def test_a_right_that_is_missing_for_the_schema_is_named(
    maria: MariaServer, archive: Path, maria_url: str, right: str
) -> None:
    """Without one of the rights the import ends with 4 before anything is made."""
    rest = ", ".join(r for r in SCHEMA.split(", ") if r != right)
    grant = f"{ROWS}, DELETE, {rest} ON {_database(maria_url)}"
    with maria.account("writer", grant), pytest.raises(TargetError) as caught:
        library.import_archive(str(archive), _as(maria_url, "writer"), include_schema=True)
    assert right in f"{caught.value.message} {caught.value.hint}"
    assert _objects(maria_url) == set()


TABLES = """
CREATE TABLE parent (id int AUTO_INCREMENT PRIMARY KEY, name varchar(40) NOT NULL UNIQUE);
CREATE TABLE child (id int PRIMARY KEY, parent_id int);
"""


@pytest.mark.parametrize(
    ("rights", "guarantee"),
    [(f"{ROWS}, {LEDGER}", "exactly_once"), (f"{ROWS}, CREATE", "none"), (ROWS, "none")],
)
def test_rows_into_empty_tables(
    maria: MariaServer, archive: Path, maria_url: str, rights: str, guarantee: str
) -> None:
    """Rows arrive without the rights to a ledger too, and the plan says what is not promised."""
    maria_query(maria_url, TABLES)
    with maria.account("writer", f"{rights} ON {_database(maria_url)}"):
        result = library.import_archive(str(archive), _as(maria_url, "writer"))
    assert result.rows == 1000
    assert result.plan.guarantee == guarantee
    lost = " ".join(loss.object for loss in result.plan.losses)
    assert ("resuming this import" in lost) == (guarantee == "none")
    assert "AUTO_INCREMENT of table parent" in lost
    assert _objects(maria_url) == {("TABLE", "parent"), ("TABLE", "child")}


@pytest.mark.parametrize(
    ("rights", "options", "missing"),
    [
        (f"{ROWS}, CREATE TEMPORARY TABLES", {}, None),
        (ROWS, {}, "CREATE TEMPORARY TABLES"),
        ("SELECT, INSERT, CREATE TEMPORARY TABLES", {}, "UPDATE"),
        ("SELECT, UPDATE, CREATE TEMPORARY TABLES", {}, "INSERT"),
        ("INSERT, UPDATE, CREATE TEMPORARY TABLES", {}, "SELECT"),
        ("SELECT, INSERT, CREATE TEMPORARY TABLES", {"on_conflict": "skip"}, None),
        (f"{ROWS}, DELETE", {"existing": "overwrite"}, None),
        (ROWS, {"existing": "overwrite"}, "DELETE"),
        ("SELECT, DELETE", {"existing": "overwrite"}, "INSERT"),
    ],
)
def test_rows_into_tables_that_hold_some(
    maria: MariaServer,
    archive: Path,
    maria_url: str,
    rights: str,
    options: dict[str, str],
    missing: str | None,
) -> None:
    """An upsert needs UPDATE and temporary tables, an overwrite DELETE; else nothing changes."""
    maria_query(maria_url, TABLES)
    maria_query(maria_url, "INSERT INTO parent VALUES (7, 'old')")
    with maria.account("writer", f"{rights} ON {_database(maria_url)}"):
        url = _as(maria_url, "writer")
        if missing is None:
            library.import_archive(str(archive), url, **options)  # type: ignore[arg-type]
        else:
            with pytest.raises(TargetError) as caught:
                library.import_archive(str(archive), url, **options)  # type: ignore[arg-type]
            assert missing in f"{caught.value.message} {caught.value.hint}"
    skipped = options.get("on_conflict") == "skip"
    name = "name 7" if missing is None and not skipped else "old"
    assert maria_query(maria_url, "SELECT name FROM parent WHERE id = 7") == [(name,)]
    rows = [(1, 0)] if missing else [(500, 500)]
    counts = "SELECT (SELECT count(*) FROM parent), (SELECT count(*) FROM child)"
    assert maria_query(maria_url, counts) == rows


def test_functions_under_a_binary_log(maria_with_binlog: MariaServer, archive: Path) -> None:
    """Where the log lets only SUPER make functions: 4, a way out, and the rest comes after it."""
    server = maria_with_binlog
    name = server.create_database()
    with server.account("writer", f"ALL ON `{name}`.*"):
        url = server.url(name, user="writer")
        with pytest.raises(TargetError, match="1419") as caught:
            library.import_archive(str(archive), url, include_schema=True)
        assert "log_bin_trust_function_creators" in f"{caught.value.message} {caught.value.hint}"
        server.execute("SET GLOBAL log_bin_trust_function_creators = 1")
        try:
            library.import_archive(str(archive), url, include_schema=True)
        finally:
            server.execute("SET GLOBAL log_bin_trust_function_creators = 0")
    assert ("FUNCTION", "one") in maria_definitions(server.url(name))
    assert server.execute("SELECT count(*) FROM child", name) == [(500,)]
    server.drop_database(name)


def test_rights_of_everyone_count(maria: MariaServer, archive: Path, maria_url: str) -> None:
    """What is granted to PUBLIC, as MariaDB does for the database test, is granted to the user."""
    maria.execute(f"GRANT ALL ON {_database(maria_url)} TO PUBLIC")
    try:
        with maria.account("writer", "USAGE ON *.*"):
            result = library.import_archive(
                str(archive), _as(maria_url, "writer"), include_schema=True
            )
    finally:
        maria.execute(f"REVOKE ALL ON {_database(maria_url)} FROM PUBLIC")
    assert result.plan.guarantee == "exactly_once"


def test_check_names_what_is_missing(maria: MariaServer, maria_url: str) -> None:
    """`dbsync check` of a user with SELECT alone names each right that an import would need."""
    with maria.account("reader", f"SELECT ON {_database(maria_url)}"):
        found = check(_as(maria_url, "reader"))
    said = " ".join(f"{item.found} {item.hint}" for item in found if not item.ok)
    for right in (*ROWS.split(", ")[1:], "DELETE", "CREATE TEMPORARY TABLES", *SCHEMA.split(", ")):
        assert right in said, right
