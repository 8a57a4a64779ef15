"""From a batch of the archive to the parameters of one INSERT: the storage classes SQLite has.

What lives here: for each column, how its values are bound, and the refusal of what SQLite cannot
hold. Must not know: connections, transactions, statements.
"""

from __future__ import annotations

import msgspec
import pyarrow as pa

from dbsync.connectors.sqlite.catalog import RawTable
from dbsync.connectors.sqlite.columns import STORAGE_OF
from dbsync.connectors.sqlite.connection import quote
from dbsync.connectors.sqlite.naming import folded
from dbsync.connectors.sqlite.types import (
    EXACT_DOUBLE_DIGITS,
    Affinity,
    affinity,
    exact_in_double,
    stored_class,
)
from dbsync.model.schema import Column, Table
from dbsync.model.types import standard_storage
from dbsync.model.values import column_values, refuse, standardize, to_text
from dbsync.model.values.kernels import attempt, matches, pc

_NUMERIC_LOOK = (
    r"[ \t\n\v\f\r]*[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[ \t\n\v\f\r]*"
)
"""What a column of a numeric affinity would turn into a number (https://sqlite.org/datatype3.html)."""

_NEVER_NUMERIC = frozenset({"date", "time", "time_tz", "timestamp", "timestamp_tz", "uuid"})
_STORAGE_KLASS = {storage: klass for klass, storage in STORAGE_OF.items()}


class Sink(msgspec.Struct, frozen=True, kw_only=True):
    """One column that is written: the archive's, and what the target's does to its values."""

    column: Column
    affinity: Affinity
    raw: bool
    """The values come from SQLite and are put back as they were, storage class included."""


class Bound(msgspec.Struct, frozen=True, kw_only=True):
    """Parameters for a chunk's rows and the expressions that combine them into columns."""

    names: tuple[str, ...]
    expressions: tuple[str, ...]
    parameters: pa.RecordBatch


def make_sink(column: Column, declared: str, *, strict: bool, from_sqlite: bool) -> Sink:
    """Decide how values of the archive's `column` are put into one declared as `declared`."""
    kind = affinity(declared, strict=strict)
    same = kind in (affinity(column.native_type), "blob")
    raw = column.type.name == "any" or (from_sqlite and same and column.storage in _STORAGE_KLASS)
    return Sink(column=column, affinity=kind, raw=raw)


def written_columns(source: Table, raw: RawTable, *, from_sqlite: bool) -> list[tuple[Sink, str]]:
    """Pair the columns that are written with their names on the target.

    What the database computes is not written back.
    """
    actual = {folded(column.name): column for column in raw.columns}
    pairs: list[tuple[Sink, str]] = []
    for column in source.columns:
        found = actual.get(folded(column.name))
        if found is not None and found.hidden == 0:
            sink = make_sink(column, found.declared, strict=raw.strict, from_sqlite=from_sqlite)
            pairs.append((sink, found.name))
    return pairs


def bind(batch: pa.RecordBatch, table: Table, sinks: list[Sink], encoding: str) -> Bound:
    """Turn a batch into parameters; `encoding` is the target's ``PRAGMA encoding``.

    Raises `LossError` naming table, column and count for values that SQLite cannot hold.
    """
    arrays: list[pa.Array] = []
    expressions: list[str] = []
    for sink in sinks:
        values, exceptions = column_values(batch, sink.column)
        parts = convert(values, exceptions, table, sink, encoding)
        arrays += [array for array, _ in parts]
        markers = [marker for _, marker in parts]
        expressions.append(markers[0] if len(markers) == 1 else f"coalesce({', '.join(markers)})")
    # A table may have rows without a single column that is written.
    parameters = pa.RecordBatch.from_arrays(arrays, names=[f"p{i}" for i in range(len(arrays))])
    return Bound(
        names=tuple(quote(sink.column.name) for sink in sinks),
        expressions=tuple(expressions),
        parameters=parameters,
    )


_Parts = list[tuple[pa.Array, str]]


def convert(
    values: pa.Array, exceptions: pa.StructArray | None, table: Table, sink: Sink, encoding: str
) -> _Parts:
    """Turn one column's values into parameters with their markers; see `bind`."""
    if sink.raw:
        return _raw(values, exceptions, table, sink, encoding)
    return _converted(values, exceptions, table, sink)


def fits_by_type(sink: Sink, encoding: str) -> bool:
    """Say whether the types alone rule out that `convert` refuses a value.

    Only a source that is SQLite itself has text that is not Unicode.
    """
    column = sink.column
    if sink.raw:
        return encoding == "UTF-8" or column.storage in ("int64", "double")
    if column.storage != standard_storage(column.type):
        return False
    match column.type.name:
        case "integer":
            return not (column.type.unsigned and column.type.bits == 64)
        case "boolean" | "binary" | "any":
            return True
        case "string" | "json" | "interval" | "array" | "native" | "uuid" | "time_tz":
            return sink.affinity in ("text", "blob") or column.type.name in _NEVER_NUMERIC
        case _:
            # NaN, decimals with too many digits, and dates that only another engine holds.
            return False


