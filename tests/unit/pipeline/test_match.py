"""Which table and columns of a database those of an archive have become."""

from __future__ import annotations

from dbsync.model.schema import Column, Name, Table
from dbsync.model.types import LogicalType
from dbsync.pipeline.comparing.match import Counterparts, column_names, counterparts


def table(name: str, *columns: str, schema: str | None = None) -> Table:
    """Make a table by its names."""
    made = [
        Column(name=c, type=LogicalType(name="string"), native_type="", storage="string",
               exceptions=f"{c}:x")
        for c in columns
    ]  # fmt: skip
    return Table(name=Name(schema, name), columns=tuple(made))


def test_tables_are_found_as_engines_with_few_characters_call_them() -> None:
    """Lower case, and an underline for what is not allowed; a schema stands in front."""
    there = [table("order_details"), table("public_film"), table("old_film")]
    wanted = [Name(None, "Order Details"), Name("public", "film"), Name("old", "film")]
    found = counterparts(there, wanted, None)
    assert [t.name.name for t in found.values() if t] == [
        "order_details",
        "public_film",
        "old_film",
    ]
    chosen = Counterparts.of(wanted)
    assert all(chosen.selects(t.name) for t in there)
    assert not chosen.selects(Name(None, "orders"))


def test_a_nearer_name_comes_first_and_doubt_finds_nothing() -> None:
    """The name itself, then its case, then its characters; two that fit equally are none."""
    there = [table("a b"), table("A B"), table("a_b")]
    found = counterparts(there, [Name(None, "a b"), Name(None, "a-b")], None)
    assert [t.name.name if t else None for t in found.values()] == ["a b", None]


def test_columns_are_found_by_what_is_known_and_what_is_near() -> None:
    """A rename that is known counts before any likeness; what is in doubt is missing."""
    archived = table("t", "Unit Price", "time", "Größe", "a-b")
    there = table("t", "unit_price", "time", "time_2", "gr__e", "a_b", "A_B")
    names, missing = column_names(archived, there, {"time": "time_2"})
    assert names == ["unit_price", "time_2", "gr__e"]
    assert missing == ["a-b"]
