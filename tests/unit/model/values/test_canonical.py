"""Canonical rows: equal values are equal bytes whatever stored them, different ones differ."""

from __future__ import annotations

import math
import random
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbsync.model.types import LogicalType, decimal, integer
from dbsync.model.values import RowsDigest, canonical, make_exceptions, row_digests
from tests.unit.model.values.building import batch, column, padded, table

ANY, BOOLEAN, DATE, NUMERIC, STRING = (
    LogicalType(name=name) for name in ("any", "boolean", "date", "numeric", "string")
)
BINARY, JSON, TIME, UUID_TYPE = (
    LogicalType(name=name) for name in ("binary", "json", "time", "uuid")
)
TIMESTAMP_TZ, FLOAT64 = LogicalType(name="timestamp_tz"), LogicalType(name="float", bits=64)
FLOAT32 = LogicalType(name="float", bits=32)


def rows(
    values: pa.Array, logical: LogicalType, exceptions: pa.StructArray | None = None
) -> list[bytes]:
    """Write one column as canonical rows."""
    fields = {"c": values} if exceptions is None else {"c": values, "c__exceptions": exceptions}
    return canonical(batch(**fields), table(column(logical, str(values.type)))).to_pylist()


def odd(kind: str, *values: bytes) -> tuple[pa.Array, pa.StructArray]:
    """Make a column of integers that holds only exceptions."""
    count = len(values)
    return pa.nulls(count, pa.int64()), make_exceptions(count, range(count), kind, list(values))


@pytest.mark.parametrize(
    ("logical", "first", "second"),
    [
        (BOOLEAN, pa.array([True, False, None]), pa.array([1, 0, None])),
        (integer(32), pa.array([5, -1, None], pa.int32()), pa.array([5.0, -1.0, None])),
        (integer(64), pa.array([0]), pa.array([-0.0])),
        (FLOAT64, pa.array([0.0, 5.0]), pa.array([-0.0, 5])),
        (FLOAT64, pa.array([math.nan]), pa.array(["NaN"])),
        (FLOAT32, pa.array([0.1], pa.float32()), pa.array([0.10000000149011612])),
        (decimal(10, 2), pa.array([Decimal("1.10")]), pa.array([1.1])),
        (decimal(10, 2), pa.array([Decimal("100.00")]), pa.array([100])),
        (decimal(10, 2), pa.array([Decimal("0.00")]), pa.array(["-0"])),
        (decimal(50, 2), pa.array(["1.10"]), pa.array([1.1])),
        (NUMERIC, pa.array(["1.10", "100", "NaN"]), pa.array(["1.1", "1e2", "NaN"])),
        (NUMERIC, pa.array(["0.5", "-0.0", "1000"]), pa.array([0.5, 0.0, 1000.0])),
        (DATE, pa.array([18262], pa.int32()).cast(pa.date32()), pa.array(["2020-01-01"])),
        (TIME, pa.array([3_600_000_000]).cast(pa.time64("us")), pa.array(["01:00"])),
        (
            TIMESTAMP_TZ,
            pa.array([0, None]).cast(pa.timestamp("us", "UTC")),
            pa.array(["1970-01-01T01:00:00+01:00", None]),
        ),
        (
            UUID_TYPE,
            pa.array([UUID(int=5).bytes], pa.binary(16)),
            pa.array([str(UUID(int=5)).upper()]),
        ),
    ],
)
def test_equal_values_are_equal_bytes_in_any_storage(
    logical: LogicalType, first: pa.Array, second: pa.Array
):
    """One column of the type table, as two engines store it, gives the same rows."""
    assert rows(first, logical) == rows(second, logical)


@pytest.mark.parametrize(
    ("logical", "literal", "other"),
    [
        (decimal(10, 2), b"NaN", pa.array(["NaN"])),
        (DATE, b"-infinity", pa.array(["-infinity"])),
        (TIME, b"24:00:00", pa.array(["24:00"])),
        (DATE, b"0044-03-15 BC", pa.array([-735160], pa.int32()).cast(pa.date32())),
        (NUMERIC, b"1.50", pa.array(["1.5"])),
    ],
)
def test_literals_equal_the_same_value_in_another_form(
    logical: LogicalType, literal: bytes, other: pa.Array
):
    """A literal is compared by what it means: as a literal, or as the value that it spells."""
    assert rows(*odd("literal", literal)[:1], logical, odd("literal", literal)[1]) == rows(
        other, logical
    )


def test_values_that_no_type_compares_are_compared_by_class_and_bytes():
    """The text 2, the number 2 and the blob 2 in a boolean column are three values."""
    found = [
        rows(values, BOOLEAN, exceptions)[0]
        for values, exceptions in (odd(kind, b"2") for kind in ("text", "integer", "blob"))
    ]
    assert len(set(found)) == 3
    assert rows(pa.array([2]), BOOLEAN) == [found[1]]


def test_unknown_literals_are_compared_as_they_stand():
    """Literals that this version cannot read are still two different values."""
    found = [rows(*odd("literal", text)[:1], DATE, odd("literal", text)[1]) for text in UNKNOWN]
    assert found[0] != found[1]
    assert found[0] == [b"!literal!4:soon"]


UNKNOWN = (b"soon", b"later")


@given(st.lists(st.tuples(st.text("!tex01:", max_size=9), st.text("!tex01:", max_size=9))))
def test_values_compared_by_class_do_not_run_into_one_another(drawn: list[tuple[str, str]]):
    """Texts that look like the canonical form itself keep rows of typeless columns apart."""
    made = batch(
        a=pa.array([row[0] for row in drawn], pa.string()),
        b=pa.array([row[1] for row in drawn], pa.string()),
    )
    found = canonical(made, table(column(ANY, name="a"), column(ANY, name="b"))).to_pylist()
    assert len(set(found)) == len(set(drawn))


