"""The exceptions field: built sparsely, found only where it holds something."""

from __future__ import annotations

import pyarrow as pa
import pytest

from dbsync.model.types import integer
from dbsync.model.values import EXCEPTIONS_TYPE, column_values, make_exceptions
from tests.unit.model.values.building import batch, column


def test_exceptions_stand_at_their_rows_and_nowhere_else():
    """Rows may come in any order; every other row is NULL."""
    made = make_exceptions(5, [3, 0], ["text", "blob"], [b"a", b"\xff"])
    assert made.type == EXCEPTIONS_TYPE
    assert made.to_pylist() == [
        {"kind": "blob", "value": b"\xff"},
        None,
        None,
        {"kind": "text", "value": b"a"},
        None,
    ]


def test_one_kind_may_stand_for_all_rows():
    """A single kind and arrow arrays are taken as they are."""
    rows, values = pa.array([1, 2], pa.int32()), pa.array([b"NaN", b""], pa.binary())
    made = make_exceptions(3, rows, "literal", values)
    assert made.to_pylist() == [
        None,
        {"kind": "literal", "value": b"NaN"},
        {"kind": "literal", "value": b""},
    ]


@pytest.mark.parametrize("length", [0, 4])
def test_no_rows_give_nulls(length: int):
    """An empty choice makes an array of NULLs of the asked length and the right type."""
    made = make_exceptions(length, [], "text", [])
    assert (len(made), made.null_count, made.type) == (length, length, EXCEPTIONS_TYPE)


def test_a_batch_without_the_field_has_no_exceptions():
    """The values come alone where the batch has no such field, or only NULLs in it."""
    bare = batch(c=pa.array([1, 2]))
    empty = batch(c=pa.array([1, 2]), c__exceptions=pa.nulls(2, EXCEPTIONS_TYPE))
    for given in (bare, empty):
        values, exceptions = column_values(given, column(integer(64), "int64"))
        assert values.to_pylist() == [1, 2]
        assert exceptions is None


def test_a_batch_with_exceptions_gives_them_with_the_values():
    """The field is found by the name that the column declares."""
    made = make_exceptions(2, [1], "text", [b"x"])
    given = batch(c=pa.array([1, None]), c__exceptions=made)
    values, exceptions = column_values(given, column(integer(64), "int64"))
    assert values.to_pylist() == [1, None]
    assert exceptions is not None
    assert exceptions.equals(made)
