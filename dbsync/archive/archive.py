"""What a reader of archives hands out: `Archive` and its chunks, however it was opened.

What lives here: the interface that the pipeline reads through, and the rules on which catalog,
manifest and chunks must agree. Must not know: where bytes come from.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from dbsync.archive import names
from dbsync.archive.catalog import CatalogEntry, sums_text
from dbsync.archive.columns import Content, ReadPart, read_columns
from dbsync.archive.decode import Data, count_rows, decode_chunk
from dbsync.archive.documents import Head, Manifest
from dbsync.archive.limits import Limits
from dbsync.errors import ArchiveError
from dbsync.model.schema import Database, Table


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkRef:
    """One chunk. In random mode nothing is read before `load`; in a stream it is here already.

    `size` is in stored bytes. `load` may be called from any thread, and again.
    """

    table: Table
    table_index: int
    number: int
    sha256: str
    rows: int | None
    size: int
    fetch: Callable[[], pa.Buffer]
    limits: Limits
    position: int | None = None
    """Of its member in the catalog; None in a stream."""
    key_range: tuple[str, str] | None = None
    """Least and greatest value of the first key column, as the catalog writes them."""
    read_part: ReadPart | None = None
    """Reads ranges of the content, without looking at the digest; None where it cannot be done."""
    only: tuple[str, ...] | None = None
    """Columns that this chunk is narrowed to."""
    only_odd: tuple[str, ...] = ()
    """Further columns, of which only a chunk with exceptions of theirs is read."""
    held: Content | None = None
    """What `fetched` has read."""

    @property
    def rows_known(self) -> int | None:
        """Rows that `batches` will give, where that is known."""
        return self.rows

    def load(self) -> pa.Buffer:
        """Return the chunk's bytes: digest and row count are right, pages not yet looked at.

        Raises `ArchiveError`, and what the place raises that the archive is read from.
        """
        return self.held.data if self.held is not None and self.only is None else self.fetch()

    def narrowed(self, columns: Sequence[str], *, odd: Sequence[str] = ()) -> ChunkRef:
        """Return this chunk with `columns` only, and those of `odd` that have exceptions in it.

        Where ranges can be read, and it saves much, the other columns' bytes are not; the digest
        is then not checked, but the CRC of every page that is read is.
        """
        return replace(self, only=tuple(columns), only_odd=tuple(odd), held=None)

    def fetched(self, data: pa.Buffer | None = None) -> ChunkRef:
        """Return this chunk with everything that `batches` needs in memory.

        `data` are its bytes where someone has read and checked them already.
        """
        if self.held is not None:
            return self
        return replace(self, held=self._content() if data is None else Content(data))

    def released(self) -> ChunkRef:
        """Return this chunk without the bytes that `fetched` has read."""
        return replace(self, held=None)

    def batches(
        self, columns: Sequence[str] | None = None, *, odd: Sequence[str] = ()
    ) -> Iterator[pa.RecordBatch]:
        """Load and decode the chunk; see `decode_chunk`."""
        content = self.held or self._content()
        return decode_chunk(
            self.table,
            content.data,
            limits=self.limits,
            columns=self.only if columns is None else columns,
            odd=odd,
            expected_rows=self.rows,
            leaves=content.leaves,
        )

    def check(self) -> None:
        """Read what `batches` reads, and check what can be checked without decoding."""
        fetched = self.fetched()
        if fetched.held is not None and fetched.held.leaves is not None:
            ChunkRef.batches(fetched)  # page CRCs stand in for the digest

    def _content(self) -> Content:
        if self.only is not None and self.read_part is not None:
            wanted = (self.only, self.only_odd)
            content = read_columns(self.table, self.size, wanted, self.read_part, self.limits)
            if content is not None:
                return content
        return Content(self.fetch())


class Archive(ABC):
    """An opened archive. Head and schemas have been checked; closing is the caller's business."""

    head: Head
    database: Database
    """With all tables, in the order of the head."""
    sequential: bool
    """True for a stream: chunks come in archive order, once."""
    manifest: Manifest | None
    """None in a stream until `chunks` is exhausted."""
    entries: Sequence[CatalogEntry]
    """The catalog; empty in a stream until `chunks` is exhausted."""
    size: int
    """Stored bytes of the whole; 0 in a stream until `chunks` is exhausted."""
    manifest_sha256: str | None = None
    """Digest of the manifest as stored; None in a stream and in the unpacked form."""
    encrypted: bool = False
    remote: bool = False
    """Whoever opened the archive says that each byte read costs time or money."""

    @abstractmethod
    def chunks(self, tables: Container[int] | None = None) -> Iterator[ChunkRef]:
        """Yield chunks in archive order, only of `tables` (positions in ``database.tables``).

        In a stream, each digest is checked before the chunk is yielded, and the iterator ends
        without an exception only if the rest of the archive agrees with what was seen and nothing
        follows; it can be used once. In random mode it may be called any number of times.
        """
        ...

    def load_together(self, chunks: Sequence[ChunkRef]) -> list[pa.Buffer]:
        """Load whole chunks, as `ChunkRef.load` does; neighbours in one read where that helps."""
        return [chunk.load() for chunk in chunks]

    @abstractmethod
    def check_others(self) -> None:
        """Check members that are neither documents nor chunks; for `verify_archive`."""
        ...


