"""Reading one archive file at random, through its catalog.

What lives here: `open_archive` and the archive whose members are fetched one by one. Must not
know: which store the bytes are in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Iterator, Sequence
from functools import partial
from itertools import accumulate

import msgspec
import pyarrow as pa

from dbsync.archive import names
from dbsync.archive.archive import Archive, ChunkRef, check_chunk_rows
from dbsync.archive.catalog import CatalogEntry
from dbsync.archive.documents import Head, Manifest, decode_database, decode_table
from dbsync.archive.layout import Layout
from dbsync.archive.limits import Limits
from dbsync.archive.names import Kind
from dbsync.archive.stream import read_head
from dbsync.archive.tail import ReadAt, Tail, Window
from dbsync.archive.ustar import BLOCK, TarReader, footprint, parse_header
from dbsync.errors import ArchiveError
from dbsync.model.schema import Database, Table

Fetch = Callable[[int], pa.Buffer]
"""Returns the bytes of the member at a position of the catalog, without checking their digest."""


def open_archive(read_at: ReadAt, size: int, *, limits: Limits | None = None) -> Archive:
    """Open an archive of `size` bytes for random access.

    `read_at(offset, length)` returns bytes of an object that does not change; it is called from
    several threads. Reads head, tail, catalog and schemas, and checks everything that can be
    checked without the chunks: a file that is cut, extended or joined to another is refused here.
    """
    limits = limits or Limits()
    start = TarReader(Window(read_at, 0, size).read)
    head, head_entry = read_head(start, limits)
    tail = Tail(read_at, size, head, limits)
    entries = tail.entries
    if entries[0] != head_entry:
        raise ArchiveError("E_CATALOG_MISMATCH", "the catalog describes another head")
    database = read_schemas(head, entries, partial(_next_document, start, limits))
    offsets = [0, *accumulate(footprint(entry.size) for entry in entries)]

    def fetch(position: int) -> pa.Buffer:
        return _fetch_member(read_at, entries[position], offsets[position], start.mtime or 0)

    return IndexedArchive(
        head,
        database,
        manifest=tail.manifest,
        entries=entries,
        size=size,
        fetch=fetch,
        limits=limits,
    )


class IndexedArchive(Archive):
    """An archive whose members can be fetched one by one."""

    def __init__(
        self,
        head: Head,
        database: Database,
        *,
        manifest: Manifest,
        entries: Sequence[CatalogEntry],
        size: int,
        fetch: Fetch,
        limits: Limits,
    ) -> None:
        self.head = head
        self.database = database
        self.sequential = False
        self.manifest = manifest
        self.entries = entries
        self.size = size
        self._fetch = fetch
        self._limits = limits

    def chunks(self, tables: Container[int] | None = None) -> Iterator[ChunkRef]:
        """Yield chunks; nothing is read before `ChunkRef.load`."""
        for position, entry in enumerate(self.entries):
            if entry.table is None or (tables is not None and entry.table - 1 not in tables):
                continue
            yield ChunkRef(
                table=self.database.tables[entry.table - 1],
                table_index=entry.table - 1,
                number=entry.chunk or 0,
                sha256=entry.sha256,
                rows=entry.rows,
                size=entry.size,
                fetch=partial(self._load, position),
                limits=self._limits,
            )

    def check_others(self) -> None:
        """Check digests of extra members."""
        for position, entry in enumerate(self.entries):
            if names.parse_path(entry.path).kind is Kind.EXTRA:
                self._load(position)

    def _load(self, position: int) -> pa.Buffer:
        entry = self.entries[position]
        if entry.size > self._limits.max_member_bytes:
            raise ArchiveError("E_LIMIT", f"member {entry.path!r} has {entry.size} bytes")
        data = self._fetch(position)
        if sha256_of(data) != entry.sha256:
            raise ArchiveError("E_CHECKSUM", f"{entry.path} is damaged: its digest is wrong")
        if entry.table is not None:
            table = self.database.tables[entry.table - 1]
            check_chunk_rows(table, data, self._limits, entry.rows, entry.path)
        return data


def read_schemas(
    head: Head, entries: Sequence[CatalogEntry], read: Callable[[CatalogEntry], bytes | bytearray]
) -> Database:
    """Read database and tables through `read`, which checks digests; each entry is asked for in
    the catalog's order, the database first."""
    documents = [e for e in entries[1:] if names.parse_path(e.path).kind <= Kind.SCHEMA]
    database = decode_database(read(documents[0]), head, documents[0].path)
    tables: list[Table] = []
    for index, entry in enumerate(documents[1:]):
        table = decode_table(read(entry), head, index, entry.path)
        Layout(table)
        tables.append(table)
    return msgspec.structs.replace(database, tables=tuple(tables))


def sha256_of(data: bytes | pa.Buffer) -> str:
    """Give the digest as the documents write it."""
    return hashlib.sha256(data).hexdigest()


def _next_document(reader: TarReader, limits: Limits, entry: CatalogEntry) -> bytes | bytearray:
    header = reader.next()
    if header is None or (header.path, header.size) != (entry.path, entry.size):
        raise ArchiveError("E_CATALOG_MISMATCH", f"{entry.path} is not where the catalog says")
    data, sha256 = reader.content(header, limits.max_json_bytes)
    if sha256 != entry.sha256:
        raise ArchiveError("E_CHECKSUM", f"{entry.path} is damaged: its digest is wrong")
    return data


def _fetch_member(read_at: ReadAt, entry: CatalogEntry, offset: int, mtime: int) -> pa.Buffer:
    """Read header, content and padding in one go."""
    raw = read_at(offset, footprint(entry.size))
    if len(raw) != footprint(entry.size):
        raise ArchiveError("E_TRUNCATED", f"the file ends inside {entry.path}")
    header = parse_header(raw[:BLOCK], f"at {entry.path}")
    if header is None or (header.path, header.size, header.mtime) != (
        entry.path,
        entry.size,
        mtime,
    ):
        raise ArchiveError("E_CATALOG_MISMATCH", f"{entry.path} is not where the catalog says")
    if any(raw[BLOCK + entry.size :]):
        raise ArchiveError("E_CHECKSUM", f"the padding after {entry.path!r} is not zero")
    return pa.py_buffer(raw).slice(BLOCK, entry.size)
