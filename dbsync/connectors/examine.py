"""Looking at values before the first write: what a target could not take exactly.

What lives here: `Examiner`, which a target makes of the very conversions that its writer uses, and
`MergingKey`, for keys that the target's collation may find equal. Must not know: any engine,
where batches come from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec
import pyarrow as pa

from dbsync.model.schema import Column
from dbsync.model.values import MisfitError, column_values
from dbsync.model.values.kernels import pc

Conversion = Callable[[pa.Array, "pa.StructArray | None"], object]
"""Turns a column's values and exceptions into what is written; raises `MisfitError`."""


class Misfit(msgspec.Struct, frozen=True, kw_only=True):
    """Values of one column that cannot be written as they are, in one batch.

    `row` is the position of one of them in the batch; `example` its value for people, or empty.
    """

    column: str
    count: int
    reason: str
    row: int
    example: str = ""
    hint: str | None = None


@dataclass(frozen=True, kw_only=True)
class MergingKey:
    """A key of the target whose collation may find keys equal that differ in the archive.

    `fold` gives for each row bytes (or text) that are equal wherever the target may find the keys
    equal, NULL for a row that no key compares. `same`, where the fold is only a guess, asks the
    target itself whether two rows of values (in the order of `columns`, as text) are equal keys.
    """

    columns: tuple[str, ...]
    reason: str
    """Follows "2 rows have keys that": such as "are equal under collation NOCASE"."""
    fold: Callable[[pa.RecordBatch], pa.Array]
    same: Callable[[tuple[str | None, ...], tuple[str | None, ...]], bool] | None = None


@dataclass(frozen=True, kw_only=True)
class Examiner:
    """What has to be looked at in one table before it is written; may be used by many threads.

    `conversions` are those of the writer, for the columns that are not proven to fit by their
    types alone. Fields of batches are as `dbsync.connectors.base` describes them; other columns
    than the ones wanted may be missing.
    """

    conversions: tuple[tuple[Column, Conversion], ...] = ()
    keys: tuple[MergingKey, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Name the columns that `examine` wants."""
        return tuple(column.name for column, _ in self.conversions)

    def examine(self, batch: pa.RecordBatch) -> list[Misfit]:
        """Convert without writing, and tell of every value that is refused, for every reason."""
        return [m for column, convert in self.conversions for m in _misfits(batch, column, convert)]


def examiner(
    conversions: Iterable[tuple[Column, Conversion]], keys: Iterable[MergingKey] = ()
) -> Examiner | None:
    """Make an examiner, or None where there is nothing to look at."""
    made = Examiner(conversions=tuple(conversions), keys=tuple(keys))
    return made if made.conversions or made.keys else None


def _misfits(batch: pa.RecordBatch, column: Column, convert: Conversion) -> Iterable[Misfit]:
    values, exceptions = column_values(batch, column)
    # A conversion stops at its first reason: what it refused is taken out, and it goes on.
    while True:
        try:
            convert(values, exceptions)
        except MisfitError as error:
            yield Misfit(
                column=column.name,
                count=error.count,
                reason=error.reason,
                row=error.first,
                example=error.example,
                hint=error.hint,
            )
            keep = pc.invert(error.rows)
            values = pc.if_else(keep, values, pa.scalar(None, values.type))
            if exceptions is not None:
                exceptions = pc.if_else(keep, exceptions, pa.scalar(None, exceptions.type))
        else:
            return
