"""Native DDL: without definers, in the bytes of its client, and identical after a round trip."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from dbsync.connectors.mysql.native import replayable, without_definer
from dbsync.model.schema import Table
from tests.integration.maria_rows import maria_definitions, maria_query
from tests.servers.mariadb import MariaServer
from tests.unit.connectors.mysql.catalogs import lost, read, replay


@pytest.mark.parametrize(
    "definer",
    [
        "`a`@`b`",
        "`a``@``b`@`%`",
        "`DEFINER=`@`x`",
        "'a'@'127.0.0.1'",
        "'it''s'@'b\\'c'",
        '"a"@"b"',
        "root@localhost",
        "root@127.0.0.1",
        "root@my-host.example.com",
        "`a` @ `b`",
        "`a`@localhost",
        "`a role`",
        "CURRENT_USER",
        "current_user()",
        "CURRENT_ROLE",
    ],
)
@pytest.mark.parametrize("equals", ["=", " = "])
def test_definers_of_any_spelling_are_taken_out(definer: str, equals: str) -> None:
    """The clause goes, with its blanks; everything else stays as it was."""
    body = "TRIGGER `DEFINER=x` BEFORE INSERT ON t FOR EACH ROW SET @a = ' DEFINER=`a`@`b` '"
    assert without_definer(f"CREATE DEFINER{equals}{definer} {body}") == f"CREATE {body}"
    view = "SQL SECURITY DEFINER VIEW `v` AS select 'DEFINER=`x`@`y`'"
    sql = f"CREATE ALGORITHM=UNDEFINED DEFINER{equals}{definer} {view}"
    assert without_definer(sql) == f"CREATE ALGORITHM=UNDEFINED {view}"
    replaced = f"create or replace /* DEFINER=a */ definer{equals}{definer} {body}"
    assert without_definer(replaced) == f"create or replace /* DEFINER=a */ {body}"


def test_definers_under_ansi_quotes() -> None:
    """Under ANSI_QUOTES double quotes are names, and backslashes in them mean nothing."""
    sql = 'CREATE DEFINER="a\\"@"b" PACKAGE "p" as end'
    assert without_definer(sql, "ANSI_QUOTES") == 'CREATE PACKAGE "p" as end'


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE `DEFINER` (`DEFINER` int DEFAULT 1)",
        "CREATE FUNCTION `DEFINER`() RETURNS int RETURN DEFINER = 'a'@'b'",
        "CREATE SQL SECURITY DEFINER VIEW `v` AS select 1",
        "CREATE PROCEDURE p() SELECT 'CREATE DEFINER=`a`@`b`'",
        "CREATE DEFINER",
        "",
    ],
)
def test_statements_without_a_definer_stay(sql: str) -> None:
    """The word elsewhere is no definer."""
    assert without_definer(sql) == sql


def test_bytes_for_another_client() -> None:
    """Text for a latin1 client encodes to latin1; an unknown set is left out of the settings."""
    sql, settings = replayable("SELECT 'é€\x81'", {"character_set_client": "latin1"})
    assert sql == b"SELECT '\xe9\x80\x81'"
    assert settings == {"character_set_client": "latin1"}
    unchanged = {"character_set_client": "latin1", "sql_mode": ""}
    assert replayable("SELECT 'e'", unchanged) == ("SELECT 'e'", unchanged)
    assert replayable("SELECT 'é'", {"character_set_client": "sjis", "sql_mode": "X"}) == (
        "SELECT 'é'",
        {"sql_mode": "X"},
    )
    assert replayable("SELECT '☃'", {"character_set_client": "latin1"}) == ("SELECT '☃'", {})


TABLES = """
CREATE TABLE emoji (
  id int unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
  e enum('a','?','😀','ü''x','q\\\\r','new\\nline') CHARACTER SET utf8mb4 DEFAULT '😀' COMMENT '?',
  f enum('😀','?') CHARACTER SET utf8mb4 NOT NULL,
  s set('x','😁','?') CHARACTER SET utf8mb4 DEFAULT '😁,?',
  v varchar(20) CHARACTER SET utf8mb4 NOT NULL DEFAULT 'a''b\\\\ 😀 \\n"c"',
  w varchar(20) DEFAULT 'what?', vb varbinary(9) DEFAULT X'00FF275C3F', b binary(2) DEFAULT X'C3BC',
  `DEFAULT` varchar(9) CHARACTER SET utf8mb4 DEFAULT '😀'
) AUTO_INCREMENT=77 DEFAULT CHARSET=latin1;
CREATE TABLE `A` (id int PRIMARY KEY, j json, t timestamp NOT NULL, tn timestamp NULL);
CREATE TABLE `a` (id int PRIMARY KEY, CONSTRAINT `a to A` FOREIGN KEY (id) REFERENCES `A` (id));
CREATE SEQUENCE `se``q` START WITH 5 INCREMENT BY 3;
CREATE TABLE numbered (id bigint DEFAULT NEXTVAL(`se``q`));
CREATE TABLE log (line varchar(100) CHARACTER SET utf8mb4);
"""
PROGRAMS = """
DELIMITER //
CREATE FUNCTION `f x`(n int) RETURNS int RETURN n + 1//
CREATE PROCEDURE calls_view() SELECT * FROM a_first//
CREATE TRIGGER t1 BEFORE INSERT ON `A` FOR EACH ROW SET NEW.j = '1'//
CREATE TRIGGER HERE.t2 BEFORE INSERT ON HERE.`A` FOR EACH ROW PRECEDES t1 SET NEW.j = '"😀"'//
CREATE EVENT ev ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 00:00:00' DISABLE DO SELECT 'é😀'//
SET NAMES latin1//
CREATE PROCEDURE latin() SELECT 'LATIN'//
CREATE VIEW latin_view AS SELECT 'LATIN' AS x//
SET NAMES utf8mb4//
SET sql_mode = 'ORACLE'//
CREATE PACKAGE "pa""ck" AS FUNCTION one RETURN int; END//
CREATE PACKAGE BODY "pa""ck" AS FUNCTION one RETURN int AS BEGIN RETURN 1; END; END//
SET sql_mode = DEFAULT//
DELIMITER ;
CREATE VIEW z_last AS SELECT `f x`(id) AS x FROM `A`;
CREATE VIEW a_first AS SELECT z.x, '😀' AS `s` FROM z_last z JOIN (SELECT NEXTVAL(`se``q`) AS n) q;
"""


@pytest.fixture
def rich_url(maria: MariaServer, maria_url: str) -> str:
    """A database with what is hard to read truly."""
    name = maria_url.rpartition("/")[2]
    maria.script(name, text=TABLES)
    # The client of the third script is one of latin1, and has its own bytes.
    text = PROGRAMS.replace("HERE", f"`{name}`").replace("LATIN", "+")
    maria.script(name, text=text)
    connection = maria.connect(name)
    with connection.cursor() as cursor:
        cursor.execute("DROP PROCEDURE latin")
        cursor.execute("DROP VIEW latin_view")
        cursor.execute("SET NAMES latin1")
        connection.query("CREATE PROCEDURE latin() SELECT 'é'".encode("latin1"))
        connection.query("CREATE VIEW latin_view AS SELECT 'é' AS x".encode("latin1"))
    connection.close()
    return maria_url


def _definitions(url: str) -> dict[tuple[str, str], object]:
    """What SHOW CREATE says, without the database's own name, which it repeats."""
    name = url.rpartition("/")[2].encode()
    found = maria_definitions(url)
    return {
        key: tuple(
            re.sub(b"`%s`[.]" % name, b"", part) if isinstance(part, bytes) else part
            for part in value
        )
        for key, value in found.items()
    }


