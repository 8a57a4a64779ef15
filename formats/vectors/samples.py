"""The databases of the vectors and the good archives made of them. Everything is fixed."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from dbsync.archive import ArchiveWriter, HeadConsistency, encode_chunk
from dbsync.model.schema import Column, Database, Key, Loss, Name, NativeObject, Table
from dbsync.model.types import (
    LogicalType,
    TypeName,
    decimal,
    integer,
    parse_storage,
    standard_storage,
)
from dbsync.model.values import EXCEPTIONS_TYPE

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
Chunk = tuple[int, Sequence[pa.RecordBatch]]
BIG = integer(64)
TEXT = LogicalType(name="string")


def column(name: str, kind: LogicalType, native: str, **more: Any) -> Column:
    return Column(
        name=name,
        type=kind,
        native_type=native,
        storage=standard_storage(kind),
        exceptions=f"{name}:exceptions",
        **more,
    )


def table(name: str, columns: Sequence[Column], *key: str, schema: str | None = None) -> Table:
    return Table(
        name=Name(schema, name),
        columns=tuple(columns),
        primary_key=Key(columns=key) if key else None,
    )


def database(*tables: Table, **more: Any) -> Database:
    return Database(engine="sqlite", version="3.45.1", name="sample", tables=tables, **more)


def batch(
    of: Table, *columns: Sequence[Any], exceptions: dict[str, Sequence[Any]] | None = None
) -> pa.RecordBatch:
    """Make a batch of a table from Python values."""
    names = [c.name for c in of.columns]
    arrays = [
        pa.array(values, parse_storage(c.storage))
        for c, values in zip(of.columns, columns, strict=True)
    ]
    for name, values in (exceptions or {}).items():
        names.append(of.column(name).exceptions)
        arrays.append(pa.array(values, EXCEPTIONS_TYPE))
    return pa.RecordBatch.from_arrays(arrays, names=names)


def archive(of: Database, chunks: Sequence[Chunk], **more: Any) -> bytes:
    """Write an archive with everything fixed that would otherwise vary."""
    out = io.BytesIO()
    finish = {key: more.pop(key) for key in ("warnings",) if key in more}
    writer = ArchiveWriter(
        out.write,
        database=of,
        consistency=HeadConsistency(level="snapshot", token="00000003-0000001B-1"),  # noqa: S106
        include_schema=True,
        archive_id="00000000-0000-4000-8000-000000000001",
        started=MOMENT,
        writer="dbsync vectors",
        **more,
    )
    for index, batches in chunks:
        writer.add_chunk(index, encode_chunk(of.tables[index], batches))
    writer.finish(finished=MOMENT, **finish)
    return out.getvalue()


ITEMS = table("items", [column("id", BIG, "INTEGER", nullable=False)], "id")
NOTES = table("notes", [column("text", TEXT, "TEXT")])


def base() -> bytes:
    """The archive that most bad vectors are made from: one table, two chunks."""
    return archive(database(ITEMS), [(0, [batch(ITEMS, [1, 2, 3])]), (0, [batch(ITEMS, [4, 5])])])


def empty_database() -> bytes:
    return archive(database(), [])


def zero_rows() -> bytes:
    return archive(database(ITEMS, NOTES), [])


def zero_columns() -> bytes:
    """A table without columns that has seven rows in two chunks."""
    bare = table("bare", [])
    rows = pa.record_batch({":rows": pa.nulls(4, pa.bool_())})
    return archive(database(bare), [(0, [rows]), (0, [rows.slice(1)])])


def interleaved() -> bytes:
    chunks: list[Chunk] = []
    for number in range(3):
        chunks.append((1, [batch(NOTES, [f"note {number}", None])]))
        chunks.append((0, [batch(ITEMS, range(number * 10, number * 10 + 10))]))
    return archive(database(ITEMS, NOTES), chunks)


def exceptions() -> bytes:
    """Values beyond their column's type: in one chunk of two, in one column of two."""
    of = table("odd", [column("n", decimal(5, 2), "NUMERIC(5,2)"), column("i", BIG, "INTEGER")])
    plain = batch(of, [Decimal("1.25"), None], [1, 2])
    odd = batch(
        of,
        [None, Decimal("-2.50"), None],
        [3, None, None],
        exceptions={
            "n": [{"kind": "literal", "value": b"NaN"}, None, None],
            "i": [None, {"kind": "text", "value": b"maybe\xff"}, None],
        },
    )
    return archive(database(of), [(0, [plain]), (0, [plain, odd])])


def unicode_names() -> bytes:
    of = table(
        'Ünï "quoted"\n表',
        [column("", BIG, "INTEGER"), column("a.b", TEXT, "TEXT"), column("naïve 🐍", TEXT, "TEXT")],
        schema="schéma; DROP TABLE x",
    )
    rows = batch(of, [1, 2], ["", None], ["🐘 'quoted'", "a\nb\tc\u0000d"])
    return archive(database(of, losses=(Loss(object="view ✂", reason="ünlösbar"),)), [(0, [rows])])


