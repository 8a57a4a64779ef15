"""From stored results to batches: every form of msgpack, cut anywhere, and nothing missing."""

from __future__ import annotations

import gzip
import struct
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbsync.connectors.treasuredata import packed as packed_module
from dbsync.connectors.treasuredata.packed import PADDING, find_rows
from dbsync.connectors.treasuredata.rows import Damaged, batches, unpacked
from dbsync.errors import LossError, SourceError
from dbsync.model.schema import Table
from tests.unit.connectors.treasuredata.packing import (
    BY_TYPE,
    SCALARS,
    Row,
    comparable,
    decoded,
    expected,
    header,
    packed,
    results,
    table_of,
)

CUTS = st.lists(st.integers(0, 1 << 20), max_size=8)


def check(table: Table, content: bytes, rows: int, cut: list[int], size: int) -> None:
    found = decoded(table, content, rows, cut=cut, size=size)
    assert comparable(found, table) == comparable(expected(table, content), table)


@settings(deadline=None, max_examples=150)
@given(results(SCALARS), CUTS, st.sampled_from([1, 64, 1 << 20]))
def test_rows_of_scalars_are_what_msgpack_reads(
    result: tuple[Table, list[Row]], cut: list[int], size: int
) -> None:
    """All widths of integers, floats, texts and nil, in rows of 1 to 40 columns that arrive cut
    anywhere, are decoded as msgpack's own reader does, also where values look like rows."""
    table, rows = result
    check(table, packed(rows), len(rows), cut, size)


@settings(deadline=None, max_examples=60)
@given(results(tuple(BY_TYPE)), CUTS, st.sampled_from([1, 64, 1 << 20]))
def test_rows_with_arrays_and_maps_are_what_msgpack_reads(
    result: tuple[Table, list[Row]], cut: list[int], size: int
) -> None:
    """The same holds where columns are arrays and maps, whose values become JSON."""
    table, rows = result
    check(table, packed(rows), len(rows), cut, size)


@settings(deadline=None, max_examples=40)
@given(results(SCALARS), CUTS, st.lists(st.sampled_from([0, 0, 0, 2, 4]), min_size=1, max_size=9))
def test_any_header_of_a_row_is_read(
    result: tuple[Table, list[Row]], cut: list[int], widths: list[int]
) -> None:
    """Rows whose header is longer than it needs to be are found all the same, also between others:
    none is jumped over."""
    table, rows = result
    content = b"".join(
        header(len(row), width=widths[number % len(widths)]) + b"".join(row)
        for number, row in enumerate(rows)
    )
    check(table, content, len(rows), cut, 64)


@settings(deadline=None, max_examples=60)
@given(results(SCALARS), st.data())
def test_damage_is_told_or_harmless(result: tuple[Table, list[Row]], data: st.DataObject) -> None:
    """A result with any one byte changed gives an error of ours, or as many rows as before."""
    table, rows = result
    content = bytearray(packed(rows) or b"\xc0")
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = decoded(table, bytes(content), len(rows))
    except (SourceError, LossError):
        return
    assert len(found) == len(rows)


def plain(count: int) -> tuple[Table, bytes]:
    """Make a result of usual rows; 0x94, with which each begins, stands inside of values, too."""
    table = table_of("long", "double", "string", "int")
    rows = [
        (
            msgpack.packb(0x94 * number),
            b"\xcb" + struct.pack(">d", number / 3),
            msgpack.packb(f"text \u0714 {number}" * (number % 9)),
            msgpack.packb(None if number % 7 == 0 else number % 300),
        )
        for number in range(count)
    ]
    return table, packed(rows)


