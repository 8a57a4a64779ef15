"""Looking at values before the first write: what a target could not take exactly.

What lives here: an `Examiner` made of the very conversions that the target's writer uses, and the
folding of keys that the target's collation may find equal. Must not know: any engine,
where batches come from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from dbsync.connectors.base import Examiner, MergingKey, Misfit
from dbsync.model.schema import Column, Table
from dbsync.model.values import MisfitError, canonical, column_values
from dbsync.model.values.kernels import pc

Conversion = Callable[[pa.Array, "pa.StructArray | None"], object]
"""Turns a column's values and exceptions into what is written; raises `MisfitError`."""


@dataclass(frozen=True, kw_only=True)
class ColumnExaminer:
    """See `dbsync.connectors.base.Examiner`.

    `conversions` are those of the writer, for the columns that are not proven to fit by their
    types alone; `odd` are those for the columns that are, exceptions aside.
    """

    conversions: tuple[tuple[Column, Conversion], ...] = ()
    odd: tuple[tuple[Column, Conversion], ...] = ()
    keys: tuple[MergingKey, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Name the columns that `examine` wants."""
        return tuple(column.name for column, _ in self.conversions)

    @property
    def odd_columns(self) -> tuple[str, ...]:
        """Name the columns that `examine` wants where they have exceptions."""
        return tuple(column.name for column, _ in self.odd)

    def examine(self, batch: pa.RecordBatch) -> list[Misfit]:
        """Convert without writing, and tell of every value that is refused, for every reason."""
        present = set(batch.schema.names)
        return [
            misfit
            for column, convert in (*self.conversions, *self.odd)
            if column.name in present
            for misfit in _misfits(batch, column, convert)
        ]


def examiner(
    conversions: Iterable[tuple[Column, Conversion, bool]],
    keys: Iterable[MergingKey] = (),
    *,
    engine: str,
) -> Examiner | None:
    """Make an examiner, or None where there is nothing to look at.

    The third part of a conversion says whether the types alone prove that ordinary values fit.
    Of the archives' engines, only SQLite has values of other classes in such a column.
    """
    given = list(conversions)
    made = ColumnExaminer(
        conversions=tuple((column, convert) for column, convert, fits in given if not fits),
        odd=tuple((c, convert) for c, convert, fits in given if fits and engine == "sqlite"),
        keys=tuple(keys),
    )
    return made if made.conversions or made.odd or made.keys else None


def folded_key(
    table: Table, columns: Sequence[str], folds: Mapping[str, Callable[[pa.Array], pa.Array]]
) -> Callable[[pa.RecordBatch], pa.Array]:
    """Make the `fold` of a `MergingKey` from what a collation does to the text of single columns.

    Columns without a fold are compared by value.
    """

    def fold(batch: pa.RecordBatch) -> pa.Array:
        arrays = {name: batch.column(batch.schema.get_field_index(name)) for name in columns}
        present = next(iter(arrays.values())).is_valid()
        for name, array in arrays.items():
            present = pc.and_(present, array.is_valid())
            if name in folds and pa.types.is_string(array.type):
                arrays[name] = folds[name](array)
        rows = canonical(pa.record_batch(arrays), table, columns)
        return pc.if_else(present, rows, pa.scalar(None, pa.binary()))

    return fold


def _misfits(batch: pa.RecordBatch, column: Column, convert: Conversion) -> Iterable[Misfit]:
    values, exceptions = column_values(batch, column)
    # A conversion stops at its first reason: what it refused is taken out, and it goes on. Where
    # NULL is refused as well, what was taken out is refused again and not told again.
    known: pa.Array | None = None
    while True:
        try:
            convert(values, exceptions)
        except MisfitError as error:
            found = error.rows if known is None else pc.and_not(error.rows, known)
            count = pc.sum(found).as_py() or 0
            if not count:
                return
            yield Misfit(
                column=column.name,
                count=count,
                reason=error.reason,
                row=pc.index(found, True).as_py(),
                example=error.example,
                hint=error.hint,
            )
            known = found if known is None else pc.or_(known, found)
            keep = pc.invert(error.rows)
            values = pc.if_else(keep, values, pa.scalar(None, values.type))
            if exceptions is not None:
                exceptions = pc.if_else(keep, exceptions, pa.scalar(None, exceptions.type))
        else:
            return
