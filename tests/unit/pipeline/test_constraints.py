"""Keys that a restored database lacks: what counts as lost, and what was told beforehand."""

from __future__ import annotations

from msgspec.structs import replace

from dbsync.model.schema import Column, ForeignKey, Index, IndexColumn, Key, Loss, Name, Table
from dbsync.model.types import integer
from dbsync.pipeline.comparing.constraints import missing_keys

COLUMNS = tuple(
    Column(name=name, type=integer(64), native_type="", storage="int64", exceptions=f"{name}:e")
    for name in ("id", "a", "b")
)
PARENT = Table(name=Name("public", "parent"), columns=COLUMNS, primary_key=Key(columns=("id",)))
CHILD = Table(
    name=Name("public", "child"),
    columns=COLUMNS,
    primary_key=Key(columns=("id", "a")),
    uniques=(Key(columns=("a", "b")),),
    foreign_keys=(
        ForeignKey(columns=("a",), referred=PARENT.name, referred_columns=("id",), name="fk"),
    ),
)
BOTH = (PARENT, CHILD)


def elsewhere(table: Table) -> Table:
    """Give a table as an engine without schemas has it, under other names of constraints."""
    keys = tuple(
        replace(fk, referred=Name(None, fk.referred.name), name=None) for fk in table.foreign_keys
    )
    return replace(table, name=Name(None, table.name.name), foreign_keys=keys)


THERE = tuple(elsewhere(table) for table in BOTH)


def test_the_same_keys_under_other_names() -> None:
    """Names of constraints, schemas, and the order of unique columns do not matter."""
    child = replace(THERE[1], uniques=(Key(columns=("B", "A"), name="other"),))
    assert missing_keys(BOTH, (THERE[0], child), ()) == []


def test_a_unique_index_is_a_unique_key() -> None:
    """A unique key that came back as an index is none the less there."""
    parts = (IndexColumn(column="a"), IndexColumn(column="b"))
    child = replace(THERE[1], uniques=(), indexes=(Index(name="i", columns=parts, unique=True),))
    assert missing_keys(BOTH, (THERE[0], child), ()) == []
    plain = replace(child, indexes=(Index(name="i", columns=parts),))
    assert len(missing_keys(BOTH, (THERE[0], plain), ())) == 1


def test_each_lost_key_is_named() -> None:
    """A missing table, primary, unique and foreign key have a line each."""
    child = replace(THERE[1], primary_key=Key(columns=("a", "id")), uniques=(), foreign_keys=())
    assert missing_keys(BOTH, (THERE[0], child), ()) == [
        "table public.child has lost its primary key (id, a)",
        "table public.child has lost its unique key (a, b)",
        "table public.child has lost its foreign key (a)",
    ]
    assert missing_keys(BOTH, (THERE[1],), ()) == ["table public.parent is not there"]


def test_a_reference_to_another_column_is_another_key() -> None:
    """A foreign key counts only with the table and the columns that it refers to."""
    fk = replace(THERE[1].foreign_keys[0], referred_columns=("b",))
    child = replace(THERE[1], foreign_keys=(fk,))
    assert missing_keys(BOTH, (THERE[0], child), ()) == [
        "table public.child has lost its foreign key (a)"
    ]


def test_what_the_loss_report_told_is_left_out() -> None:
    """A key that the plan said would be lost is not a difference."""
    child = replace(THERE[1], foreign_keys=())
    told = [Loss(object="foreign key fk of table public.child", reason="...")]
    assert missing_keys(BOTH, (THERE[0], child), told) == []