def test_usual_rows_need_no_reader_of_single_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows with treacherous values are found by the vectorised walk alone, which is what is fast:
    the reader that goes value by value is not asked."""

    def asked(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(packed_module, "_one_by_one", asked)
    table, content = plain(5000)
    assert content.count(b"\x94") > 5500
    assert decoded(table, content, 5000, size=1 << 16) == expected(table, content)


def test_no_row_is_jumped_over() -> None:
    """A row that does not look like the others ends a walk, and is read with what follows it."""
    table = table_of("long", "long")
    usual = [packed([(bytes([n]), b"\x05")]) for n in range(100)]
    odd = header(2, width=2) + b"\x07\x06"
    content = b"".join([*usual[:50], odd, *usual[50:]])
    assert decoded(table, content, 101, size=1 << 16) == expected(table, content)


def test_what_looks_like_rows_inside_of_a_value_is_no_row() -> None:
    """A value that holds the bytes of whole rows is one value: the row before it proves it."""
    table = table_of("string", "long")
    inner = packed([(b"\xa3abc", b"\x07")] * 3)
    # As text these bytes are no UTF-8, so that a row taken from inside would be seen either way.
    content = packed([(b"\xc4" + bytes([len(inner)]) + inner, b"\x01"), (b"\xa1x", b"\x02")])
    with pytest.raises(LossError, match="no valid text"):
        decoded(table, content, 2)
    doubles = table_of("double", "long")
    eight = packed([(b"\x05", b"\x06")])[:3].ljust(8, b"\x92")
    content = packed([(b"\xcb" + eight, b"\x01")] * 50)
    assert decoded(doubles, content, 50) == expected(doubles, content)


def test_a_batch_lives_longer_than_the_buffer() -> None:
    """Batches that are kept do not change when later rows are read into the same buffer."""
    table, content = plain(2000)
    pieces = [content[at : at + 1000] for at in range(0, len(content), 1000)]
    kept = list(batches(pieces, table, 2000, "7", size=500))
    assert len(kept) > 10
    assert [row for batch in kept for row in batch.to_pylist()] == expected(table, content)


def test_a_row_larger_than_a_batch_is_read() -> None:
    """Room grows with a row, and shrinks again behind it."""
    table = table_of("string", "long")
    large = "x" * (9 << 20)
    content = packed(
        [
            (msgpack.packb(text), msgpack.packb(number))
            for number, text in enumerate(["a", large, "b"])
        ]
    )
    rows = decoded(table, content, 3, cut=range(0, len(content), 1 << 20), size=2 << 20)
    assert [row["c0"] for row in rows] == ["a", large, "b"]
    assert [row["c1"] for row in rows] == [0, 1, 2]


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        ("int", b"\xce\x80\x00\x00\x00", "1 value do not fit 32 bits"),
        ("int", b"\xd3" + struct.pack(">q", -(2**31) - 1), "do not fit 32 bits"),
        ("long", b"\xcf\x80" + bytes(7), "do not fit 64 bits"),
        ("string", b"\xa2\xc3\x28", "no valid text"),
        ("double", b"\xd3" + struct.pack(">q", 2**53 + 1), "integers that no double holds"),
        ("array<long>", msgpack.packb(["x"]), "is not of the column's type"),
        ("map<string,long>", msgpack.packb([1]), "is not of the column's type"),
        ("array<string>", msgpack.packb([b"\xff"]), "is not of the column's type"),
    ],
)
def test_a_value_that_its_type_does_not_hold_is_refused(
    kind: str, value: bytes, words: str
) -> None:
    """No value is clamped, rounded or replaced: the error names the table and the column."""
    table = table_of("long", kind)
    content = packed([(b"\x01", b"\xc0"), (b"\x01", value), (b"\x02", b"\xc0")])
    with pytest.raises(LossError, match=words) as caught:
        decoded(table, content, 3)
    assert "table orders, column c1" in caught.value.message


@pytest.mark.parametrize(
    ("kind", "value", "found"),
    [("long", "x", "text"), ("long", 1.5, "float"), ("double", "1.5", "text"),
     ("string", 7, "integer"), ("string", -7, "integer"), ("string", 1 << 40, "integer"),
     ("string", [1], "array"), ("string", ["x"] * 99, "array"), ("string", {1: 1}, "map"),
     ("long", True, "boolean"), ("array<long>", 7, "integer"), ("double", b"x", "bytes"),
     ("string", msgpack.ExtType(5, b"x"), "extension"),
     ("string", msgpack.ExtType(5, b"xyz"), "extension"),
     ("long", "x" * 99, "text"), ("long", {i: i for i in range(99)}, "map")],
)  # fmt: skip
def test_a_value_of_another_kind_is_an_error(kind: str, value: Any, found: str) -> None:
    """What the SELECT has cast arrives as that; anything else names the column and its kind."""
    table = table_of("long", kind)
    content = packed([(b"\x01", b"\xc0"), (b"\x01", msgpack.packb(value))])
    words = f"table orders, column c1: the result holds a value of kind {found}, which is no {kind}"
    with pytest.raises(SourceError, match=words):
        decoded(table, content, 2)


@pytest.mark.parametrize(
    "content",
    [
        packed([(b"\x01",)]),
        packed([(b"\x01", b"\x02", b"\x03")]),
        b"\x01\x02",
        msgpack.packb({"c0": 1, "c1": 2}),
        b"\xc1",
        b"\x92\x01\xc1",
    ],
    ids=["fewer values", "more values", "no rows", "maps", "no msgpack", "no value"],
)
def test_what_are_no_rows_of_the_table_is_refused(content: bytes) -> None:
    """A result of another shape than the columns that were asked for is an error."""
    with pytest.raises(SourceError, match="the result of job 7 for table orders"):
        decoded(table_of("long", "long"), content, 1)


@pytest.mark.parametrize("keep", [0, 1, 25_522, 49_999, 50_001])
def test_another_number_of_rows_than_the_service_counts_is_an_error(keep: int) -> None:
    """A result that is well formed but cut between rows, which td-client reads as if it were
    whole, is refused; so is one with too many rows."""
    table = table_of("int")
    content = packed([(b"\x05",)] * keep)
    with pytest.raises(SourceError, match=f"has {keep} rows where the service counts 50000"):
        decoded(table, content, 50_000, size=1 << 16)


@pytest.mark.parametrize("missing", [1, 2, 5])
def test_a_result_that_ends_inside_of_a_row_is_an_error(missing: int) -> None:
    """A last row without its end is not left out silently."""
    table, content = plain(100)
    with pytest.raises(SourceError, match="ends inside of a row"):
        decoded(table, content[:-missing], 100)


def test_a_result_without_rows_gives_none() -> None:
    """Nothing is a result, where the service counts no rows."""
    assert decoded(table_of("long"), b"", 0) == []


def test_a_text_where_an_array_is_wanted_is_read_as_json() -> None:
    """A service that sends arrays and maps as JSON text is understood, beside one that does not."""
    table = table_of("array<double>")
    content = packed([(msgpack.packb("[1.5, null]"),), (msgpack.packb([2.5, float("nan")]),)])
    assert [row["c0"] for row in decoded(table, content, 2)] == ["[1.5,null]", '[2.5,"NaN"]']


def test_documents_keep_integers_whole_and_name_what_is_no_number() -> None:
    """JSON text has every digit of an integer, and strings for NaN and the infinities."""
    table = table_of("map<string,double>", "array<long>")
    odd = {"a": float("inf"), "b": float("-inf"), "c": float("nan"), "d": -0.0}
    content = packed([(msgpack.packb(odd), msgpack.packb([2**63 - 1, -(2**63), None]))])
    row = decoded(table, content, 1)[0]
    assert row["c0"] == '{"a":"Infinity","b":"-Infinity","c":"NaN","d":-0.0}'
    assert row["c1"] == "[9223372036854775807,-9223372036854775808,null]"


def test_more_bytes_are_asked_for_and_not_guessed() -> None:
    """While the first row is incomplete nothing is returned, however it is cut."""
    _, content = plain(2)
    families = ["integer", "float", "text", "integer"]
    first = len(content) - len(content[content.index(b"\x94", 1) :])
    for filled in range(first):
        buffer = bytearray(content[:filled]) + bytearray(b"\x94" * PADDING)
        assert find_rows(buffer, filled, families) is None  # type: ignore[arg-type]


# Gzip


def test_gzip_is_unpacked_as_a_stream_in_pieces_of_bounded_size() -> None:
    """Pieces are no larger than asked for, though gzip may hold a thousand times its own size."""
    content = bytes(10 << 20)
    packed_bytes = gzip.compress(content)
    pieces = list(unpacked([packed_bytes[:100], packed_bytes[100:]], size=1 << 16))
    assert max(map(len, pieces)) <= 1 << 16
    assert b"".join(pieces) == content


@pytest.mark.parametrize("cut", [1, 9, 30])
def test_several_members_are_one_content(cut: int) -> None:
    """Gzip of several members, cut anywhere, is read to the end of the last one."""
    whole = gzip.compress(b"first") + gzip.compress(b"") + gzip.compress(b"second")
    assert b"".join(unpacked([whole[:cut], whole[cut:]])) == b"firstsecond"


@pytest.mark.parametrize("kept", [5, 200, -8, -1])
def test_gzip_without_its_end_is_an_error(kept: int) -> None:
    """A truncated download is seen although every byte of it is sound."""
    whole = gzip.compress(bytes(range(256)) * 50)
    with pytest.raises(Damaged, match="ends before its gzip does"):
        list(unpacked([whole[:kept]]))


@pytest.mark.parametrize("place", [-5, -2], ids=["checksum", "length"])
def test_gzip_that_does_not_fit_its_checksum_is_an_error(place: int) -> None:
    """A changed byte is seen by the checksum or the length at the end."""
    whole = bytearray(gzip.compress(bytes(range(256)) * 50))
    whole[place] ^= 1
    with pytest.raises(Damaged, match="cannot be unpacked"):
        list(unpacked([whole]))


def test_damage_of_gzip_becomes_an_error_of_the_source() -> None:
    """The pipeline sees an error with the job, the table and a next step."""
    table = table_of("long")
    with pytest.raises(SourceError, match="the result of job 7 for table orders ends before") as e:
        list(batches(unpacked([gzip.compress(b"\x91\x01")[:-3]]), table, 1, "7"))
    assert e.value.retryable
