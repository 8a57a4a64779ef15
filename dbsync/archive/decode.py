"""One chunk to record batches, with every claim of the Parquet file checked on the way.

What lives here: opening untrusted Parquet, bounding memory, yielding plain batches. Must not know:
tar, where the bytes came from.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from importlib import import_module
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dbsync.archive.footer import BadParquet, parse_footer
from dbsync.archive.layout import Field, Layout, mismatch
from dbsync.archive.limits import Limits
from dbsync.archive.pages import PageSummary, scan_pages
from dbsync.errors import ArchiveError
from dbsync.model.schema import Table

pc: Any = import_module("pyarrow.compute")  # its kernels are made at run time, unknown to pyright
Data = bytes | bytearray | memoryview | pa.Buffer
_MAX_BATCH_ROWS = 1 << 17
_CONTAINER_LIMIT = 1_000_000


def decode_chunk(
    table: Table,
    data: Data,
    *,
    limits: Limits | None = None,
    columns: Sequence[str] | None = None,
    odd: Sequence[str] = (),
    expected_rows: int | None = None,
    leaves: Container[int] | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a chunk in batches of a few MiB.

    Fields are as `dbsync.connectors.base` describes batches: values in column order, then the
    exceptions fields that the chunk has; `columns` keeps those of some columns only, and of `odd`
    where the chunk has exceptions of theirs: where `odd` leaves no field, there are no batches.
    Those of a table without columns have one field ``:rows`` that only counts. Everything that
    can be checked without decoding is checked before the first batch: page CRCs, schema, sizes,
    and the row count against `expected_rows`. Raises E_CHECKSUM, E_SCHEMA_MISMATCH, E_ROWCOUNT or
    E_LIMIT. May be called from several threads.
    """
    limits = limits or Limits()
    layout = Layout(table)
    view = memoryview(data).cast("B")
    try:
        footer = parse_footer(view, limits.max_footer_bytes)
        _check_rows(table, footer.rows, expected_rows)
        summary = scan_pages(view, footer, limits.max_arrow_bytes, leaves)
    except BadParquet as error:
        raise mismatch(table, str(error), error.code) from error
    fields = layout.check_chunk(_schema(table, view))
    wanted = layout.select(columns, fields, odd)
    if odd and not wanted:
        return iter(())
    try:
        file = _open(view, _coded_paths(layout, fields, summary))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise mismatch(table, f"its Parquet footer is unusable: {error}") from error
    per_row = max(1, summary.decoded_bytes // footer.rows)
    size = max(1, min(_MAX_BATCH_ROWS, limits.max_batch_bytes // per_row))
    batches = file.iter_batches(size, columns=_selection(file, wanted), use_threads=False)
    return _checked(_batches(batches, wanted, table, limits), footer.rows, table)


def leaf_numbers(
    table: Table, data: Data, columns: Sequence[str], odd: Sequence[str] = ()
) -> frozenset[int] | None:
    """Say which leaf columns hold `columns` and their exceptions, by the footer of a chunk alone.

    Those of `odd` are among them only where the chunk has exceptions of theirs. None where pyarrow
    could not be kept from reading others. Raises E_SCHEMA_MISMATCH, and KeyError for a column that
    the table does not have.
    """
    layout = Layout(table)
    schema = _schema(table, memoryview(data).cast("B"))
    fields = layout.check_chunk(schema)
    wanted = {field.name for field in layout.select(columns, fields, odd)}
    if not (wanted or odd) or any("." in name for name in schema.names):
        return None
    numbers: set[int] = set()
    number = 0
    for field in fields:
        width = field.type.num_fields if pa.types.is_struct(field.type) else 1
        if field.name in wanted:
            numbers.update(range(number, number + width))
        number += width
    return frozenset(numbers)


def count_rows(table: Table, data: Data, limits: Limits) -> int:
    """Read from a chunk's footer how many rows it promises; E_SCHEMA_MISMATCH where it has none."""
    try:
        return parse_footer(memoryview(data).cast("B"), limits.max_footer_bytes).rows
    except BadParquet as error:
        raise mismatch(table, str(error), error.code) from error


def _check_rows(table: Table, rows: int, expected: int | None) -> None:
    if rows < 1 or expected not in (None, rows):
        wanted = "" if expected is None else f" instead of {expected}"
        raise ArchiveError("E_ROWCOUNT", f"a chunk of table {table.name} has {rows} rows{wanted}")


def _schema(table: Table, view: memoryview) -> pa.Schema:
    try:
        return _open(view, annotations=True).schema_arrow
    except (pa.ArrowException, OSError, ValueError) as error:
        raise mismatch(table, f"its Parquet schema is unusable: {error}") from error


def _open(
    view: memoryview, coded: Sequence[str] = (), *, annotations: bool = False
) -> pq.ParquetFile:
    return pq.ParquetFile(
        pa.BufferReader(pa.py_buffer(view)),
        read_dictionary=list(coded),
        pre_buffer=False,
        thrift_container_size_limit=_CONTAINER_LIMIT,
        schema_depth_limit=4,
        arrow_extensions_enabled=annotations,
    )


def _leaves(fields: Sequence[Field]) -> list[tuple[str, bool]]:
    """List the leaf columns in order: dotted path, and whether it is a value of its own."""
    leaves: list[tuple[str, bool]] = []
    for field in fields:
        if pa.types.is_struct(field.type):
            leaves += [(f"{field.name}.{leaf.name}", False) for leaf in field.type]
        else:
            leaves.append((field.name, True))
    return leaves


def _coded_paths(layout: Layout, fields: Sequence[Field], summary: PageSummary) -> list[str]:
    """Name the columns to be read as dictionary codes, so that they cannot expand unseen."""
    leaves = _leaves(fields)
    paths = [path for path, _ in leaves]
    coded: list[str] = []
    for number in sorted(summary.dictionaries):
        path, is_value = leaves[number]
        # pyarrow addresses columns by path; one that is not unique could miss its column.
        if not is_value or paths.count(path) > 1:
            raise mismatch(layout.table, f"column {path!r} may not be encoded with a dictionary")
        coded.append(path)
    return coded


def _selection(file: pq.ParquetFile, wanted: Sequence[Field]) -> list[str] | None:
    """Name the columns to read; None for all where pyarrow, which takes names for dotted paths,
    could read others."""
    names = [field.name for field in wanted]
    dotted = any("." in name for name in file.schema_arrow.names)
    return None if dotted or not names else names


def _batches(
    batches: Iterator[pa.RecordBatch], wanted: Sequence[Field], table: Table, limits: Limits
) -> Iterator[pa.RecordBatch]:
    decoded = 0
    for batch in batches:
        ahead = decoded + sum(_decoded_size(column, 0) for column in batch.columns)
        _check_size(ahead, table, limits)
        for part in _bounded(batch, limits.max_batch_bytes):
            plain = _plain(part, wanted, table)
            decoded += plain.nbytes
            _check_size(decoded, table, limits)
            yield plain


def _check_size(decoded: int, table: Table, limits: Limits) -> None:
    if decoded > limits.max_arrow_bytes:
        raise ArchiveError(
            "E_LIMIT",
            f"a chunk of table {table.name} decodes to more than {limits.max_arrow_bytes} bytes",
        )


def _checked(
    batches: Iterator[pa.RecordBatch], rows: int, table: Table
) -> Iterator[pa.RecordBatch]:
    """Pass batches on; translate pyarrow's errors, and demand `rows` rows in the end."""
    seen = 0
    while True:
        try:
            batch = next(batches, None)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise mismatch(table, f"its Parquet pages cannot be decoded: {error}") from error
        if batch is None:
            break
        seen += batch.num_rows
        yield batch
    if seen != rows:
        raise ArchiveError(
            "E_ROWCOUNT", f"a chunk of table {table.name} has {seen} rows; its footer says {rows}"
        )


def _bounded(batch: pa.RecordBatch, target: int) -> Iterator[pa.RecordBatch]:
    """Cut a batch until decoding its dictionary codes gives about `target` bytes at most."""
    size = sum(_decoded_size(column, target) for column in batch.columns)
    if size <= target or batch.num_rows <= 1:
        yield batch
        return
    half = batch.num_rows // 2
    yield from _bounded(batch.slice(0, half), target)
    yield from _bounded(batch.slice(half), target)


def _decoded_size(column: pa.Array, enough: int) -> int:
    if not isinstance(column, pa.DictionaryArray) or not len(column.dictionary):
        return 0
    lengths = pc.binary_length(column.dictionary).cast(pa.int64())
    bound = (pc.max(lengths).as_py() or 0) * len(column)
    if bound <= enough:
        return bound
    return pc.sum(lengths.take(column.indices)).as_py() or 0


def _plain(batch: pa.RecordBatch, wanted: Sequence[Field], table: Table) -> pa.RecordBatch:
    arrays: list[pa.Array] = []
    for field in wanted:
        array = batch.column(batch.schema.get_field_index(field.name))
        if isinstance(array, pa.DictionaryArray):
            array = array.dictionary_decode()
        if array.type != field.type:
            raise mismatch(table, f"field {field.name!r} decodes to {array.type}")
        arrays.append(array)
    if not arrays:
        return batch.select([])
    plain = pa.RecordBatch.from_arrays(
        arrays, schema=pa.schema([pa.field(f.name, f.type) for f in wanted])
    )
    # Parquet readers trust text to be UTF-8 and decimals to fit their precision.
    plain.validate(full=True)
    return plain
