"""One chunk: what goes in comes out, in the profile that the format demands."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dbsync.archive import EncodedChunk, Limits, decode_chunk, encode_chunk, encode_file
from dbsync.archive.layout import Layout
from dbsync.errors import ArchiveError
from dbsync.model.types import LogicalType, decimal, integer
from tests.unit.archive.build import BIGINT, ITEMS, NOTES, TEXT, batch, column, items, table


def decoded(of, chunk: EncodedChunk, **more) -> pa.Table:
    """Decode a chunk whole."""
    return pa.Table.from_batches(decode_chunk(of, chunk.data, **more))


def code_of(call) -> str:
    """Return the error name that a call raises; generators are run to their end."""
    with pytest.raises(ArchiveError) as error:
        list(call())
    return error.value.code


def footer(chunk: EncodedChunk) -> pq.FileMetaData:
    return pq.read_metadata(io.BytesIO(chunk.data))


def wide_table():
    """Describe a table with a column of every kind of encoding."""
    kinds = {
        "i": integer(16), "u": integer(64, unsigned=True), "f": LogicalType(name="float", bits=64),
        "d": decimal(12, 2), "big": decimal(38, 4), "s": TEXT, "b": LogicalType(name="binary"),
        "day": LogicalType(name="date"), "at": LogicalType(name="timestamp_tz"),
        "id": LogicalType(name="uuid"), "j": LogicalType(name="json"),
        "flag": LogicalType(name="boolean"),
    }  # fmt: skip
    return table("wide", *(column(name, kind) for name, kind in kinds.items()), key=["u"])


def wide_rows(of) -> pa.RecordBatch:
    values = {"i": [-5, None], "u": [0, 2**64 - 1], "f": [1.5, None], "d": ["1.25", None],
              "big": ["1.5", None], "s": ["x", None], "b": [b"", None], "day": [-800000, None],
              "at": [-(2**55), None], "id": [b"u" * 16, None], "j": ['{"a":1}', None],
              "flag": [True, None]}  # fmt: skip
    layout = Layout(of)
    arrays = [
        pa.array(values[f.name], pa.string()).cast(f.type)
        if pa.types.is_decimal(f.type)
        else pa.array(values[f.name], f.type)
        for f in layout.values
    ]
    return pa.RecordBatch.from_arrays(arrays, names=[f.name for f in layout.values])


def test_every_kind_of_column_comes_back():
    """Types, values and NULLs survive without a stored Arrow schema."""
    of = wide_table()
    rows = wide_rows(of)
    chunk = encode_chunk(of, [rows])
    assert decoded(of, chunk) == pa.Table.from_batches([rows])
    assert footer(chunk).metadata is None


def test_profile():
    """Encodings, annotations, compression and statistics are those of the format."""
    of = wide_table()
    data = footer(encode_chunk(of, [wide_rows(of)]))
    columns = {data.row_group(0).column(i).path_in_schema: data.row_group(0).column(i)
               for i in range(data.num_columns)}  # fmt: skip
    for name in ("i", "u", "d", "day", "at"):
        assert "DELTA_BINARY_PACKED" in columns[name].encodings, name
    assert "BYTE_STREAM_SPLIT" in columns["f"].encodings
    assert {c.compression for c in columns.values()} == {"ZSTD"}
    assert [name for name, c in columns.items() if c.is_stats_set] == ["u"]
    kinds = {data.schema.column(i).name: data.schema.column(i) for i in range(data.num_columns)}
    assert str(kinds["id"].logical_type) == "UUID"
    assert str(kinds["j"].logical_type) == "JSON"
    assert kinds["d"].physical_type == "INT64"
    assert all(kind.max_definition_level == 1 for kind in kinds.values())


def test_dictionary_only_where_it_pays():
    """Text that repeats itself gets a dictionary, text that does not gets none."""
    of = table("t", column("few", TEXT), column("many", TEXT))
    rows = batch(of, [f"status {i % 3}" for i in range(5000)], [f"{i:x}" for i in range(5000)])
    group = footer(encode_chunk(of, [rows])).row_group(0)
    assert [group.column(i).has_dictionary_page for i in (0, 1)] == [True, False]


def test_large_chunks_have_row_groups():
    """A chunk of 40 MiB is cut into groups of about 16 MiB, whatever its batches were."""
    rows = batch(NOTES, ["x" * 10_000] * 500)
    data = footer(encode_chunk(NOTES, [rows] * 8))
    assert data.num_row_groups == 2
    assert data.num_rows == 4000


def test_equal_batches_give_equal_bytes():
    """Encoding is deterministic, and the digest is that of the bytes."""
    one, two = (encode_chunk(ITEMS, [items(*range(1000))]) for _ in range(2))
    assert one.data.equals(two.data)
    assert one.sha256 == two.sha256
    assert len(one.sha256) == 64


def test_exceptions_field_only_where_needed():
    """Batches with and without the field make one chunk; an empty field is dropped."""
    of = table("t", column("a"), column("b"))
    value = {"kind": "literal", "value": b"9" * 30}
    plain = batch(of, [1, 2], [3, 4])
    odd = batch(of, [5, None], [6, 7], a=[None, value], b=[None, None])
    whole = decoded(of, encode_chunk(of, [plain, odd]))
    assert whole.column_names == ["a", "b", "a:exceptions"]
    assert whole["a"].to_pylist() == [1, 2, 5, None]
    assert whole["a:exceptions"].to_pylist() == [None, None, None, value]
    assert decoded(of, encode_chunk(of, [plain])).column_names == ["a", "b"]


def test_some_columns_with_their_exceptions():
    """A choice of columns brings their exceptions fields and no others."""
    of = table("t", column("a"), column("b"), column("c.d"))
    value = {"kind": "text", "value": b"x"}
    chunk = encode_chunk(of, [batch(of, [None], [None], [3], a=[value], b=[value])])
    assert decoded(of, chunk, columns=["b"]).column_names == ["b", "b:exceptions"]
    assert decoded(of, chunk, columns=["c.d"]).to_pydict() == {"c.d": [3]}
    assert decoded(of, chunk, columns=["b", "c.d"]).column_names == ["b", "c.d", "b:exceptions"]
    with pytest.raises(KeyError):
        decoded(of, chunk, columns=["nowhere"])
    assert sum(part.num_rows for part in decode_chunk(of, chunk.data, columns=[])) == 1


@pytest.mark.parametrize("name", ["", "a.b", "a:exceptions.kind", "😀", "x" * 300, "a\nb"])
def test_odd_column_names(name):
    """Names that collide with pyarrow's dotted paths, or are empty, change nothing."""
    of = table("t", column("a"), column(name, BIGINT))
    rows = batch(of, [None], [7], a=[{"kind": "blob", "value": b"x"}])
    assert decoded(of, encode_chunk(of, [rows])).column(name).to_pylist() == [7]


