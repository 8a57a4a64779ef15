"""Names that tables and columns get, and those of an import while it lasts."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from dbsync.connectors.treasuredata.names import (
    column_names,
    is_temporary,
    marks,
    table_names,
)
from dbsync.model.schema import Name, Table
from tests.unit.connectors.treasuredata.loading import column, table


def named(*names: str | Name) -> list[Table]:
    """Make tables by their names alone."""
    return [Table(name=n if isinstance(n, Name) else Name(None, n), columns=()) for n in names]


def texts(*names: str | Name) -> list[str]:
    """Give the names that tables get, in order."""
    return list(table_names(named(*names))[0].values())


def test_allowed_names_stay_and_are_no_loss() -> None:
    """What the service takes as it stands is neither renamed nor reported."""
    names, losses = table_names(named("orders", "log_2024", "___"))
    assert list(names.values()) == ["orders", "log_2024", "___"]
    assert losses == []


def test_other_names_are_written_with_what_is_allowed() -> None:
    """Letters become lower case, the rest an underline, and short names get longer."""
    assert texts("Order Details", "Größe", "t", "") == ["order_details", "gr__e", "t__", "___"]


def test_a_changed_name_is_reported() -> None:
    """The loss report says what a table and a column are called."""
    _, (loss,) = table_names(named("Album"))
    assert (loss.object, loss.severity) == ("table Album", "changed")
    assert loss.reason.startswith("is called album:")
    _, (loss,) = column_names(table("t", column("Album Id")), None)
    assert (loss.object, loss.severity) == ("column t.Album Id", "changed")
    assert loss.reason.startswith("is called album_id:")


def test_names_that_fall_together_get_numbers_and_the_allowed_one_stays() -> None:
    """Of names that become equal, the one that is allowed already keeps its own."""
    assert texts("Film", "FILM", "film") == ["film_3", "film_2", "film"]
    assert texts("film", "Film", "FILM") == ["film", "film_3", "film_2"]


def test_schemas_tell_tables_of_one_name_apart() -> None:
    """Only where two tables share a name, their schemas come in front."""
    found = texts(Name("public", "film"), Name("old", "film"), Name("public", "actor"))
    assert found == ["public_film", "old_film", "actor"]


def test_long_names_are_cut_and_stay_apart() -> None:
    """Names beyond 128 characters keep their beginning and get a hash of the whole."""
    first, second = texts("a" * 200 + "1", "a" * 200 + "2")
    assert len(first) == len(second) == 128
    assert first != second


def test_no_table_is_called_like_a_temporary_one() -> None:
    """A table with such a name would be hidden, and removed by the next import."""
    (found,) = texts("dbsync_01234567_0123456789ab")
    assert is_temporary("dbsync_01234567_0123456789ab")
    assert not is_temporary(found)


def test_reserved_columns_are_renamed_but_for_the_one_that_gives_the_time() -> None:
    """``time`` and ``v`` mean something else here; digits do not begin a name."""
    given_ = table("t", *(column(name) for name in ("time", "v", "2nd", "Time", "ok")))
    names, _ = column_names(given_, None)
    assert names == {"ok": "ok", "2nd": "_2nd", "time": "time_2", "Time": "time_3", "v": "v_2"}
    names, losses = column_names(given_, "time")
    assert names["time"] == "time"
    assert names["Time"] == "time_2"
    assert not any(loss.object == "column t.time" for loss in losses)


@given(st.lists(st.text(max_size=140), unique=True, max_size=12))
def test_names_are_always_allowed_distinct_and_the_same(names: list[str]) -> None:
    """Whatever the names, those here are allowed, none is given twice, and order is no matter."""
    tables, _ = table_names(named(*names))
    assert all(re.fullmatch(r"[a-z0-9_]{3,128}", name) for name in tables.values())
    assert len(set(tables.values())) == len(names)
    assert table_names(named(*reversed(names)))[0] == tables
    columns, _ = column_names(table("t", *(column(name) for name in names)), None)
    assert all(re.fullmatch(r"[a-z_][a-z0-9_]{0,127}", name) for name in columns.values())
    assert len({*columns.values(), "time", "v"}) == len(names) + 2


def test_marks_belong_to_one_import_of_one_table() -> None:
    """Another import, table, database or choice of columns has other temporary names."""
    base = marks("id", "shop", "orders", "columns")
    assert base == marks("id", "shop", "orders", "columns")
    others = [
        marks("other", "shop", "orders", "columns"),
        marks("id", "shop", "orders", "fewer columns"),
    ]
    assert all(other.table != base.table and other.family == base.family for other in others)
    apart = [marks("id", "shop", "items", "columns"), marks("id", "mall", "orders", "columns")]
    assert all(other.family != base.family for other in apart)
    assert is_temporary(base.table)
    assert base.table.startswith(base.family)