def test_definitions_are_identical_after_a_round_trip(
    rich_url: str, new_maria_url: Callable[[], str]
) -> None:
    """Every object that SHOW CREATE knows comes back as it was, replayed in the order given."""
    database = read(rich_url)
    target = new_maria_url()
    replay(target, database.native)
    assert _definitions(target) == _definitions(rich_url)
    assert lost(database, "lost") == {}


def test_labels_and_defaults_are_true(rich_url: str, new_maria_url: Callable[[], str]) -> None:
    """Emoji and bytes, for which MariaDB's own DDL has question marks, arrive as they are."""
    database = read(rich_url)
    emoji = next(t for t in database.tables if t.name.name == "emoji")
    assert emoji.column("e").type.labels == ("a", "?", "😀", "ü'x", "q\\r", "new\nline")
    assert emoji.column("f").type.labels == ("😀", "?")
    assert emoji.column("s").native_type == "set('x','😁','?')"
    values = {c.name: c.default.value for c in emoji.columns if c.default}
    assert values["e"] == values["DEFAULT"] == "😀"
    assert values["s"] == "😁,?"
    assert values["v"] == 'a\'b\\ 😀 \n"c"'
    assert values["w"] == "what?"
    assert values["vb"] == "\\x00ff275c3f"
    target = new_maria_url()
    replay(target, database.native)
    query = "INSERT INTO emoji (f) VALUES ('😀'); SELECT * FROM emoji"
    assert maria_query(target, query) == maria_query(rich_url, query)


def test_labels_are_true_without_the_schema(rich_url: str) -> None:
    """Without --include-schema too, an enum's labels are the real ones."""
    database = read(rich_url, include_schema=False)
    emoji = next(t for t in database.tables if t.name.name == "emoji")
    assert emoji.column("e").type.labels[2] == "😀"
    assert database.native == ()


def _exact(table: Table) -> Table:
    """The table without what the server only estimates."""
    return replace(table, rows_estimate=None, bytes_estimate=None)


def test_a_user_who_may_only_read_sees_the_same_tables(maria: MariaServer, rich_url: str) -> None:
    """Checks, foreign keys and labels need no right beyond SELECT; what is hidden is named."""
    name = rich_url.rpartition("/")[2]
    everything = read(rich_url)
    with maria.account("c_reader", f"SELECT ON `{name}`.*"):
        seen = read(maria.url(name, user="c_reader"))
    assert [_exact(t) for t in seen.tables] == [_exact(t) for t in everything.tables]
    tables = [o for o in seen.native if o.kind in ("TABLE", "SEQUENCE")]
    assert tables == [o for o in everything.native if o.kind in ("TABLE", "SEQUENCE")]
    reasons = lost(seen, "lost")
    assert {"triggers", "events", "functions and procedures", "view a_first"} <= set(reasons)
    assert "TRIGGER" in reasons["triggers"]


def test_bodies_that_are_hidden_are_losses(maria: MariaServer, rich_url: str) -> None:
    """A routine that this user may run but not see is named, and is no object without text."""
    name = rich_url.rpartition("/")[2]
    with maria.account("c_runner", f"SELECT, EXECUTE ON `{name}`.*"):
        seen = read(maria.url(name, user="c_runner"))
    assert "function f x" in lost(seen, "lost")
    assert 'package body pa"ck' in lost(seen, "lost")
    assert all(o.sql for o in seen.native)