def test_table_without_columns_keeps_its_rows():
    """Rows without columns are counted, with a dummy field or without."""
    bare = table("bare")
    dummy = pa.record_batch({":rows": pa.nulls(3, pa.bool_())})
    for rows in (dummy, dummy.select([])):
        chunk = encode_chunk(bare, [rows])
        assert chunk.rows == 3
        assert decoded(bare, chunk).num_rows == 3
        assert decoded(bare, chunk).column_names == [":rows"]


@pytest.mark.parametrize(
    ("kind", "values", "bounds"),
    [
        (BIGINT, [3, -1, 2], ("-1", "3")),
        (TEXT, ["b", "a", "ä"], ("a", "ä")),
        (LogicalType(name="date"), [0, 1], ("1970-01-01", "1970-01-02")),
        (LogicalType(name="timestamp"), [0, 0], ("1970-01-01 00:00:00.000000",) * 2),
        (LogicalType(name="timestamp"), [0, 2**62], (None, None)),
        (TEXT, ["a", "x" * 300], (None, None)),
        (LogicalType(name="uuid"), [b"u" * 16], (None, None)),
        (BIGINT, [1, None], (None, None)),
    ],
)  # fmt: skip
def test_key_range(kind, values, bounds):
    """The first key column's least and greatest value are kept as text, where they have one."""
    of = table("t", column("k", kind), key=["k"])
    chunk = encode_chunk(of, [batch(of, values)])
    assert (chunk.key_min, chunk.key_max) == bounds


def test_key_range_is_left_out_with_exceptions():
    """A key with a value beyond its type has no honest range."""
    of = table("t", column("k"), key=["k"])
    rows = batch(of, [1, None], k=[None, {"kind": "literal", "value": b"9" * 20}])
    assert encode_chunk(of, [rows]).key_min is None


