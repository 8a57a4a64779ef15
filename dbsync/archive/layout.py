"""How a table's columns become Parquet columns: names, types, annotations, exceptions fields.

What lives here: the schema of chunks, and turning record batches into it and back. Must not know:
how pages are encoded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from dbsync.errors import ArchiveError
from dbsync.model.schema import Column, Table
from dbsync.model.types import parse_storage
from dbsync.model.values import EXCEPTIONS_TYPE

ROWS_FIELD = ":rows"
"""The one field of a chunk of a table without columns: it only counts the rows."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a chunk: the Arrow type in batches, and the annotated one in Parquet."""

    name: str
    type: pa.DataType
    parquet_type: pa.DataType
    column: Column | None


class Layout:
    """The fields that chunks of one table may have.

    Raises E_SCHEMA_MISMATCH where the table's document contradicts itself: an unknown storage
    type, two fields of one name, a key over a column that is not there.
    """

    def __init__(self, table: Table) -> None:
        self.table = table
        try:
            values = [_value_field(column) for column in table.columns]
        except ValueError as error:
            raise mismatch(table, f"its schema is unusable: {error}") from error
        self.values: tuple[Field, ...] = tuple(values) or (
            Field(ROWS_FIELD, pa.bool_(), pa.bool_(), None),
        )
        self.exceptions: tuple[Field, ...] = tuple(
            Field(column.exceptions, EXCEPTIONS_TYPE, EXCEPTIONS_TYPE, column)
            for column in table.columns
        )
        names = [field.name for field in (*self.values, *self.exceptions)]
        if len(set(names)) != len(names):
            raise mismatch(table, "its schema names two fields alike")
        key = table.primary_key.columns if table.primary_key else ()
        if unknown := set(key) - set(names[: len(self.values)]):
            raise mismatch(table, f"its primary key names an unknown column {sorted(unknown)[0]!r}")

    def present(self, names: Iterable[str]) -> tuple[Field, ...]:
        """List the fields of a chunk whose exceptions fields are those among `names`."""
        wanted = set(names)
        return self.values + tuple(f for f in self.exceptions if f.name in wanted)

    def check_batch(self, schema: pa.Schema) -> tuple[Field, ...]:
        """Return the fields of a batch to be written; E_SCHEMA_MISMATCH where they do not fit."""
        fields = self.present(schema.names)
        if not self.table.columns and not schema.names:
            return fields
        self._compare([(f.name, f.type) for f in schema], [(f.name, f.type) for f in fields])
        return fields

    def check_chunk(self, schema: pa.Schema) -> tuple[Field, ...]:
        """Return the fields of a chunk; E_SCHEMA_MISMATCH where its Parquet schema does not fit."""
        fields = self.present(schema.names)
        self._compare(
            [(f.name, f.type) for f in schema], [(f.name, f.parquet_type) for f in fields]
        )
        return fields

    def select(
        self, columns: Sequence[str] | None, fields: Sequence[Field], odd: Sequence[str] = ()
    ) -> list[Field]:
        """Keep the fields of `columns`, with exceptions; raise KeyError for an unknown one.

        Those of `odd` are kept only where they have exceptions among `fields`.
        """
        if columns is None:
            return list(fields)
        wanted = {self.table.column(name).name for name in columns}
        present = {field.name for field in fields}
        wanted |= {name for name in odd if self.table.column(name).exceptions in present}
        return [f for f in fields if f.column is not None and f.column.name in wanted]

    def _compare(
        self, found: list[tuple[str, pa.DataType]], expected: list[tuple[str, pa.DataType]]
    ) -> None:
        if found == expected:
            return
        for (name, kind), (want_name, want_kind) in zip(found, expected, strict=False):
            if name != want_name:
                raise mismatch(self.table, f"field {name!r} stands where {want_name!r} belongs")
            if kind != want_kind:
                raise mismatch(self.table, f"field {name!r} has type {kind}, not {want_kind}")
        raise mismatch(self.table, f"it has {len(found)} fields instead of {len(expected)}")


def annotate(array: pa.Array, field: Field) -> pa.Array:
    """Give an array the extension type under which Parquet writes its annotation."""
    if isinstance(field.parquet_type, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(field.parquet_type, array)
    return array


def mismatch(table: Table, reason: str, code: str = "E_SCHEMA_MISMATCH") -> ArchiveError:
    """Make an error that names the table."""
    return ArchiveError(code, f"a chunk of table {table.name}: {reason}")


def _value_field(column: Column) -> Field:
    storage = parse_storage(column.storage)
    annotated = storage
    if column.type.name == "uuid" and storage == pa.binary(16):
        annotated = pa.uuid()
    elif column.type.name == "json" and storage == pa.string():
        annotated = pa.json_()
    return Field(column.name, storage, annotated, column)
