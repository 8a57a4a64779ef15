"""The rows of one stored result: gzipped msgpack in pieces to record batches.

What lives here: unpacking gzip as a stream, the buffer in which rows are found, and the proof that
nothing is missing. Must not know: where the pieces come from, what a value means.
"""

from __future__ import annotations

import zlib
from collections.abc import Generator, Iterable, Iterator
from typing import TYPE_CHECKING

from dbsync.connectors.treasuredata.decode import RowDecoder
from dbsync.connectors.treasuredata.packed import PADDING, Malformed, Unexpected, find_rows
from dbsync.errors import SourceError
from dbsync.model.schema import Table

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_BYTES = 2 << 20
"""How much msgpack becomes one batch, unless a row is larger."""

_LARGEST_ROW = (2 << 30) - PADDING - 1  # what the offsets of an Arrow array can say
_GZIP = 31  # zlib's window bits for a gzip member
_AGAIN = "run the export again; if it happens once more, the service's result is damaged"


class Damaged(Exception):
    """The bytes are not a whole result."""


def unpacked(pieces: Iterable[bytes | bytearray], size: int = BATCH_BYTES) -> Generator[bytes]:
    """Unpack gzip, in pieces of at most `size` bytes; several members follow one another.

    Raises `Damaged` where the bytes are no gzip, or end before a member does: its end holds the
    checksum and the length of the content.
    """
    member = zlib.decompressobj(_GZIP)
    begun = False
    try:
        for piece in pieces:
            rest = piece
            while rest:
                if member.eof:
                    member, begun = zlib.decompressobj(_GZIP), False
                content = member.decompress(rest, size)
                begun = True
                if content:
                    yield content
                rest = member.unused_data if member.eof else member.unconsumed_tail
    except zlib.error as error:
        raise Damaged("is damaged: its gzip cannot be unpacked") from error
    if begun and not member.eof:
        raise Damaged("ends before its gzip does")


def batches(
    pieces: Iterable[bytes], table: Table, rows: int, job: str, *, size: int = BATCH_BYTES
) -> Generator[pa.RecordBatch]:
    """Yield the rows of a result as batches of `table`, whose columns were selected in order.

    `pieces` are of the unpacked result, `rows` is how many the service says there are, `job`
    names the job in messages; a batch is made of about `size` bytes. Raises `SourceError` where
    the result is damaged or has another number of rows, and `LossError` for a value that cannot
    be carried.
    """
    decoder = RowDecoder(table)
    buffer = _Buffer(decoder)
    seen = 0
    result = f"the result of job {job} for table {table.name}"
    try:
        for piece in pieces:
            buffer.add(piece)
            for batch in buffer.take(size):
                seen += batch.num_rows
                yield batch
        for batch in buffer.take(0):
            seen += batch.num_rows
            yield batch
        buffer.require_empty()
    except Unexpected as error:
        raise decoder.unexpected(error.column, error.kind) from error
    except (Damaged, Malformed) as error:
        raise SourceError(f"{result} {error}", hint=_AGAIN, retryable=True) from error
    if seen != rows:
        raise SourceError(
            f"{result} has {seen} rows where the service counts {rows}",
            hint=_AGAIN,
            retryable=True,
        )


class _Buffer:
    """Bytes of which rows are taken off at the front."""

    def __init__(self, decoder: RowDecoder):
        self._decoder = decoder
        self._bytes = bytearray(2 * BATCH_BYTES + PADDING)
        self.filled = 0

    def add(self, piece: bytes) -> None:
        """Add bytes at the end."""
        end = self.filled + len(piece)
        if end + PADDING > len(self._bytes):
            if end > _LARGEST_ROW:
                raise Damaged("has a row of more than 2 GiB")
            larger = bytearray(min(2 * end, _LARGEST_ROW) + PADDING)
            larger[: self.filled] = memoryview(self._bytes)[: self.filled]
            self._bytes = larger
        self._bytes[self.filled : end] = piece
        self.filled = end

    def require_empty(self) -> None:
        """Raise `Damaged` where bytes are left that are no whole row."""
        if self.filled:
            raise Damaged("ends inside of a row")

    def take(self, enough: int) -> Iterator[pa.RecordBatch]:
        """Yield the complete rows, where there are `enough` bytes."""
        while self.filled and self.filled >= enough:
            found = find_rows(self._bytes, self.filled, self._decoder.families)
            if found is None:
                return
            yield self._decoder.decode(self._bytes, found)
            view = memoryview(self._bytes)
            rest = view[found.end : self.filled]
            self.filled = len(rest)
            if len(self._bytes) > 4 * BATCH_BYTES + PADDING:  # the room that a large row needed
                self._bytes = bytearray(max(2 * BATCH_BYTES, 2 * len(rest)) + PADDING)
            self._bytes[: self.filled] = rest
