"""Reading a MariaDB database into the portable model, and what is reported beside it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dbsync.errors import SourceError
from dbsync.model.schema import Name, Table
from tests.servers.mariadb import MariaServer
from tests.unit.connectors.mysql.catalogs import lost, read

SHOP = """
CREATE TABLE customer (id int unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY, name varchar(40),
  changed timestamp NOT NULL DEFAULT current_timestamp() ON UPDATE current_timestamp(),
  code int(5) unsigned zerofill, secret int INVISIBLE) COMMENT 'who buys' CHARSET utf8mb4;
CREATE TABLE orders (id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY, customer int unsigned,
  total decimal(10,2) DEFAULT 0.00, FOREIGN KEY (customer) REFERENCES customer (id))
  AUTO_INCREMENT=1000 CHARSET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE audit (line text) ENGINE=MyISAM;
CREATE TABLE old (id int PRIMARY KEY) WITH SYSTEM VERSIONING;
CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS 2;
CREATE TABLE leaf (id int, KEY (id)) ENGINE=MyISAM;
CREATE TABLE merged (id int, KEY (id)) ENGINE=MERGE UNION=(leaf);
CREATE SEQUENCE counter START WITH 10 INCREMENT BY -2 MAXVALUE 100 MINVALUE -50 CACHE 5 CYCLE;
CREATE TABLE counted (id int DEFAULT NEXTVAL(counter));
CREATE FUNCTION tax(x int) RETURNS int RETURN x;
CREATE FUNCTION unused(x int) RETURNS int RETURN x;
CREATE TRIGGER with_tax BEFORE INSERT ON orders FOR EACH ROW SET NEW.total = `tax`(NEW.total);
CREATE TRIGGER to_audit AFTER INSERT ON customer FOR EACH ROW INSERT INTO audit VALUES ('new');
CREATE VIEW big AS SELECT o.id FROM orders o JOIN customer c ON c.id = o.customer;
CREATE VIEW above_big AS SELECT id, tax(1) AS t FROM big;
CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY DISABLE DO DELETE FROM audit;
"""


@pytest.fixture
def shop(maria: MariaServer, maria_url: str) -> str:
    """A small shop with one of everything."""
    maria.script(maria_url.rpartition("/")[2], text=SHOP)
    return maria_url


def _objects(url: str, **selection: object) -> list[str]:
    return [f"{item.kind} {item.name}" for item in read(url, **selection).native]


def _table(url: str, name: str, **selection: object) -> Table:
    return read(url, **selection).table(Name(None, name))


def test_the_database_itself(shop: str) -> None:
    """Engine, flavour, version, and the settings that decide what a replay would do."""
    database = read(shop)
    assert database.engine == "mysql"
    assert "MariaDB" in database.version
    assert database.name == shop.rpartition("/")[2]
    assert database.details["flavour"] == "mariadb"
    assert database.details["collation"] == "latin1_swedish_ci"
    assert database.details["lower_case_table_names"] == "0"


def test_everything_comes_in_working_order(shop: str) -> None:
    """Sequences before tables, functions before views, views after those that they need."""
    names = _objects(shop)
    assert names.index("SEQUENCE counter") < names.index("TABLE counted")
    assert names.index("FUNCTION tax") < names.index("VIEW above_big")
    assert names.index("VIEW big") < names.index("VIEW above_big")
    assert names.index("TABLE orders") < names.index("TRIGGER with_tax")
    assert {"EVENT nightly", "FUNCTION unused", "TABLE merged"} <= set(names)
    by_name = {f"{o.kind} {o.name}": o for o in read(shop).native}
    assert by_name["VIEW above_big"].requires == ("function tax", "view big")
    assert by_name["VIEW big"].requires == ("table customer", "table orders")
    assert by_name["TABLE counted"].requires == ("sequence counter",)
    assert by_name["TRIGGER with_tax"].table == Name(None, "orders")
    assert by_name["TRIGGER with_tax"].section == "after_rows"
    assert by_name["TABLE orders"].covers == "table"
    assert by_name["TABLE orders"].section == "before_rows"
    assert by_name["SEQUENCE counter"].covers == "sequence"
    assert by_name["EVENT nightly"].settings["time_zone"] == "+00:00"
    assert by_name["VIEW big"].settings == {
        "character_set_client": "utf8mb4",
        "collation_connection": "utf8mb4_general_ci",
    }


def test_positions_travel_like_those_of_other_engines(shop: str) -> None:
    """AUTO_INCREMENT is a sequence that stands at the next number; SEQUENCE keeps its options."""
    sequences = {s.name.name: s for s in read(shop).sequences}
    assert set(sequences) == {"customer", "orders", "counter"}
    assert (sequences["orders"].last_value, sequences["orders"].is_called) == (1000, False)
    assert (sequences["customer"].last_value, sequences["customer"].is_called) == (1, False)
    assert sequences["orders"].owner_table == Name(None, "orders")
    assert sequences["orders"].owner_column == "id"
    counter = sequences["counter"]
    assert (counter.start, counter.increment, counter.minimum, counter.maximum) == (
        10,
        -2,
        -50,
        100,
    )
    assert (counter.cycle, counter.cache, counter.last_value) == (True, 5, 10)
    identity = _table(shop, "orders").column("id").identity
    assert identity is not None
    assert identity.kind == "autoincrement"
    assert identity.sequence == Name(None, "orders")


@pytest.mark.parametrize(
    ("kind", "position", "expected"),
    [
        ("tinyint", "127", (127, False)),
        ("int", "2147483648", (2147483647, True)),
        ("mediumint unsigned", "16777216", (16777215, True)),
        ("bigint unsigned", "18446744073709551614", (18446744073709551614, False)),
    ],
)
def test_positions_stay_within_the_type(
    maria: MariaServer, maria_url: str, kind: str, position: str, expected: tuple[int, bool]
) -> None:
    """A position that ALTER TABLE put beyond the type is one after the type's last number."""
    sql = f"CREATE TABLE t (id {kind} AUTO_INCREMENT PRIMARY KEY) AUTO_INCREMENT={position}"
    maria.execute(sql, maria_url.rpartition("/")[2])
    (sequence,) = read(maria_url).sequences
    assert (sequence.last_value, sequence.is_called) == expected


