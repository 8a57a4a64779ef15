"""The SELECT of one partition, and its result turned into record batches with exceptions.

What lives here: the check for values that are not of their column's class, the plain and the
guarded SELECT, and the exceptions struct. Must not know: snapshots, which connection is used.
ADBC takes a column's type from the first row, so every SELECT begins with a made-up one.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pyarrow as pa

from dbsync.connectors.sqlite.columns import is_certain, is_foreign
from dbsync.connectors.sqlite.connection import BATCH_ROWS, Connection, quote
from dbsync.model.schema import Column, Table
from dbsync.model.types import parse_storage
from dbsync.model.values.kernels import pc

_SEED = {"int64": "0", "double": "0.5", "string": "''", "binary": "x''"}
_BATCH_BYTES = 4 << 20
_LARGE_BYTES = 32 << 20
"""Rows are set aside where a whole batch of the largest ones would take more than this."""


class _Shape(msgspec.Struct, frozen=True, kw_only=True):
    """What one pass over a partition found."""

    largest: int = 0
    """Bytes of the texts and blobs of one row."""
    foreign: frozenset[str] = frozenset()
    """Columns with a value of another class."""


def read_rows(connection: Connection, table: Table, condition: str) -> Iterator[pa.RecordBatch]:
    """Yield the rows of `table` that fulfil `condition` (empty for all), with their exceptions."""
    mean = (table.bytes_estimate or 0) / max(1, table.rows_estimate or 1)
    rows = int(min(BATCH_ROWS, max(16, _BATCH_BYTES / max(1, mean))))
    limit = _LARGE_BYTES // rows
    shape = _look(connection, table, condition, limit)
    size = _size(table, shape.foreign)
    if size is None or shape.largest <= limit:
        yield from _select(connection, table, condition, shape, rows)
        return
    both = f"({condition}) AND " if condition else ""
    yield from _select(connection, table, f"{both}{size} <= {limit}", shape, rows)
    few = max(1, _LARGE_BYTES // shape.largest)
    yield from _select(connection, table, f"{both}{size} > {limit}", shape, few)


def _size(table: Table, foreign: frozenset[str]) -> str | None:
    """Write the SQL for the bytes of a row's texts and blobs; None where no column has any."""
    parts = [
        f"coalesce(octet_length({quote(column.name)}), 0)"
        for column in table.columns
        if column.storage in ("string", "binary") or column.name in foreign
    ]
    return _joined(" + ", parts) if parts else None


def _joined(operator: str, parts: list[str]) -> str:
    """Join expressions as a balanced tree: SQLite allows a depth of 1,000, and 2,000 columns."""
    if len(parts) == 1:
        return parts[0]
    half = len(parts) // 2
    return f"({_joined(operator, parts[:half])}{operator}{_joined(operator, parts[half:])})"


def _certain(table: Table, column: Column) -> bool:
    return is_certain(
        column.storage,
        column.native_type,
        strict="strict" in table.details,
        rowid_alias=table.details.get("rowid_alias") == column.name,
    )


def _foreign(table: Table, column: Column) -> str:
    strict = "strict" in table.details
    return is_foreign(column.name, column.storage, column.native_type, strict=strict)


def _look(connection: Connection, table: Table, condition: str, limit: int) -> _Shape:
    """Find out what the plain SELECT could not carry; nearly always nothing, which is cheap."""
    doing = f"read table {table.name}"
    name, size = quote(table.name.name), _size(table, frozenset())
    uncertain = [column for column in table.columns if not _certain(table, column)]
    odd = [_foreign(table, column) for column in uncertain]
    odd += [f"{size} > {limit}"] if size else []
    if not odd:
        return _Shape()
    both = f"({condition}) AND " if condition else ""
    if not connection.value(
        f"SELECT EXISTS (SELECT 1 FROM {name} WHERE {both}{_joined(' OR ', odd)})", doing=doing
    ):
        return _Shape()
    where = f" WHERE {condition}" if condition else ""
    foreign: set[str] = set()
    # A result has at most 2,000 columns, no more than a table.
    for start in range(0, len(uncertain), 1000):
        part = uncertain[start : start + 1000]
        checks = ", ".join(f"max({_foreign(table, column)})" for column in part)
        found = connection.rows(f"SELECT {checks} FROM {name}{where}", doing=doing)[0]
        foreign |= {column.name for column, odd in zip(part, found, strict=True) if odd}
    size = _size(table, frozenset(foreign))
    largest = connection.value(f"SELECT coalesce(max({size or 0}), 0) FROM {name}{where}")
    return _Shape(largest=largest, foreign=frozenset(foreign))


