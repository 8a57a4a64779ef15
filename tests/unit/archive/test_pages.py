"""The look at footer and pages: what is refused before pyarrow sees it."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dbsync.archive import decode_chunk, encode_chunk
from dbsync.archive.footer import BadParquet, Footer, parse_footer
from dbsync.archive.pages import scan_pages
from dbsync.archive.thrift import BadThrift, read_struct
from dbsync.errors import ArchiveError
from dbsync.model.values import EXCEPTIONS_TYPE
from tests.unit.archive.build import ITEMS, NOTES, items

LARGE = 1 << 30


def parquet(columns: dict[str, Any], **options: Any) -> bytes:
    """Write Parquet in the profile of chunks, but for `options`."""
    sink = io.BytesIO()
    settings: dict[str, Any] = {
        "compression": "zstd",
        "use_dictionary": False,
        "store_schema": False,
        "write_page_checksum": True,
        "write_statistics": False,
    }
    pq.write_table(pa.table(columns), sink, **{**settings, **options})
    return sink.getvalue()


def view_of(data: bytes) -> tuple[memoryview, Footer]:
    view = memoryview(data)
    return view, parse_footer(view, LARGE)


def refusal(data: bytes, footer: Footer, limit: int = LARGE) -> tuple[str, str]:
    """Return code and message with which the pages are refused."""
    with pytest.raises(BadParquet) as error:
        scan_pages(memoryview(data), footer, limit)
    return error.value.code, str(error.value)


def test_footer_says_what_pyarrow_says():
    """Rows, row groups, positions and sizes are read as pyarrow reads them."""
    data = parquet({"a": range(5000), "b": [str(i) for i in range(5000)]}, row_group_size=2000)
    _, footer = view_of(data)
    other = pq.read_metadata(io.BytesIO(data))
    assert footer.rows == other.num_rows
    assert [rows for rows, _ in footer.groups] == [2000, 2000, 1000]
    for number, (_, columns) in enumerate(footer.groups):
        for place, column in enumerate(columns):
            chunk = other.row_group(number).column(place)
            assert (column.values, column.start, column.size) == (
                chunk.num_values, chunk.data_page_offset, chunk.total_compressed_size,
            )  # fmt: skip


def test_summary_bounds_what_is_decoded():
    """The bound is not below the truth, and finds the columns with a dictionary."""
    table = {
        "n": pa.nulls(1000, pa.int64()),
        "few": ["x" * 50] * 1000,
        "many": [f"{i:050}" for i in range(1000)],
    }
    data = parquet(table, use_dictionary=["few"])
    view, footer = view_of(data)
    summary = scan_pages(view, footer, LARGE)
    assert summary.dictionaries == {1}
    assert summary.decoded_bytes >= 1000 * 8 + 1000 * 54
    assert summary.decoded_bytes < 100_000


def test_nulls_count_at_full_width():
    """Rows that hardly take a byte are refused for what they would take in memory."""
    data = parquet({"n": pa.nulls(100_000, pa.int64())})
    assert refusal(data, parse_footer(memoryview(data), LARGE), 700_000)[0] == "E_LIMIT"


def test_one_page_is_bounded():
    """A page is refused for its own size, also where the column's figures look harmless."""
    data = parquet({"flag": [True, False] * 400})
    _, footer = view_of(data)
    rows, columns = footer.groups[0]
    assert rows == 800
    assert refusal(data, footer, 90)[1].startswith("a page would decode")
    assert columns[0].values == 800


def test_pages_must_have_the_rows():
    """Page headers, column chunks and row groups must agree on the number of values."""
    data = parquet({"a": range(100)})
    _, footer = view_of(data)
    rows, columns = footer.groups[0]
    for group in (
        (rows - 1, columns),
        (rows, (replace(columns[0], values=99),)),
        (99, (replace(columns[0], values=99),)),
    ):
        assert "values" in refusal(data, replace(footer, groups=(group,)))[1]


def test_column_chunks_must_not_share_bytes():
    """A footer that points to the same pages again and again is refused."""
    data = parquet({"a": range(100)})
    _, footer = view_of(data)
    assert "one behind" in refusal(data, replace(footer, groups=footer.groups * 2))[1]


def test_no_bytes_may_belong_to_nobody():
    """Nothing hides between the last column and the footer."""
    data = parquet({"a": range(100), "b": range(100)})
    _, footer = view_of(data)
    rows, columns = footer.groups[0]
    assert "no column" in refusal(data, replace(footer, groups=((rows, columns[:1]),)))[1]


def test_encodings_are_a_closed_list():
    """DELTA_BYTE_ARRAY can expand without bound, and is refused."""
    data = parquet({"a": ["x" * 50] * 9}, column_encoding={"a": "DELTA_BYTE_ARRAY"})
    assert "encoded" in refusal(data, parse_footer(memoryview(data), LARGE))[1]


def test_later_pages_are_refused():
    """Data pages of version 2 are not in the profile."""
    data = parquet({"a": range(9)}, data_page_version="2.0")
    assert "type 3" in refusal(data, parse_footer(memoryview(data), LARGE))[1]


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "none"},
        {"compression": "gzip"},
        {"store_schema": True},
        {"write_page_index": True, "write_statistics": True},
    ],
    ids=lambda o: next(iter(o)),
)
def test_footers_that_hold_more_are_refused(options):
    """Other codecs, metadata of a writer and page indexes are refused."""
    with pytest.raises(BadParquet):
        view_of(parquet({"a": range(9)}, **options))


def test_footer_limit():
    """A footer that is too long is refused before it is read."""
    data = parquet({"a": range(9)})
    with pytest.raises(BadParquet) as error:
        parse_footer(memoryview(data), 50)
    assert error.value.code == "E_LIMIT"