def all_types() -> bytes:
    """Every storage type, with its extremes and NULL."""
    def of(name: TypeName, **more: Any) -> LogicalType:
        return LogicalType(name=name, **more)

    kinds: list[tuple[LogicalType, list[Any]]] = [(of("boolean"), [True, False, None])]
    for bits in (8, 16, 32, 64):
        high = 2 ** (bits - 1)
        kinds.append((integer(bits), [-high, high - 1, None]))
        kinds.append((integer(bits, unsigned=True), [0, 2 * high - 1, None]))
    kinds += [
        (of("float", bits=32), [1.5, float("-inf"), None]),
        (of("float", bits=64), [5e-324, float("nan"), None]),
        (decimal(9, 2), [Decimal("-9999999.99"), Decimal("0.01"), None]),
        (decimal(18, 0), [Decimal(10**18 - 1), Decimal(0), None]),
        (decimal(38, 10), [Decimal("-" + "9" * 28 + "." + "9" * 10), Decimal("1.5"), None]),
        (of("numeric"), ["1" * 200, "-0.10", None]),
        (of("string", length=10), ["", "x", None]),
        (of("binary"), [b"", b"\x00\xff", None]),
        (of("date"), [-2440588, 2932896, None]),
        (of("time"), [0, 86_399_999_999, None]),
        (of("time_tz"), ["24:00:00+00", "12:00:00-15:59", None]),
        (of("timestamp"), [-(2**62), 0, None]),
        (of("timestamp_tz"), [0, 253402300799999999, None]),
        (of("interval"), ["1 mon", "-00:00:01", None]),
        (of("uuid"), [bytes(16), b"\xff" * 16, None]),
        (of("json"), ['{"a": 1e400}', "[]", None]),
        (of("enum", labels=("a", "b")), ["a", "b", None]),
        (of("array", element=BIG), ["{1,2}", "[0:1]={1,2}", None]),
        (of("native"), ["(1,2)", "", None]),
        (of("any"), [b"x", b"", None]),
    ]
    columns = [column(f"c{i}", kind, str(kind)) for i, (kind, _) in enumerate(kinds)]
    everything = table("everything", columns)
    arrays = [
        pa.array(values, _plain(parse_storage(c.storage))).cast(parse_storage(c.storage))
        for c, (_, values) in zip(columns, kinds, strict=True)
    ]
    rows = pa.RecordBatch.from_arrays(arrays, names=[c.name for c in columns])
    return archive(database(everything), [(0, [rows])])


def _plain(kind: pa.DataType) -> pa.DataType:
    """Give dates and times as integers, because Python's own cannot say the extremes."""
    if pa.types.is_date(kind):
        return pa.int32()
    return pa.int64() if pa.types.is_temporal(kind) else kind


def large() -> bytes:
    """Some thousand rows in three chunks, pages with a dictionary and without, a warning."""
    of = table(
        "orders",
        [
            column("id", BIG, "INTEGER"),
            column("status", TEXT, "TEXT"),
            column("reference", TEXT, "TEXT"),
        ],
        "id",
    )
    ids = range(3_000)
    status = [("new", "paid", "shipped", None)[i % 4] for i in ids]
    rows = batch(of, ids, status, [f"{i * 2654435761 % 2**32:08x}" for i in ids])
    chunks: list[Chunk] = [(0, [rows.slice(start, 1_000)]) for start in range(0, 3_000, 1_000)]
    native = NativeObject(
        kind="VIEW", name=Name(None, "paid"), sql="CREATE VIEW paid AS SELECT 1",
        section="after_rows",
    )  # fmt: skip
    return archive(
        database(of, native=(native,)), chunks, warnings=["the server clock went backwards"]
    )


def catalog_parts() -> bytes:
    """A catalog in three parts."""
    chunks: list[Chunk] = [(0, [batch(ITEMS, [number])]) for number in range(4)]
    return archive(database(ITEMS), chunks, catalog_part_rows=3)


def with_json_fields(document: dict[str, Any]) -> None:
    """Add what a later minor version might: fields that this one does not know."""
    document["later"] = {"nested": [1, 2.5, None, "x"]}


GOOD = {
    "base": (base, "one table, two chunks"),
    "empty-database": (empty_database, "no tables"),
    "zero-rows": (zero_rows, "two tables, no rows"),
    "zero-columns": (zero_columns, "a table without columns that has rows"),
    "interleaved": (interleaved, "chunks of two tables take turns"),
    "exceptions": (exceptions, "values that their column's type cannot hold"),
    "unicode-names": (unicode_names, "hostile names of schema, table and columns"),
    "all-types": (all_types, "every storage type with extremes and NULL"),
    "large": (large, "thousands of rows, dictionary pages, native DDL, a warning"),
    "catalog-parts": (catalog_parts, "a catalog in three parts"),
}