@pytest.mark.parametrize(
    "rows",
    [
        pa.record_batch({"id": [1]}),
        pa.record_batch({"name": ["a"], "id": [1]}),
        pa.record_batch({"id": pa.array([1], pa.int32()), "name": ["a"]}),
        pa.record_batch({"id": [1], "name": ["a"], "other": [1]}),
        pa.record_batch({"id": [1], "name": ["a"], "name:exceptions": ["a"]}),
        pa.record_batch({"id": [1], "name": pa.array([b"\xff"]).view(pa.string())}),
    ],
)
def test_batches_that_do_not_fit_are_refused(rows):
    """A batch must have the table's fields, types, and valid text."""
    assert code_of(lambda: encode_chunk(ITEMS, [rows])) == "E_SCHEMA_MISMATCH"


def test_chunk_without_rows_is_refused():
    """A chunk has rows, or it does not exist."""
    assert code_of(lambda: encode_chunk(ITEMS, [items()])) == "E_ROWCOUNT"


def test_chunk_of_another_table_is_refused():
    """A chunk is read only under the schema that it was written for."""
    chunk = encode_chunk(NOTES, [batch(NOTES, ["a"])])
    assert code_of(lambda: decode_chunk(ITEMS, chunk.data)) == "E_SCHEMA_MISMATCH"


def test_row_count_is_compared_before_decoding():
    """Another number of rows than expected is found before the first batch."""
    chunk = encode_chunk(ITEMS, [items(1, 2)])
    with pytest.raises(ArchiveError, match="E_ROWCOUNT"):
        decode_chunk(ITEMS, chunk.data, expected_rows=3)


def test_batches_are_bounded():
    """Large rows come in small batches, also out of a dictionary."""
    limits = Limits(max_batch_bytes=1 << 20)
    for values in (["x" * 100_000] * 100, [f"{i:06}" * 10_000 for i in range(100)]):
        rows = batch(NOTES, values)
        parts = list(decode_chunk(NOTES, encode_chunk(NOTES, [rows]).data, limits=limits))
        assert max(part.nbytes for part in parts) <= 2 << 20
        assert pa.Table.from_batches(parts).to_pydict() == {"text": values}


def test_every_flipped_page_byte_is_found():
    """Page checksums find damage even where no digest is compared: never other rows."""
    rows = items(*range(50))
    chunk = encode_chunk(ITEMS, [rows])
    data = chunk.data.to_pybytes()
    first = footer(chunk).row_group(0).column(0)
    start, size = first.data_page_offset, first.total_compressed_size
    found = 0
    for position in range(start, start + size):
        broken = bytearray(data)
        broken[position] ^= 16
        try:
            read = pa.Table.from_batches(decode_chunk(ITEMS, broken))
        except ArchiveError:
            found += 1
        else:  # a figure of the page header that is not needed, such as its statistics
            assert read == pa.Table.from_batches([rows])
    assert found > size / 2


def test_schema_that_contradicts_itself_is_refused():
    """Unknown storage, repeated names and keys over nothing are found before any row."""
    import msgspec

    bad = msgspec.structs.replace(column("a"), storage="list<int64>")
    for of in (
        table("t", bad),
        table("t", column("a"), column("a")),
        table("t", column("a"), column("a:exceptions")),
        table("t", column("a"), key=["b"]),
    ):
        assert code_of(lambda of=of: [Layout(of)]) == "E_SCHEMA_MISMATCH"


def test_a_file_of_its_own_may_be_empty():
    """Without rows it has the columns of a chunk of that table, and those asked for besides."""
    with_rows = encode_chunk(ITEMS, [items(0, 1, 2)])
    empty = encode_file(ITEMS, [])
    assert empty.rows == 0
    assert pq.read_schema(io.BytesIO(empty.data)) == pq.read_schema(io.BytesIO(with_rows.data))
    field = ITEMS.columns[0].exceptions
    more = encode_file(ITEMS, [items(0, 1, 2)], exceptions=[field])
    assert more.exceptions == (field,)
    assert pq.read_schema(io.BytesIO(more.data)).names[-1] == field
    assert decoded(ITEMS, more).num_rows == 3