def _raw(
    values: pa.Array, exceptions: pa.StructArray | None, table: Table, sink: Sink, encoding: str
) -> _Parts:
    """Bind values in the class they had; each class among the exceptions is one parameter more."""
    if str(values.type) not in _STORAGE_KLASS:
        # An ``any`` column of another engine: its values are bytes or text already.
        values = values.cast(pa.string())
    parts: _Parts = [(values, "?")]
    if exceptions is None:
        return parts
    kinds, raw = exceptions.field("kind"), exceptions.field("value")
    for kind in exceptions.drop_null().field("kind").unique().to_pylist():
        chosen = pc.and_(exceptions.is_valid(), pc.equal(kinds, kind)).fill_null(False)
        found = pc.if_else(chosen, raw, pa.scalar(None, pa.binary()))
        match kind:
            case "integer":
                parts.append((found.cast(pa.string()).cast(pa.int64()), "?"))
            case "real":
                parts.append((found.cast(pa.string()).cast(pa.float64()), "?"))
            case "blob":
                parts.append((found, "?"))
            case _:
                parts.append(_text(found, table, sink, encoding))
    return parts


def _text(found: pa.Array, table: Table, sink: Sink, encoding: str) -> tuple[pa.Array, str]:
    """Bind texts that may not be Unicode, as bytes of the database's own encoding."""
    if encoding == "UTF-8":
        # The driver binds the bytes as they are; Arrow's own check has to be left out.
        return found.view(pa.string()), "?"
    codec = encoding.lower()
    written: list[bytes | None] = []
    broken: list[bool] = []
    for value in found.to_pylist():
        try:
            text = None if value is None else value.decode("utf-8", "surrogatepass")
            written.append(None if text is None else text.encode(codec, "surrogatepass"))
            broken.append(False)
        except UnicodeDecodeError:
            written.append(None)
            broken.append(True)
    reason = f"that are not Unicode, and this database is {encoding}"
    refuse(pa.array(broken, pa.bool_()), sink.column.name, str(table.name), reason)
    return pa.array(written, pa.binary()), "CAST(? AS TEXT)"


def _converted(
    values: pa.Array, exceptions: pa.StructArray | None, table: Table, sink: Sink
) -> _Parts:
    column = sink.column
    standard, literals = standardize(values, exceptions, column, str(table.name))
    klass = stored_class(column.type)
    if klass in ("integer", "real") and sink.affinity == "text":
        klass = "text"  # SQLite's own text of a double has fewer digits
    if column.type.name in ("decimal", "numeric"):
        klass = "text" if sink.affinity in ("text", "blob") else "real"
    match klass:
        case "integer":
            return [(_integers(standard, table, sink), "?")]
        case "real":
            return [(_reals(standard, literals, table, column), "?")]
        case "blob" | "any":
            return [(standard, "?")]
        case "text":
            text = to_text(standard, column.type)
            if literals is not None:
                text = pc.coalesce(text, literals)
            _refuse_numbers(text, table, sink)
            if column.type.labels:
                known = pc.is_in(text, pa.array(column.type.labels, pa.string()))
                unknown = pc.and_not(text.is_valid(), known)
                refuse(unknown, column.name, str(table.name), "that are no labels of the enum")
            return [(text, "?")]


def _integers(values: pa.Array, table: Table, sink: Sink) -> pa.Array:
    whole, failed = attempt(values, lambda part: part.cast(pa.int64()))
    reason = "above 9223372036854775807, SQLite's largest integer"
    refuse(failed, sink.column.name, str(table.name), reason)
    if sink.affinity == "real":
        near = pc.less_equal(pc.abs(whole.cast(pa.float64(), safe=False)), 2.0**53)
        reason = "of more than 53 bits, which this column's declared type would round"
        refuse(pc.invert(near), sink.column.name, str(table.name), reason)
    return whole


def _reals(values: pa.Array, literals: pa.Array | None, table: Table, column: Column) -> pa.Array:
    if literals is not None:
        reason = "that are not numbers, which SQLite would turn into NULL"
        refuse(literals.is_valid(), column.name, str(table.name), reason)
    if column.type.name in ("decimal", "numeric"):
        text = to_text(values, column.type)
        if not exact_in_double(column.type):
            _refuse_digits(text, table, column)
        # Through text: the nearest double of the decimal, which Arrow's own cast may miss.
        return text.cast(pa.float64())
    reals = values.cast(pa.float64())
    reason = "NaN, which SQLite would turn into NULL"
    refuse(pc.is_nan(reals), column.name, str(table.name), reason)
    return reals


def _refuse_digits(text: pa.Array, table: Table, column: Column) -> None:
    digits = pc.utf8_ltrim(pc.replace_substring_regex(text, "[^0-9]", ""), "0")
    long = pc.greater(pc.utf8_length(digits), EXACT_DOUBLE_DIGITS)
    reason = "of more than 15 digits, which this column's declared type would change"
    refuse(long, column.name, str(table.name), reason)


def _refuse_numbers(text: pa.Array, table: Table, sink: Sink) -> None:
    """Refuse text that the target's column would turn into a number, losing its digits."""
    if sink.affinity in ("text", "blob") or sink.column.type.name in _NEVER_NUMERIC:
        return
    looks = matches(text, _NUMERIC_LOOK)
    reason = "that look like numbers, which this column's declared type would change"
    refuse(looks, sink.column.name, str(table.name), reason)
