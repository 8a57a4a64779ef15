"""The rows of one query: its job, the download and the decoding, each ahead of the next.

What lives here: the order of this work, in which two processors are kept busy. Must not know: how
any of it is done.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

from dbsync.connectors.treasuredata.ahead import ahead
from dbsync.connectors.treasuredata.download import Download
from dbsync.connectors.treasuredata.jobs import Job
from dbsync.connectors.treasuredata.rows import batches, unpacked
from dbsync.model.schema import Table

if TYPE_CHECKING:
    import pyarrow as pa


def read_result(download: Download, job: Job, table: Table) -> Generator[pa.RecordBatch]:
    """Yield the rows of a finished job; closing the generator ends its downloads.

    The result has the columns of `table`, in order. Raises `SourceError` unless every byte and
    every row that the service counts has arrived.
    """
    if not job.rows and not job.bytes:
        return
    parts = download.parts()
    pieces = ahead(unpacked(parts))
    rows = ahead(batches(pieces, table, job.rows, job.id))
    try:
        yield from rows
    finally:
        # From the far end: a thread that waits for bytes stops waiting.
        download.stop()
        rows.close()
        pieces.close()
        parts.close()