def test_what_only_native_ddl_carries_is_named(shop: str) -> None:
    """Each table has one line with what is left out elsewhere; rows that stay behind are lost."""
    database = read(shop)
    changed = lost(database, "changed")
    assert "ON UPDATE of column changed" in changed["table customer"]
    assert "ZEROFILL of column code" in changed["table customer"]
    assert "column secret is invisible" in changed["table customer"]
    assert "engine MyISAM" in changed["table audit"]
    assert "partitions" in changed["table parts"]
    assert "table customer" in changed["collation utf8mb4_general_ci"]
    assert "collation utf8mb4_bin" not in changed
    assert lost(database, "lost") == {
        "history of table old": "only the current rows are exported",
        "rows of table merged": "its engine MRG_MyISAM keeps them elsewhere; only the definition"
        " is carried",
    }
    assert Name(None, "merged") not in [t.name for t in database.tables]


def test_chosen_tables_bring_what_they_name(shop: str) -> None:
    """With --tables: triggers with their table, functions and sequences that are named, no more."""
    assert _objects(shop, tables=("orders",)) == [
        "TABLE orders",
        "FUNCTION tax",
        "TRIGGER with_tax",
    ]
    assert _objects(shop, tables=("counted",)) == ["SEQUENCE counter", "TABLE counted"]
    assert [s.name.name for s in read(shop, tables=("counted",)).sequences] == ["counter"]
    assert lost(read(shop, tables=("counted",)), "lost") == {}


def test_foreign_keys_to_what_is_left_out_go(shop: str) -> None:
    """Neither the model nor native DDL refers to a table that is not exported; it is a loss."""
    database = read(shop, tables=("orders",))
    assert database.tables[0].foreign_keys == ()
    assert "REFERENCES" not in database.native[0].sql
    assert "KEY `customer` (`customer`)" in database.native[0].sql
    reason = lost(database, "lost")["foreign key orders_ibfk_1 of table orders"]
    assert reason == "it refers to customer, which is not selected"


def test_views_and_triggers_without_their_tables_are_losses(shop: str) -> None:
    """What would fail on the target because of the selection is left out and named."""
    database = read(shop, tables=("customer", "*big"))
    assert [f"{o.kind} {o.name}" for o in database.native] == ["TABLE customer"]
    gone = lost(database, "lost")
    assert {"view big", "view above_big", "trigger to_audit"} == set(gone)
    excluded = read(shop, exclude=("customer",))
    assert "EVENT nightly" in [f"{o.kind} {o.name}" for o in excluded.native]
    assert {"view big", "view above_big"} <= set(lost(excluded, "lost"))