def check_chunk_rows(
    table: Table, data: Data, limits: Limits, expected: int | None, path: str
) -> int:
    """Read how many rows a chunk's footer promises; E_ROWCOUNT unless they are `expected`."""
    rows = count_rows(table, data, limits)
    if expected not in (None, rows):
        raise ArchiveError("E_ROWCOUNT", f"{path} has {rows} rows; the catalog says {expected}")
    return rows


def check_manifest(manifest: Manifest, head: Head, entries: Sequence[CatalogEntry]) -> None:
    """Check that the manifest sums up this head and this catalog.

    Raises E_ROWCOUNT where row counts differ, E_CATALOG_MISMATCH for everything else.
    """
    totals = [[0, 0, 0, 0] for _ in head.tables]
    for entry in entries:
        if entry.table is not None:
            total = totals[entry.table - 1]
            total[0] += entry.rows or 0
            total[1] += entry.size
            total[2] += entry.arrow_bytes or 0
            total[3] += 1
    if [t.name for t in manifest.tables] != list(head.tables):
        raise _disagree("its tables are not those of the head")
    for number, (table, total) in enumerate(zip(manifest.tables, totals, strict=True), 1):
        if table.rows != total[0]:
            raise ArchiveError(
                "E_ROWCOUNT",
                f"the manifest gives table {table.name} {table.rows} rows, the catalog {total[0]}",
            )
        if [table.number, table.bytes, table.arrow_bytes, table.chunks] != [number, *total[1:]]:
            raise _disagree(f"its line for table {table.name} does not fit the catalog")
    sums = [sum(total[n] for total in totals) for n in range(4)]
    if manifest.rows != sums[0]:
        raise ArchiveError(
            "E_ROWCOUNT", f"the manifest says {manifest.rows} rows, the catalog {sums[0]}"
        )
    if [manifest.bytes, manifest.chunks, manifest.members] != [sums[1], sums[3], len(entries)]:
        raise _disagree("its totals do not fit the catalog")
    if manifest.archive_id != head.archive_id or manifest.head_sha256 != entries[0].sha256:
        raise _disagree("it belongs to another head")
    text = sums_text((m.sha256, m.path) for m in (*entries, *manifest.catalog))
    if (manifest.sums.path, manifest.sums.size, manifest.sums.sha256) != (
        names.SUMS,
        len(text),
        hashlib.sha256(text).hexdigest(),
    ):
        raise _disagree("SHA256SUMS does not list what the catalog lists")


def _disagree(reason: str) -> ArchiveError:
    return ArchiveError("E_CATALOG_MISMATCH", f"the manifest disagrees: {reason}")
