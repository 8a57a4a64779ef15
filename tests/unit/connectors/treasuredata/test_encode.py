"""Rows as msgpack maps, compared with what msgpack itself unpacks."""

from __future__ import annotations

import gzip
import io
import math
from typing import Any

import msgpack
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbsync.connectors.treasuredata.encode import SLICE_BYTES, Parts, encode_rows

LONG = st.integers(-(2**63), 2**63 - 1)
KINDS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "small": (pa.int8(), st.integers(-(2**7), 2**7 - 1)),
    "tiny": (pa.int64(), st.integers(0, 127)),
    "short": (pa.int64(), st.integers(-(2**15), 2**15 - 1)),
    "int": (pa.int32(), st.integers(-(2**31), 2**31 - 1)),
    "long": (pa.int64(), LONG),
    "unsigned": (pa.uint64(), st.integers(0, 2**63 - 1)),
    "float": (pa.float32(), st.floats(width=32)),
    "double": (pa.float64(), st.floats()),
    "text": (pa.string(), st.text(max_size=40)),
}


def unpacked(data: bytes) -> list[dict[str, Any]]:
    """Unpack with the library that is no part of the connector."""
    return list(msgpack.Unpacker(io.BytesIO(data), raw=False))


def same(one: Any, other: Any) -> bool:
    """Compare values, NaN with itself and zeros with their signs."""
    if isinstance(one, float) and isinstance(other, float):
        return (math.isnan(one) and math.isnan(other)) or (
            one == other and math.copysign(1, one) == math.copysign(1, other)
        )
    return type(one) is type(other) and one == other


@given(st.data())
def test_rows_are_unpacked_as_they_were(data: st.DataObject) -> None:
    """Every kind of value, with NULLs and without, in any combination of columns."""
    chosen = data.draw(st.lists(st.sampled_from(list(KINDS)), min_size=1, max_size=20))
    length = data.draw(st.integers(1, 8))
    columns: list[tuple[str, pa.Array]] = []
    for number, kind in enumerate(chosen):
        type_, values = KINDS[kind]
        nullable = data.draw(st.booleans())
        one = st.one_of(st.none(), values) if nullable else values
        drawn = data.draw(st.lists(one, min_size=length, max_size=length))
        columns.append((f"{kind}{number}", pa.array(drawn, type_)))
    found = unpacked(encode_rows(columns).to_pybytes())
    assert len(found) == length
    for name, values in columns:
        wanted = values.to_pylist()
        assert all(same(row[name], value) for row, value in zip(found, wanted, strict=True))
    assert all(len(row) == len(columns) for row in found)


@pytest.mark.parametrize("length", [0, 31, 32, 255, 256, 65_535, 65_536])
def test_texts_of_every_length_have_the_right_head(length: int) -> None:
    """The heads of msgpack for texts change with their length; a NULL is among them."""
    values = ["x" * length, "é", None, ""]
    found = unpacked(encode_rows([("c", pa.array(values))]).to_pybytes())
    assert [row["c"] for row in found] == values


@pytest.mark.parametrize("count", [1, 15, 16, 300])
def test_maps_of_every_size_have_the_right_head(count: int) -> None:
    """The heads of msgpack for maps change with the number of columns."""
    columns = [(f"c{number}", pa.array([number])) for number in range(count)]
    (row,) = unpacked(encode_rows(columns).to_pybytes())
    assert row == {f"c{number}": number for number in range(count)}


def test_what_is_packed_already_is_taken_as_it_is() -> None:
    """Arrays and maps come as msgpack, and NULLs among them stay NULL."""
    nested = pa.array([msgpack.packb([1, {"a": None}]), None, msgpack.packb({})], pa.binary())
    found = unpacked(encode_rows([("time", pa.array([1, 2, 3])), ("c", nested)]).to_pybytes())
    assert [row["c"] for row in found] == [[1, {"a": None}], None, {}]


def test_slices_of_an_array_are_spelled_by_their_own_values() -> None:
    """Arrays that begin in the middle of their buffers are read from there."""
    numbers, texts = pa.array(range(10)), pa.array([f"t{n}" for n in range(10)])
    found = unpacked(encode_rows([("n", numbers.slice(7)), ("t", texts.slice(7))]).to_pybytes())
    assert found == [{"n": n, "t": f"t{n}"} for n in (7, 8, 9)]


def test_parts_end_where_they_are_large_enough() -> None:
    """A chunk beyond the size of a part is cut between rows; no row is lost or sent twice."""
    parts = Parts(part_bytes=20_000)
    texts = [f"{number * 7919 % 100_003:09d}" * 8 for number in range(4000)]
    for start in range(0, 4000, 500):
        batch = pa.array(texts[start : start + 500])
        parts.add([("time", pa.array(range(start, start + 500))), ("c", batch)])
    done = parts.finish()
    assert len(done) > 1
    rows = [row for part in done for row in unpacked(gzip.decompress(part.data))]
    assert rows == [{"time": n, "c": text} for n, text in enumerate(texts)]
    assert [part.rows for part in done] == [len(unpacked(gzip.decompress(p.data))) for p in done]
    assert parts.finish() == []


def test_the_same_rows_give_the_same_bytes() -> None:
    """A part that is uploaded again after a lost answer is the same part."""

    def made() -> list[bytes]:
        parts = Parts()
        parts.add([("time", pa.array(range(1000)))])
        return [part.data for part in parts.finish()]

    assert made() == made()


def test_large_batches_are_spelled_in_pieces() -> None:
    """Memory is bounded by the size of a piece, whatever the size of a batch."""
    value, rows = "x" * 10_000, 3 * SLICE_BYTES // 10_000
    parts = Parts()
    parts.add([("time", pa.array(range(rows))), ("c", pa.array([value] * rows))])
    (part,) = parts.finish()
    found = unpacked(gzip.decompress(part.data))
    assert [row["time"] for row in found] == list(range(rows))
    assert all(row["c"] == value for row in found)