def _select(
    connection: Connection, table: Table, condition: str, shape: _Shape, rows: int
) -> Iterator[pa.RecordBatch]:
    seeds: list[str] = []
    wanted: list[str] = []
    for column in table.columns:
        name = quote(column.name)
        seeds.append(_SEED[column.storage])
        guarded = column.name in shape.foreign
        wanted.append(
            f"CASE WHEN {_foreign(table, column)} THEN NULL ELSE {name} END" if guarded else name
        )
    for column in table.columns:
        if column.name in shape.foreign:
            foreign, name = _foreign(table, column), quote(column.name)
            for klass, seed in (("integer", "0"), ("real", "0.5"), ("text", "''"), ("blob", "x''")):
                seeds.append(seed)
                wanted.append(f"CASE WHEN {foreign} AND typeof({name})='{klass}' THEN {name} END")
    sql = (
        f"SELECT {', '.join(seeds)} UNION ALL SELECT {', '.join(wanted)}"
        f" FROM {quote(table.name.name)}{' WHERE ' + condition if condition else ''}"
    )
    first = True
    for batch in connection.stream(sql, batch_rows=rows, doing=f"read table {table.name}"):
        data = batch.slice(1) if first and batch.num_rows else batch
        first = first and not batch.num_rows
        if data.num_rows:
            yield _assemble(data, table, shape.foreign)


def _assemble(batch: pa.RecordBatch, table: Table, foreign: frozenset[str]) -> pa.RecordBatch:
    """Name the columns, check texts, and put values of another class into exceptions fields."""
    arrays: list[pa.Array] = []
    fields: list[pa.Field] = []
    extra_arrays: list[pa.Array] = []
    extra_fields: list[pa.Field] = []
    position = len(table.columns)
    for index, column in enumerate(table.columns):
        values = batch.column(index)
        exceptions: pa.Array | None = None
        if column.name in foreign:
            integers, reals, texts, blobs = (batch.column(position + i) for i in range(4))
            position += 4
            exceptions = _exceptions(integers, reals, texts, blobs)
        if pa.types.is_string(values.type):
            values, broken = _valid_texts(values)
            if broken is not None:
                exceptions = _merge(exceptions, broken)
        arrays.append(values)
        fields.append(pa.field(column.name, parse_storage(column.storage)))
        if exceptions is not None and exceptions.null_count < len(exceptions):
            extra_arrays.append(exceptions)
            extra_fields.append(pa.field(column.exceptions, exceptions.type))
    schema = pa.schema(fields + extra_fields)
    return pa.RecordBatch.from_arrays(arrays + extra_arrays, schema=schema)


def _valid_texts(values: pa.Array) -> tuple[pa.Array, pa.Array | None]:
    """Move texts that are not UTF-8 into an exceptions array; ADBC hands them on unchecked."""
    try:
        values.validate(full=True)
    except pa.ArrowInvalid:
        raw = values.cast(pa.binary())
    else:
        return values, None
    broken = pa.array([value is not None and not _is_utf8(value) for value in raw.to_pylist()])
    nothing = pa.nulls(len(raw), pa.binary())
    kept = pc.if_else(broken, nothing, raw).cast(pa.string())
    return kept, _struct(pc.if_else(broken, "text", None), pc.if_else(broken, raw, nothing))


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _exceptions(integers: pa.Array, reals: pa.Array, texts: pa.Array, blobs: pa.Array) -> pa.Array:
    kinds: pa.Array = pa.nulls(len(integers), pa.string())
    values: pa.Array = pa.nulls(len(integers), pa.binary())
    for kind, found in (
        ("integer", integers.cast(pa.string()).cast(pa.binary())),
        ("real", _shortest(reals)),
        ("text", texts.cast(pa.binary())),
        ("blob", blobs),
    ):
        if found.null_count < len(found):
            kinds = pc.if_else(found.is_valid(), kind, kinds)
            values = pc.coalesce(values, found)
    return _struct(kinds, values)


def _shortest(reals: pa.Array) -> pa.Array:
    if reals.null_count == len(reals):
        return pa.nulls(len(reals), pa.binary())
    # repr is the shortest text that reads back to the same double; Arrow's cast is not always.
    return pa.array(
        [None if value is None else repr(value).encode() for value in reals.to_pylist()],
        pa.binary(),
    )


def _struct(kinds: pa.Array, values: pa.Array) -> pa.Array:
    return pa.StructArray.from_arrays(
        [kinds.cast(pa.string()), values], names=["kind", "value"], mask=kinds.is_null()
    )


def _merge(first: pa.Array | None, second: pa.Array) -> pa.Array:
    if first is None:
        return second
    return _struct(
        pc.coalesce(first.field("kind"), second.field("kind")),
        pc.coalesce(first.field("value"), second.field("value")),
    )
