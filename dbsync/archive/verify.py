"""Checking a whole archive: every byte, every page, every count.

What lives here: `verify_archive`. Must not know: databases.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass

from dbsync.archive.archive import Archive, ChunkRef


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """What was checked. `members` counts those that the catalog lists."""

    members: int
    chunks: int
    rows: int
    bytes: int


def verify_chunk(chunk: ChunkRef) -> int:
    """Decode a chunk whole and return its rows; raise `ArchiveError` for anything wrong with it.

    Checks header, padding and digest of the member, then page CRCs, schema, text, and the number
    of rows against the catalog. May run in any thread.
    """
    return sum(batch.num_rows for batch in chunk.batches())


def verify_archive(
    archive: Archive,
    *,
    tables: Container[int] | None = None,
    on_chunk: Callable[[ChunkRef, int], object] | None = None,
) -> VerifyReport:
    """Check everything that opening the archive has not checked yet.

    Together with opening it, this looks at every byte: a file in which any bit was flipped is
    found. With `tables`, chunks of other tables are left out in random mode, and only their
    digests are checked in a stream. `on_chunk` is called after each chunk with its rows.
    """
    chunks = rows = 0
    for chunk in archive.chunks(tables):
        found = verify_chunk(chunk)
        chunks += 1
        rows += found
        if on_chunk is not None:
            on_chunk(chunk, found)
    archive.check_others()
    return VerifyReport(members=len(archive.entries), chunks=chunks, rows=rows, bytes=archive.size)
