"""The rows of a snapshot in pieces of about one size.

Must not know: what becomes of them.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import ExitStack
from typing import TYPE_CHECKING

from dbsync.connectors.base import Partition, Snapshot
from dbsync.model.schema import Table

if TYPE_CHECKING:
    import pyarrow as pa


def partition_bytes(table: Table, chunk_bytes: int, jobs: int) -> int:
    """Choose how large the ranges are into which a table is split, for `Snapshot.partitions`."""
    # A range that fits into one chunk, with room for a wrong estimate, makes chunks of the same
    # size whatever the size of the table, and so the same peak of memory. A condition may leave
    # few rows of a range: then larger ones keep chunks from being tiny.
    if table.where is None:
        return chunk_bytes * 3 // 4
    share = (table.bytes_estimate or 0) // (jobs * 4)
    return max(chunk_bytes, min(share, 8 * chunk_bytes))


def read_chunks(
    snapshot: Snapshot,
    table: Table,
    partition: Partition,
    chunk_bytes: int,
    stopping: threading.Event,
) -> Generator[list[pa.RecordBatch]]:
    """Yield the rows of a partition, `chunk_bytes` of Arrow or little more at a time, never none.

    Ends early when `stopping` is set. One that is abandoned must be closed, as `Snapshot.read`
    says; memory holds no more than the piece in hand if the caller lets go of the one before.
    """
    batches: list[pa.RecordBatch] = []
    size = 0
    reader = snapshot.read(table, partition)
    with ExitStack() as stack:
        close = getattr(reader, "close", None)
        if close is not None:
            stack.callback(close)
        for batch in reader:
            if stopping.is_set():
                return
            if batch.num_rows == 0:
                continue
            batches.append(batch)
            size += batch.nbytes
            if size >= chunk_bytes:
                yield batches
                batches, size = [], 0
        if batches:
            yield batches
