"""The tables of ``formats/types-v1.md`` against the code that they describe."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing
from itertools import pairwise
from typing import Any, get_args

import psycopg2
import pyarrow as pa
import pytest
from msgspec.structs import replace

from dbsync.connectors.mysql import mapping as mysql
from dbsync.connectors.mysql.flavour import Flavour, flavour_of
from dbsync.connectors.options import TreasureDataOptions
from dbsync.connectors.postgres.columns import read_columns
from dbsync.connectors.postgres.mapping import type_text
from dbsync.connectors.postgres.query import Catalog
from dbsync.connectors.registry import open_source
from dbsync.connectors.sqlite.columns import Sample, choose
from dbsync.connectors.sqlite.types import changed, declared_type, logical_type, stored_class
from dbsync.connectors.treasuredata import mapping as treasure_data
from dbsync.connectors.treasuredata.catalog import read_database
from dbsync.connectors.treasuredata.table_calls import TableState
from dbsync.errors import LossError, SourceError
from dbsync.model.schema import Column
from dbsync.model.selection import Selection
from dbsync.model.types import LogicalType, TypeName, standard_storage
from dbsync.model.values import standardize, to_text
from tests.formats.types_document import (
    DOCUMENT,
    INTEGERS,
    TYPES,
    Row,
    cell,
    code,
    codes,
    named,
    special_values,
    table,
)
from tests.integration.maria_rows import maria_query

MARIADB, MYSQL = flavour_of("10.11.6-MariaDB"), flavour_of("8.0.36")


def column(logical: LogicalType, storage: str) -> Column:
    """Make a column of a logical type in some storage."""
    return Column(name="c", type=logical, native_type="", storage=storage, exceptions="c:x")


@pytest.mark.parametrize("section", ["2.", "4.", "5.1", "6.2", "7.2", "8.2", "10.2"])
def test_every_logical_type_has_a_row(section: str):
    """No type of the model is forgotten in the table of a section, and none appears twice."""
    rows = table(section)
    found = [code(row["Logical type"]) for row in rows]
    assert len(set(found)) == len(found)
    names = {TYPES[name].name for name in found}
    left_to_prose = {"any"} if section in ("4.", "6.2", "8.2", "10.2") else set()
    assert names == set(get_args(TypeName)) - left_to_prose
    if section != "4.":
        assert {str(logical) for logical in INTEGERS} <= set(found)


@pytest.mark.parametrize("row", table("2."), ids=lambda row: row["Logical type"])
def test_standard_storage_is_as_documented(row: Row):
    """The storage of each logical type is the one that the document names."""
    assert standard_storage(named(row)) == code(row["Standard storage"])


@pytest.mark.parametrize("row", table("2."), ids=lambda row: row["Logical type"])
def test_canonical_text_is_as_documented(row: Row):
    """Each canonical text of the document reads as its type and is written the same way again."""
    logical = named(row)
    examples = re.findall(r"`([^`]+)`", row["Canonical text"])
    if logical.name == "binary":
        assert to_text(pa.array([b"\x00\xff"]), logical).to_pylist() == examples
        return
    values, literals = standardize(pa.array(examples), None, column(logical, "string"), "t")
    assert literals is None
    assert to_text(values, logical).to_pylist() == examples


@pytest.mark.parametrize("row", table("2."), ids=lambda row: row["Logical type"])
def test_literals_are_as_documented(row: Row):
    """The named literals have no value in the standard storage; nothing else is a literal."""
    logical = named(row)
    special = ["NaN", "Infinity", "infinity", "-infinity", "24:00:00"]
    special += ["294277-01-01 00:00:00", "294277-01-01 00:00:00+00"]
    found: list[str] = []
    for text in special if logical.name != "any" else []:
        try:
            _, literals = standardize(pa.array([text]), None, column(logical, "string"), "t")
        except LossError:
            continue
        found += [] if literals is None else literals.to_pylist()
    documented = codes(row["Literals"])
    if logical.name == "timestamp":
        documented.append("294277-01-01 00:00:00")
    if logical.name == "timestamp_tz":
        documented = ["infinity", "-infinity", "294277-01-01 00:00:00+00"]
    assert found == documented


SAMPLES: dict[str, list[Any]] = {
    "integer": [0, 1, 7],
    "real": [0.5, 2.0],
    "text": [
        *("true", "7", "0.5", "2020-01-01", "12:00", "2020-01-01 12:00", "2020-01-01 12:00Z"),
        *("6ba7b810-9dad-11d1-80b4-00c04fd430c8", "maybe"),
    ],
    "blob": [b"7", b"6ba7b810-9dad-11"],
}
ARROW = {"integer": pa.int64(), "real": pa.float64(), "text": pa.string(), "blob": pa.binary()}


@pytest.mark.parametrize("klass", SAMPLES)
@pytest.mark.parametrize("row", table("4."), ids=lambda row: row["Logical type"])
def test_conversions_are_refused_where_the_document_has_a_dash(row: Row, klass: str):
    """A dash means that every value is refused, ``all`` that none is, anything else that some."""
    accepted = 0
    for value in SAMPLES[klass]:
        try:
            standardize(
                pa.array([value], ARROW[klass]), None, column(named(row), str(ARROW[klass])), "t"
            )
        except LossError:
            continue
        accepted += 1
    if row[klass] == "-":
        assert accepted == 0
    else:
        assert accepted == len(SAMPLES[klass]) if row[klass] == "all" else accepted > 0


def test_postgresql_types_are_read_as_documented(new_pg_url: Callable[[], str]):
    """A table with a column of every documented type is read with these logical types."""
    rows = table("6.1")
    made = {"an enum": "mood", "a composite type": "pair"}
    natives = [made.get(row["PostgreSQL type"], code(row["PostgreSQL type"])) for row in rows]
    definitions = ", ".join(f"c{number} {native}" for number, native in enumerate(natives))
    url = new_pg_url()
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TYPE mood AS ENUM ('sad'); CREATE TYPE pair AS (a int, b text)")
        cursor.execute(f"CREATE TABLE t ({definitions})")
        connection.commit()
        cursor.execute("SELECT 't'::regclass::oid::int8")
        ((oid,),) = cursor.fetchall()
        columns = read_columns(Catalog(connection, SourceError), [oid])[oid]
    selected = [c.selected.expression for c in columns]
    binary = [name == f'"{c.column.name}"' for c, name in zip(columns, selected, strict=True)]
    assert binary == [row["Decoded"] == "binary" for row in rows]
    with closing(open_source(url)) as source, source.snapshot(Selection()) as snapshot:
        found = snapshot.database.tables[0].columns
    for row, native, read in zip(rows, natives, found, strict=True):
        wanted = named(row)
        if wanted.name == "enum":
            wanted = LogicalType(name="enum", labels=("sad",))
        if row["PostgreSQL type"] not in made:
            assert read.native_type == native
        assert (native, read.type) == (native, wanted)
        assert read.storage == standard_storage(wanted)


@pytest.mark.parametrize("row", table("6.2"), ids=lambda row: row["Logical type"])
def test_postgresql_types_are_made_as_documented(row: Row):
    """Each logical type becomes the documented type, with a loss where one is documented."""
    text, _ = type_text(named(row), lambda _: "an enum made for the import")
    assert text == code(row["PostgreSQL type"])
    assert postgres_outcome(named(row)) == row["Outcome"]


def postgres_outcome(logical: LogicalType) -> str:
    """Say in a word what the code makes of a type in PostgreSQL."""
    text, change = type_text(logical, lambda _: "an enum made for the import")
    return _outcome(logical, text == "text", change)


def mysql_outcome(logical: LogicalType, flavour: Flavour) -> str:
    """Say in a word what the code makes of a type in MariaDB or MySQL."""
    text, change = mysql.type_text(_labelled(column(logical, "string")), flavour)
    return _outcome(logical, text == "longtext" or text.startswith("char("), change)


def _outcome(logical: LogicalType, is_text: bool, change: str | None) -> str:
    if change is None:
        return "exact"
    # A text without a limit holds every string of some length.
    return "text" if is_text and logical.name != "string" else "wider"


def _labelled(one: Column) -> Column:
    labels = ("a", "b") if one.type.name == "enum" else ()
    return replace(one, type=replace(one.type, labels=labels))


@pytest.mark.parametrize("row", table("8.2"), ids=lambda row: row["Logical type"])
def test_mysql_types_are_made_as_documented(row: Row):
    """Each logical type becomes the documented type of each server, with its documented loss."""
    logical = named(row)
    one = _labelled(column(logical, standard_storage(logical)))
    documented = (code(row["MariaDB type"]), row["Outcome"])
    assert (mysql.type_text(one, MARIADB)[0], mysql_outcome(logical, MARIADB)) == documented
    if row["MySQL, where it differs"]:
        text, _, outcome = row["MySQL, where it differs"].partition(", ")
        documented = (code(text), outcome)
    assert (mysql.type_text(one, MYSQL)[0], mysql_outcome(logical, MYSQL)) == documented


def test_mysql_types_are_read_as_documented(maria_url: str):
    """A table with a column of every documented type is read with these types and storages."""
    rows = table("8.1")
    natives = [code(row["MySQL type"]) for row in rows]
    columns = ", ".join(f"c{number} {native}" for number, native in enumerate(natives))
    maria_query(maria_url, f"CREATE TABLE t ({columns}) CHARACTER SET utf8mb4")
    with closing(open_source(maria_url)) as source, source.snapshot(Selection()) as snapshot:
        found = snapshot.database.tables[0].columns
    for row, native, read in zip(rows, natives, found, strict=True):
        assert read.native_type.split(" CHARACTER SET ")[0] == native
        wanted = named(row)
        if wanted.name == "enum":
            wanted = replace(wanted, labels=("a", "b"))
        if wanted.name in ("time", "timestamp", "timestamp_tz"):
            wanted = replace(wanted, precision=6)
        assert (native, read.type) == (native, wanted)
        assert (native, read.storage) == (native, code(row["Storage"]))


@pytest.mark.parametrize("row", table("10.1"), ids=lambda row: row["Treasure Data type"])
def test_treasure_data_types_are_read_as_documented(row: Row):
    """Each type of the service is read with the documented logical type and storage."""
    native = code(row["Treasure Data type"])
    state = TableState(name="t", id="1", columns=(("c", native),))
    database = read_database("d", [state], Selection(), TreasureDataOptions())
    read, time = database.tables[0].columns
    assert (read.type, read.storage) == (named(row), code(row["Storage"]))
    assert read.native_type == native
    assert (time.name, str(time.type), time.nullable) == ("time", "integer64", False)
    assert database.losses == ()


@pytest.mark.parametrize("row", table("10.2"), ids=lambda row: row["Logical type"])
def test_treasure_data_types_are_made_as_documented(row: Row):
    """Each logical type becomes the documented type, with its documented loss."""
    logical = named(row)
    kind, _ = treasure_data.type_of(column(logical, standard_storage(logical)), "postgresql")
    assert str(kind) == code(row["Treasure Data type"])
    assert treasure_data_outcome(logical) == row["Outcome"]


@pytest.mark.parametrize("row", table("10.1"), ids=lambda row: row["Treasure Data type"])
def test_treasure_data_gives_back_the_types_that_it_had(row: Row):
    """What came from the service goes back with its own type, and nothing is reported."""
    native = code(row["Treasure Data type"])
    one = replace(column(named(row), "string"), native_type=native)
    kind, change = treasure_data.type_of(one, "treasuredata")
    assert (str(kind), change) == (native, None)


def treasure_data_outcome(logical: LogicalType) -> str:
    """Say in a word what the code makes of a type in Treasure Data."""
    one = column(logical, standard_storage(logical))
    kind, change = treasure_data.type_of(one, "postgresql")
    return _outcome(logical, kind.name == "string", change)


@pytest.mark.parametrize("row", table("5.1"), ids=lambda row: row["Logical type"])
def test_the_overview_agrees_with_the_code(row: Row):
    """Every cell has the outcome that the code of its engine gives, and names known values."""
    logical = named(row)
    change = changed(logical)
    expected = {
        "PostgreSQL": postgres_outcome(logical),
        "SQLite": "exact" if change is None else "text",
        "MariaDB": mysql_outcome(logical, MARIADB),
        "MySQL": mysql_outcome(logical, MYSQL),
    }
    if logical.name == "any":  # the type is that of the values, which every engine has
        expected = dict.fromkeys(expected, "exact")
    expected["Treasure Data"] = treasure_data_outcome(logical)
    assert {product: cell(row[product]).outcome for product in expected} == expected


def test_the_overview_names_every_kind_of_values():
    """What a cell refuses is described for its type, and what is described is refused somewhere."""
    refused = {
        (name, code(row["Logical type"]))
        for row in table("5.1")
        for product in ("PostgreSQL", "SQLite", "MariaDB", "MySQL", "Treasure Data")
        for name in cell(row[product]).refused
    }
    assert {(values.name, values.type) for values in special_values()} == refused


@pytest.mark.parametrize(
    "row", table("7.1"), ids=lambda row: f"{row['Declared type']}-{row['Values']}"
)
def test_sqlite_types_are_read_as_documented(row: Row):
    """A declared type, with values of one class, has the documented type and storage."""
    declared = code(row["Declared type"]).replace("no type", "")
    sample = Sample() if row["Values"] == "-" else Sample(classes={row["Values"]: 5})
    kind = choose(declared, sample)
    assert (kind.type, kind.storage) == (named(row), code(row["Storage"]))


@pytest.mark.parametrize("row", table("7.2"), ids=lambda row: row["Logical type"])
def test_sqlite_types_are_made_as_documented(row: Row):
    """Each logical type becomes the documented declaration and class, with its documented loss."""
    logical = named(row)
    declared = declared_type(logical)
    assert declared == code(row["Declared type"]).replace("no type", "")
    assert stored_class(logical) == row["Stored as"]
    assert (changed(logical) is None) == (row["Outcome"] == "exact")


@pytest.mark.parametrize("row", table("7.2"), ids=lambda row: row["Logical type"])
def test_sqlite_reads_back_the_type_that_it_was_given(row: Row):
    """What the target declares is read as the same logical type, but for opaque text."""
    logical = named(row)
    if logical.name in ("array", "native"):
        return
    klass = row["Stored as"] if row["Stored as"] != "any" else None
    labels = ("a",) if logical.name == "enum" else ()
    found = logical_type(declared_type(logical), klass, labels=labels)
    assert found == (LogicalType(name="enum", labels=labels) if labels else logical)


def test_headings_are_numbered_in_order():
    """Sections can be quoted by number, so the numbers run without a gap."""
    text = DOCUMENT.read_text(encoding="utf-8")
    numbers = [int(number) for number in re.findall(r"^## (\d+)\.", text, flags=re.MULTILINE)]
    assert numbers[0] == 1
    assert all(second == first + 1 for first, second in pairwise(numbers))
