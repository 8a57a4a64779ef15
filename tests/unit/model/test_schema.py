"""The model of a database: its JSON form and the names of exceptions fields."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbsync.model.schema import (
    Check,
    Column,
    Database,
    Default,
    ForeignKey,
    Generated,
    Identity,
    Index,
    IndexColumn,
    Key,
    Loss,
    Name,
    NativeObject,
    Sequence,
    Table,
    exceptions_names,
)
from dbsync.model.types import LogicalType, decimal, integer

ORDERS = Name("public", "orders")


def _database() -> Database:
    """Build a database that uses every field of the model at least once."""
    number = Column(
        name="id",
        type=integer(64),
        native_type="bigint",
        storage="int64",
        exceptions="id:exceptions",
        nullable=False,
        identity=Identity(kind="always", sequence=Name("public", "orders_id_seq")),
        comment='the "number"',
    )
    tags = Column(
        name="tags",
        type=LogicalType(name="array", element=LogicalType(name="enum", labels=("a", "b"))),
        native_type="tag[]",
        storage="string",
        exceptions="tags:exceptions",
        default=Default(kind="literal", value="{}"),
        collation="C",
    )
    total = Column(
        name="total",
        type=decimal(10, 2),
        native_type="numeric(10,2)",
        storage="decimal128(10, 2)",
        exceptions="total:exceptions",
        generated=Generated(expression="a + b", stored=False),
    )
    table = Table(
        name=ORDERS,
        columns=(number, tags, total),
        primary_key=Key(columns=("id",), name="orders_pkey", deferrable=True),
        uniques=(Key(columns=("tags", "total"), nulls_distinct=False),),
        foreign_keys=(
            ForeignKey(
                columns=("id",),
                referred=Name(None, "other"),
                referred_columns=("id",),
                on_delete="set null",
                match_full=True,
            ),
        ),
        checks=(Check(expression="total > 0", name="positive"),),
        indexes=(
            Index(
                name="i",
                columns=(IndexColumn(column="id", descending=True), IndexColumn(expression="f(x)")),
                unique=True,
                portable=False,
                definition="CREATE INDEX ...",
            ),
        ),
        comment="\U0001f600",
        where="id > 5",
        all_columns=False,
        rows_estimate=7,
        bytes_estimate=99,
        details={"strict": "true"},
    )
    return Database(
        engine="postgresql",
        version="18.1",
        name="shop",
        tables=(table,),
        sequences=(Sequence(name=Name("public", "s"), last_value=5, is_called=True, maximum=9),),
        native=(
            NativeObject(
                kind="VIEW",
                name=Name("public", "v"),
                sql="CREATE VIEW v AS SELECT 1",
                section="after_rows",
                table=ORDERS,
                provides="1",
                requires=("2", "3"),
                covers="table",
            ),
        ),
        losses=(Loss(object="view public.v", reason="why", severity="changed"),),
        details={"collation": "C"},
    )


def test_a_database_comes_back_from_its_json_form():
    """Every field of the model survives the documents of an archive."""
    database = _database()
    assert msgspec.json.decode(msgspec.json.encode(database), type=Database) == database


def test_unknown_fields_are_ignored_so_that_minor_versions_may_add_some():
    """A document of a later minor version is read by this one."""
    document = msgspec.to_builtins(_database())
    document["later"] = 1
    document["tables"][0]["later"] = {"a": []}
    document["tables"][0]["columns"][0]["type"]["later"] = None
    assert msgspec.convert(document, Database) == _database()


def test_a_missing_required_field_is_refused():
    """A column without its storage is an invalid document, not a guess."""
    document = msgspec.to_builtins(_database())
    del document["tables"][0]["columns"][0]["storage"]
    with pytest.raises(msgspec.ValidationError, match="storage"):
        msgspec.convert(document, Database)


def test_the_model_is_immutable():
    """Structs are shared between threads and used as keys, so nothing may change them."""
    database = _database()
    with pytest.raises(AttributeError):
        database.tables[0].columns[0].name = "x"  # type: ignore[misc]


def test_tables_and_columns_are_found_by_name_or_named_in_the_error():
    """A lookup returns the struct, and a miss names what was looked for."""
    database = _database()
    assert database.table(ORDERS).column("total").type == decimal(10, 2)
    with pytest.raises(KeyError, match=r"public\.none"):
        database.table(Name("public", "none"))
    with pytest.raises(KeyError, match="missing"):
        database.table(ORDERS).column("missing")


def test_names_are_shown_with_their_schema_where_there_is_one():
    """Messages show ``schema.name`` or the bare name."""
    assert (str(ORDERS), str(Name(None, "t"))) == ("public.orders", "t")


@given(st.lists(st.sampled_from(["a", "a:exceptions", "a:exceptions_", "b"]), unique=True))
def test_exceptions_fields_never_clash_with_a_column_or_one_another(names: list[str]):
    """Whatever the columns are called, each gets a field name of its own, derived from its name."""
    chosen = exceptions_names(names)
    assert list(chosen) == names
    assert all(field.startswith(f"{name}:exceptions") for name, field in chosen.items())
    everything = [*names, *chosen.values()]
    assert len(set(everything)) == len(everything)
