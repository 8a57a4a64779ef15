"""Writing chunks of one table: converted, spelled, compressed, and uploaded as parts.

What lives here: `PartWriter`. Must not know: how a session ends, other tables.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pyarrow as pa

from dbsync.connectors.base import ChunkId, Counts
from dbsync.connectors.examine import Conversion
from dbsync.connectors.treasuredata.encode import PART_BYTES, Parts
from dbsync.connectors.treasuredata.mapping import Layout, Sink
from dbsync.connectors.treasuredata.names import TIME
from dbsync.connectors.treasuredata.parts import ChunkPart, part_name
from dbsync.connectors.treasuredata.values import converted, fits_by_type, seconds
from dbsync.model.schema import Column, Table
from dbsync.model.values import column_values

Upload = Callable[[str, int, bytes], None]
"""Takes a part: its name, its rows, its bytes."""


class PartWriter:
    """Writes chunks into one table; see `dbsync.connectors.base.TableWriter`.

    Nothing is sent before a chunk is complete, so that leaving it undoes it.
    """

    def __init__(
        self,
        table: Table,
        layout: Layout,
        made_at: int,
        upload: Upload,
        *,
        part_bytes: int = PART_BYTES,
    ):
        self._table = table
        self._layout = layout
        self._made_at = made_at
        self._upload = upload
        self._part_bytes = part_bytes
        self._parts = Parts(part_bytes)

    def __enter__(self) -> PartWriter:
        return self

    def __exit__(self, *exc: object) -> None:
        self._parts = Parts(self._part_bytes)

    def write(self, batch: pa.RecordBatch) -> None:
        """Convert and compress rows of the current chunk; see `TableWriter.write`."""
        if batch.num_rows:
            self._parts.add(self._columns(batch))

    def _columns(self, batch: pa.RecordBatch) -> list[tuple[str, pa.Array]]:
        name, time = str(self._table.name), self._layout.time
        moments = (
            pa.array(np.full(batch.num_rows, self._made_at, np.int64))
            if time is None
            else seconds(time, *column_values(batch, time), name)
        )
        values = [
            (sink.name, converted(sink, *column_values(batch, sink.column), name))
            for sink in self._layout.sinks
        ]
        return [(TIME, moments), *values]

    def commit(self, chunk: ChunkId) -> Counts:
        """Upload the chunk as parts of the session; see `TableWriter.commit`."""
        parts = self._parts.finish()
        for number, part in enumerate(parts, 1):
            place = ChunkPart(chunk.number, number, len(parts), part.rows)
            self._upload(part_name(place, chunk.digest), part.rows, part.data)
        return Counts(inserted=sum(part.rows for part in parts))


def conversions(table: Table, layout: Layout) -> list[tuple[Column, Conversion, bool]]:
    """List what the writer does to each column, for `dbsync.connectors.examine.examiner`."""
    name = str(table.name)

    found: list[tuple[Column, Conversion, bool]] = [
        (sink.column, partial(_convert, sink, name), fits_by_type(sink)) for sink in layout.sinks
    ]
    if layout.time is not None:
        found.append((layout.time, partial(_seconds, layout.time, name), False))
    return found


def _convert(
    sink: Sink, table: str, values: pa.Array, exceptions: pa.StructArray | None
) -> pa.Array:
    return converted(sink, values, exceptions, table)


def _seconds(
    column: Column, table: str, values: pa.Array, exceptions: pa.StructArray | None
) -> pa.Array:
    return seconds(column, values, exceptions, table)
