"""What has to be looked at before rows go into a table, whether it exists or will be made.

What lives here: `table_examiner`, over the conversions of `convert`, and the keys whose collation
finds more texts equal than the archive does. Must not know: connections.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pyarrow as pa

from dbsync.connectors.base import Examiner, MergingKey, TablePlan
from dbsync.connectors.examine import examiner, folded_key
from dbsync.connectors.sqlite.catalog import RawIndex, RawTable
from dbsync.connectors.sqlite.convert import (
    Sink,
    convert,
    fits_by_type,
    make_sink,
    written_columns,
)
from dbsync.connectors.sqlite.naming import folded
from dbsync.connectors.sqlite.types import declared_type
from dbsync.model.schema import Table
from dbsync.model.values.kernels import pc

_FOLDS = {"NOCASE": pc.ascii_lower, "RTRIM": partial(pc.ascii_rtrim, characters=" ")}


def table_examiner(
    plan: TablePlan, raw: RawTable | None, *, encoding: str, from_sqlite: bool
) -> Examiner | None:
    """Make the examiner of one table; `raw` is None where the import makes the table.

    `encoding` is the ``PRAGMA encoding`` that the file has or will have.
    """
    source = plan.source
    if raw is not None:
        sinks = [s for s, _ in written_columns(source, raw, from_sqlite=from_sqlite)]
        keys = list(_merging_keys(source, raw))
    else:
        sinks = [
            make_sink(
                column,
                column.native_type if from_sqlite else declared_type(column.type),
                strict=False,
                from_sqlite=from_sqlite,
            )
            for column in source.columns
        ]
        keys = []
    return examiner(
        (
            (sink.column, partial(_convert, source, sink, encoding), fits)
            for sink in sinks
            # What is put back as it was has its exceptions put back too.
            if not (fits := fits_by_type(sink, encoding)) or not sink.raw
        ),
        keys,
        engine="sqlite" if from_sqlite else "",
    )


def _convert(
    table: Table, sink: Sink, encoding: str, values: pa.Array, exceptions: pa.StructArray | None
) -> None:
    convert(values, exceptions, table, sink, encoding)


def _merging_keys(source: Table, raw: RawTable) -> Iterator[MergingKey]:
    own = {folded(column.name): column for column in source.columns}
    promised = [k.columns for k in (source.primary_key, *source.uniques) if k is not None]
    for index in raw.indexes:
        collations = _collations(index)
        if not collations or not {folded(name) for name in _columns(index)} <= own.keys():
            continue
        columns = tuple(own[folded(name)].name for name in _columns(index))
        same = all((own[folded(n)].collation or "").upper() == c for n, c in collations.items())
        if same and columns in promised:
            continue
        folds = {own[folded(name)].name: _FOLDS[c] for name, c in collations.items()}
        named = " and ".join(sorted(set(collations.values())))
        yield MergingKey(
            columns=columns,
            reason=f"are equal under collation {named} of table {raw.name}",
            fold=folded_key(source, columns, folds),
        )


def _columns(index: RawIndex) -> tuple[str, ...]:
    return tuple(part.column or "" for part in index.parts)


def _collations(index: RawIndex) -> dict[str, str]:
    """Give the columns of a unique index that are compared otherwise than by their bytes."""
    if not index.unique or index.partial or any(part.column is None for part in index.parts):
        return {}
    return {p.column or "": p.collation for p in index.parts if p.collation in _FOLDS}