def test_bytes_kept_as_canonical_text_equal_these_bytes():
    """A database without bytes keeps them as text; any other text differs from all bytes."""
    values = [b"", b"\x00\xff", b"\\x00", None, b"\n" * 300]
    texts = ["\\x", "\\x00ff", "\\x5c783030", None, "\\x" + "0a" * 300]
    assert rows(pa.array(texts), BINARY) == rows(pa.array(values, pa.binary()), BINARY)
    assert rows(pa.array(texts).slice(1, 2), BINARY) == rows(pa.array(values[1:3]), BINARY)
    others = ["\\x0", "\\xZZ", "\\xFF", "00", "\\\\x00", ""]
    taken = rows(pa.array([text.encode() for text in others]), BINARY)
    found = rows(pa.array([*others, "\\x00"]), BINARY)
    assert all(cell.startswith(b"!text!") for cell in found[:-1])
    assert not set(found) & set(taken)


def test_json_is_compared_as_text():
    """Two documents that differ in blanks are different rows: nothing is normalised."""
    assert len(set(rows(pa.array(['{"a":1}', '{"a": 1}']), JSON))) == 2


def test_without_a_type_the_class_counts():
    """In a column without a declared type, 1 and 1.0 and '1' differ, as SQLite tells them apart."""
    found = [rows(values, ANY)[0] for values in (pa.array([1]), pa.array([1.0]), pa.array(["1"]))]
    assert len(set(found)) == 3
    for spelling in (b"1", b"1.0", b"1e0"):
        values, exceptions = odd("real", spelling)
        assert rows(values, ANY, exceptions) == [found[1]]
    values, exceptions = odd("real", b"inf")
    assert rows(values, ANY, exceptions) == rows(pa.array([math.inf]), ANY)


cells = st.none() | st.text(alphabet="01:;~!te\x00", max_size=4)


@given(st.lists(st.tuples(cells, cells, cells), min_size=2, max_size=12))
def test_different_rows_never_share_their_bytes(drawn: list[tuple[str | None, ...]]):
    """NULL, empty text and every delimiter inside of values keep rows apart."""
    names = ("a", "b", "c")
    kinds = (pa.string(), pa.binary(), pa.string())
    columns: list[list[Any]] = [list(values) for values in zip(*drawn, strict=True)]
    columns[1] = [None if value is None else value.encode() for value in columns[1]]
    made = batch(
        **{
            name: padded(values, kind)
            for name, kind, values in zip(names, kinds, columns, strict=True)
        }
    )
    logicals = (STRING, BINARY, JSON)
    described = table(*(column(t, name=n) for t, n in zip(logicals, names, strict=True)))
    found = canonical(made, described).to_pylist()
    for first, left in zip(drawn, found, strict=True):
        for second, right in zip(drawn, found, strict=True):
            assert (first == second) == (left == right)


@given(
    st.lists(st.tuples(st.none() | st.integers(-12, 12), st.none() | st.integers(-12, 12))),
)
def test_columns_of_numbers_do_not_run_into_one_another(drawn: list[tuple[int | None, ...]]):
    """1 beside 12 is not 11 beside 2."""
    made = batch(
        a=pa.array([row[0] for row in drawn], pa.int64()),
        b=pa.array([row[1] for row in drawn], pa.int64()),
    )
    described = table(column(integer(64), "int64", "a"), column(integer(64), "int64", "b"))
    found = canonical(made, described).to_pylist()
    assert len(set(found)) == len(set(drawn))


@given(st.lists(st.floats(), min_size=2, max_size=20))
def test_doubles_differ_where_they_are_not_equal(values: list[float]):
    """NaN equals NaN and -0 equals 0; any other two doubles differ."""
    found = rows(pa.array(values, pa.float64()), FLOAT64)
    for first, left in zip(values, found, strict=True):
        for second, right in zip(values, found, strict=True):
            same = first == second or (math.isnan(first) and math.isnan(second))
            assert same == (left == right)


def test_columns_are_chosen_and_ordered_by_the_caller():
    """Only the named columns count, in the order named; no column leaves equal empty rows."""
    made = batch(a=pa.array([1]), b=pa.array(["x"]))
    described = table(column(integer(64), "int64", "a"), column(STRING, name="b"))
    assert canonical(made, described, ["b"]).to_pylist() == [b"1:x"]
    assert canonical(made, described, ["b", "a"]).to_pylist() == [b"1:x1;"]
    assert canonical(made, described).to_pylist() == [b"1;1:x"]
    assert canonical(made, described, []).to_pylist() == [b""]


@given(st.lists(st.binary(max_size=3), max_size=30), st.randoms(use_true_random=False))
def test_digests_ignore_order_and_add_up(values: list[bytes], shuffle: random.Random):
    """Any order, and any division into parts, gives the digest of the whole."""
    whole = row_digests(pa.array(values, pa.binary()))
    mixed = list(values)
    shuffle.shuffle(mixed)
    cut = shuffle.randint(0, len(mixed))
    parts = [row_digests(pa.array(part, pa.binary())) for part in (mixed[:cut], mixed[cut:])]
    assert sum(parts, RowsDigest()) == whole
    assert whole.count == len(values)
    assert 0 <= whole.sum < 2**128


@given(st.lists(st.sampled_from([b"a", b"b", b"c"])), st.lists(st.sampled_from([b"a", b"b", b"c"])))
def test_digests_differ_where_the_rows_do(first: list[bytes], second: list[bytes]):
    """A row that is missing, exchanged or doubled changes the digest."""
    digests = [row_digests(pa.array(values, pa.binary())) for values in (first, second)]
    assert (digests[0] == digests[1]) == (sorted(first) == sorted(second))