def test_narrowed_tables_leave_native_ddl(shop: str) -> None:
    """With --columns a table goes by the portable model only, and its triggers are named."""
    database = read(shop, columns={"orders": ("total", "id")})
    table = database.table(Name(None, "orders"))
    assert [c.name for c in table.columns] == ["id", "total"]
    assert not table.all_columns
    assert "TABLE orders" not in [f"{o.kind} {o.name}" for o in database.native]
    gone = lost(database, "lost")
    assert "columns" in gone["trigger with_tax"]
    assert "view big" in gone
    assert "customer was not chosen" in gone["foreign key orders_ibfk_1 of table orders"]
    assert "customer was not chosen" in gone["index customer of table orders"]


def test_without_the_schema_only_columns_and_keys(shop: str) -> None:
    """Types and primary keys are read, no defaults, no objects, no losses."""
    database = read(shop, include_schema=False)
    assert database.native == ()
    assert database.losses == ()
    assert database.sequences == ()
    table = database.table(Name(None, "orders"))
    assert table.primary_key is not None
    assert all(c.default is None and c.identity is None for c in table.columns)
    assert table.foreign_keys == table.indexes == ()


def test_broken_views_are_losses(maria: MariaServer, shop: str) -> None:
    """A view whose table is gone is named and not carried; one whose definer is gone is."""
    name = shop.rpartition("/")[2]
    with maria.account("c_leaver", f"ALL ON `{name}`.*"):
        connection = maria.connect(name, user="c_leaver")
        with connection.cursor() as cursor:
            cursor.execute("CREATE VIEW orphaned AS SELECT id FROM orders")
        connection.close()
    maria.execute(
        "CREATE TABLE gone (id int); CREATE VIEW broken AS SELECT id FROM gone;"
        "CREATE VIEW above AS SELECT id FROM broken; DROP TABLE gone",
        name,
    )
    database = read(shop)
    assert {"view broken", "view above"} <= set(lost(database, "lost"))
    views = [o.name.name for o in database.native if o.kind == "VIEW"]
    assert "orphaned" in views
    assert "broken" not in views


def test_foreign_keys_across_databases_are_named(
    maria: MariaServer, shop: str, new_maria_url: Callable[[], str]
) -> None:
    """Both directions: a key into another database, and one from there."""
    name, other = shop.rpartition("/")[2], new_maria_url().rpartition("/")[2]
    maria.execute(
        f"CREATE TABLE `{other}`.far (id int unsigned PRIMARY KEY, c int unsigned,"
        f" CONSTRAINT `far away` FOREIGN KEY (c) REFERENCES `{name}`.customer (id));"
        f"CREATE TABLE `{name}`.near (id int unsigned PRIMARY KEY,"
        f" CONSTRAINT near_by FOREIGN KEY (id) REFERENCES `{other}`.far (id))"
    )
    try:
        database = read(shop)
        changed = lost(database, "changed")
        assert f"{other}.far" in changed["foreign key near_by of table near"]
        assert "customer" in changed[f"foreign key of table {other}.far"]
        assert database.table(Name(None, "near")).foreign_keys == ()
        sql = next(o.sql for o in database.native if o.name.name == "near")
        assert f"REFERENCES `{other}`.`far`" in sql
    finally:
        maria.execute(f"DROP TABLE `{name}`.near")
        maria.execute(f"DROP TABLE `{other}`.far")


def test_the_ledger_of_an_import_is_not_exported(maria: MariaServer, shop: str) -> None:
    """The table that an unfinished import keeps is no table of the database."""
    maria.execute("CREATE TABLE dbsync_ledger (id int PRIMARY KEY)", shop.rpartition("/")[2])
    assert "TABLE dbsync_ledger" not in _objects(shop)


def test_tables_that_cannot_be_opened_are_named(maria: MariaServer, shop: str) -> None:
    """A table of engine MERGE whose tables are gone is an error with a way around it."""
    maria.execute("DROP TABLE leaf", shop.rpartition("/")[2])
    with pytest.raises(SourceError, match="cannot open table merged") as caught:
        read(shop)
    assert "--exclude-tables" in (caught.value.hint or "")
    assert "TABLE customer" in _objects(shop, exclude=("merged",))


def test_an_empty_database(maria_url: str) -> None:
    """A database without anything is described, and a pattern for it is an error."""
    assert read(maria_url).tables == ()
    with pytest.raises(SourceError, match="no table matches x"):
        read(maria_url, tables=("x",))