def test_required_and_nested_fields_are_refused():
    """Fields are optional and flat, but for exceptions fields."""
    nested = pa.array([[1], [2]], pa.list_(pa.int64()))
    deep = pa.array([{"a": {"b": 1}}])
    for columns in ({"a": nested}, {"a": deep}):
        with pytest.raises(BadParquet):
            view_of(parquet(columns))
    schema = pa.schema([pa.field("a", pa.int64(), nullable=False)])
    sink = io.BytesIO()
    pq.write_table(pa.table([[1]], schema=schema), sink, compression="zstd", store_schema=False)
    with pytest.raises(BadParquet):
        view_of(sink.getvalue())


def test_exceptions_fields_have_no_dictionary():
    """pyarrow cannot hand out the codes of nested columns, so these could expand unseen."""
    odd = pa.array([{"kind": "text", "value": b"x"}] * 9, EXCEPTIONS_TYPE)
    data = parquet({"text": pa.nulls(9, pa.string()), "text:exceptions": odd}, use_dictionary=True)
    with pytest.raises(ArchiveError, match="dictionary"):
        decode_chunk(NOTES, data)


def encode(value: Any) -> bytes:
    """Write numbers, lists and structs in Thrift's compact protocol."""

    def varint(number: int) -> bytes:
        out = bytearray()
        while number > 127:
            out.append(number & 127 | 128)
            number >>= 7
        return bytes([*out, number])

    def kind(item: Any) -> int:
        return {int: 6, list: 9, dict: 12}[type(item)]

    if isinstance(value, int):
        return varint(value << 1 if value >= 0 else (-value << 1) - 1)
    if isinstance(value, list):
        value = [item for item in value if item is not None]  # text was not kept
        head = bytes([0xF0 | (kind(value[0]) if value else 6)]) + varint(len(value))
        return head + b"".join(map(encode, value))
    fields = [(number, item) for number, item in sorted(value.items()) if item is not None]
    body = (bytes([kind(item)]) + encode(number) + encode(item) for number, item in fields)
    return b"".join(body) + b"\0"


def _of_column(fields: dict[int, Any]) -> dict[int, Any]:
    """Return the column metadata of the first column chunk."""
    return fields[4][0][1][0][3]


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda f: f.update({3: 7}), "row groups do not have the rows"),
        (lambda f: f.update({3: -1}), "figure is missing"),
        (lambda f: f.pop(3), "figure is missing"),
        (lambda f: f.pop(4), "list is missing"),
        (lambda f: f.pop(2), "list is missing"),
        (lambda f: f.update({2: []}), "schema is cut off"),
        (lambda f: f[2].pop(), "not optional|cut off"),
        (lambda f: f[2].append(dict(f[2][1])), "not optional"),
        (lambda f: f[2][1].update({3: 2}), "not optional"),
        (lambda f: f.update({8: {1: {}}}), "do not use"),
        (lambda f: f[4][0].update({1: []}), "lacks columns"),
        (lambda f: f[4][0][1][0].update({8: {1: {}}}), "do not use"),
        (lambda f: _of_column(f).update({14: 100}), "do not use"),
        (lambda f: _of_column(f).update({4: 1}), "zstd"),
        (lambda f: _of_column(f).update({16: {2: [1, 2]}}), "statistics"),
        (lambda f: _of_column(f).update({16: {3: [1, 2, 3]}}), "statistics"),
        (lambda f: _of_column(f).update({7: -1}), "figure is missing"),
    ],
)
def test_each_rule_of_the_footer(edit, reason):
    """One thing wrong in a footer that is right otherwise is refused for that reason."""
    data = parquet({"a": range(9)})
    start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    fields, _ = read_struct(memoryview(data)[start:-8])

    def rebuilt() -> memoryview:
        body = encode(fields)
        return memoryview(data[:start] + body + len(body).to_bytes(4, "little") + b"PAR1")

    assert parse_footer(rebuilt(), LARGE).rows == 9
    edit(fields)
    with pytest.raises(BadParquet, match=reason):
        parse_footer(rebuilt(), LARGE)


def test_footer_cut_anywhere_is_refused():
    """A footer that ends early, whatever its length says, gives one kind of error."""
    data = encode_chunk(ITEMS, [items(1, 2)]).data.to_pybytes()
    size = int.from_bytes(data[-8:-4], "little")
    for kept in range(size):
        body = data[: len(data) - 8 - size + kept]
        broken = body + kept.to_bytes(4, "little") + b"PAR1"
        with pytest.raises(BadParquet):
            parse_footer(memoryview(broken), LARGE)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x15",  # a field without its value
        b"\x1c" * 40,  # structs without end
        b"\x19" + b"\x1f" * 3,  # a list of lists without end
        b"\x19\xfc\xff\xff\xff\xff\x0f",  # a list of four thousand million structs
        b"\x18\xff\xff\x03a",  # text longer than the input
        b"\x16" + b"\xff" * 12,  # a number without end
        b"\x1d\x00",  # an unknown type
        b"\x15\x02\x05\x02\x02\x00",  # a field twice
    ],
)
def test_malformed_thrift(data):
    """Input that is cut off, endless, or claims too much is refused without cost."""
    with pytest.raises(BadThrift):
        read_struct(memoryview(data))


def test_thrift_values():
    """Numbers, booleans, lists and structs read as they were written."""
    # field 1: i32 -3; field 2: true; field 3: list of two i64; field 4: struct; field 20: i32 1
    data = bytes([0x15, 5, 0x11, 0x19, 0x26, 2, 4, 0x1C, 0x15, 8, 0, 0x05, 40, 2, 0])
    fields, used = read_struct(memoryview(data))
    assert fields == {1: -3, 2: 1, 3: [1, 2], 4: {1: 4}, 20: 1}
    assert used == len(data)
