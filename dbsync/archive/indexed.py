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
from dbsync.archive.documents import Data, Head, Manifest, decode_database, decode_table
from dbsync.archive.encryption import PLAIN, Contents, Identities
from dbsync.archive.layout import Layout
from dbsync.archive.limits import Limits
from dbsync.archive.names import Kind, MemberOrder
from dbsync.archive.start import read_start
from dbsync.archive.tail import ReadAt, Tail, Window
from dbsync.archive.ustar import BLOCK, TarReader, footprint, parse_header
from dbsync.errors import ArchiveError
from dbsync.model.schema import Database, Table

Fetch = Callable[[int], pa.Buffer]
"""Returns the bytes of the member at a position of the catalog, without checking their digest."""
FetchRun = Callable[[int, int], list[pa.Buffer]]
"""The same for the members from one position up to another, which is not included."""
FetchPart = Callable[[int, int, int], bytes]
"""Returns a range (position, offset, length) of the content of a member."""


def open_archive(
    read_at: ReadAt,
    size: int,
    *,
    limits: Limits | None = None,
    identities: Identities | None = None,
) -> Archive:
    """Open an archive of `size` bytes for random access.

    `read_at(offset, length)` returns bytes of an object that does not change; it is called from
    several threads. Reads head, tail, catalog and schemas, and checks everything that can be
    checked without the chunks: a file that is cut, extended or joined to another is refused here.
    An encrypted archive is opened with `identities`.
    """
    limits = limits or Limits()
    reader = TarReader(Window(read_at, 0, size).read)
    start = read_start(reader, limits, identities, MemberOrder())
    head, contents = start.head, start.contents
    tail = Tail(read_at, size, head, limits, contents)
    entries = tail.entries
    if tuple(entries[: len(start.entries)]) != start.entries:
        raise ArchiveError("E_CATALOG_MISMATCH", "the catalog describes another head")
    database = read_schemas(head, entries, partial(_next_document, reader, limits, contents))
    offsets = [0, *accumulate(footprint(entry.size) for entry in entries)]

    def fetch_run(first: int, end: int) -> list[pa.Buffer]:
        return _fetch_run(read_at, entries[first:end], offsets[first], reader.mtime or 0)

    def fetch_part(position: int, offset: int, length: int) -> bytes:
        data = read_at(offsets[position] + BLOCK + offset, length)
        if len(data) != length:
            raise ArchiveError("E_TRUNCATED", f"the file ends inside {entries[position].path}")
        return data

    opened = IndexedArchive(
        head,
        database,
        manifest=tail.manifest,
        entries=entries,
        size=size,
        fetch=lambda position: fetch_run(position, position + 1)[0],
        fetch_run=fetch_run,
        # The bytes of one column cannot be told from the others' under encryption.
        fetch_part=None if contents.encrypted else fetch_part,
        check_tail=tail.check_sums,
        limits=limits,
        contents=contents,
    )
    opened.manifest_sha256 = tail.manifest_sha256
    return opened


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
        fetch_run: FetchRun | None = None,
        fetch_part: FetchPart | None = None,
        check_tail: Callable[[], None] | None = None,
        contents: Contents = PLAIN,
    ) -> None:
        self.head = head
        self.database = database
        self.sequential = False
        self.manifest = manifest
        self.entries = entries
        self.size = size
        self._fetch = fetch
        self._fetch_run = fetch_run
        self._fetch_part = fetch_part
        self._check_tail = check_tail
        self._limits = limits
        self._contents = contents
        self.encrypted = contents.encrypted

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
                position=position,
                key_range=None
                if entry.key_min is None or entry.key_max is None
                else (entry.key_min, entry.key_max),
                read_part=partial(self._fetch_part, position) if self._fetch_part else None,
            )

    def load_together(self, chunks: Sequence[ChunkRef]) -> list[pa.Buffer]:
        """Load chunks; those that lie one behind the other in one read."""
        positions = [chunk.position for chunk in chunks]
        first = positions[0] if positions else None
        together = self._fetch_run is not None and first is not None and len(chunks) > 1
        if not together or positions != list(range(first or 0, (first or 0) + len(chunks))):
            return super().load_together(chunks)
        assert self._fetch_run is not None and first is not None  # noqa: S101, PT018
        found = self._fetch_run(first, first + len(chunks))
        return [self._checked(first + number, data) for number, data in enumerate(found)]

    def check_others(self) -> None:
        """Check digests of extra members, and SHA256SUMS."""
        if self._check_tail is not None:
            self._check_tail()
        for position, entry in enumerate(self.entries):
            if names.parse_path(entry.path).kind is Kind.EXTRA:
                self._load(position)

    def _load(self, position: int) -> pa.Buffer:
        entry = self.entries[position]
        if entry.size > self._contents.stored_limit(self._limits.max_member_bytes):
            raise ArchiveError("E_LIMIT", f"member {entry.path!r} has {entry.size} bytes")
        return self._checked(position, self._fetch(position))

    def _checked(self, position: int, data: pa.Buffer) -> pa.Buffer:
        """Return the content of a member when digest and rows are those of the catalog."""
        entry = self.entries[position]
        if sha256_of(data) != entry.sha256:
            raise ArchiveError("E_CHECKSUM", f"{entry.path} is damaged: its digest is wrong")
        if entry.table is not None:
            table = self.database.tables[entry.table - 1]
            if self._contents.encrypted:
                content = self._contents.open(data, entry.path, self._limits.max_member_bytes)
                data = pa.py_buffer(content)
            check_chunk_rows(table, data, self._limits, entry.rows, entry.path)
        return data


def read_schemas(
    head: Head, entries: Sequence[CatalogEntry], read: Callable[[CatalogEntry], Data]
) -> Database:
    """Read database and tables through `read`, which checks digests; each entry is asked for in
    the catalog's order, the database first."""
    kinds = (Kind.DATABASE, Kind.SCHEMA)
    documents = [e for e in entries if names.parse_path(e.path).kind in kinds]
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


def _next_document(
    reader: TarReader, limits: Limits, contents: Contents, entry: CatalogEntry
) -> Data:
    header = reader.next()
    if header is None or (header.path, header.size) != (entry.path, entry.size):
        raise ArchiveError("E_CATALOG_MISMATCH", f"{entry.path} is not where the catalog says")
    data, sha256 = reader.content(header, contents.stored_limit(limits.max_json_bytes))
    if sha256 != entry.sha256:
        raise ArchiveError("E_CHECKSUM", f"{entry.path} is damaged: its digest is wrong")
    return contents.open(data, entry.path, limits.max_json_bytes)


def _fetch_run(
    read_at: ReadAt, entries: Sequence[CatalogEntry], offset: int, mtime: int
) -> list[pa.Buffer]:
    """Read headers, contents and paddings of members that follow one another in one go."""
    total = sum(footprint(entry.size) for entry in entries)
    raw = read_at(offset, total)
    found: list[pa.Buffer] = []
    start = 0
    for entry in entries:
        end = start + footprint(entry.size)
        if len(raw) < end:
            raise ArchiveError("E_TRUNCATED", f"the file ends inside {entry.path}")
        header = parse_header(raw[start : start + BLOCK], f"at {entry.path}")
        if header is None or (header.path, header.size, header.mtime) != (
            entry.path,
            entry.size,
            mtime,
        ):
            raise ArchiveError("E_CATALOG_MISMATCH", f"{entry.path} is not where the catalog says")
        if any(raw[start + BLOCK + entry.size : end]):
            raise ArchiveError("E_CHECKSUM", f"the padding after {entry.path!r} is not zero")
        # Several members share one read: a view would keep all of it in memory for each.
        content = pa.py_buffer(raw).slice(start + BLOCK, entry.size)
        found.append(content if len(entries) == 1 else pa.py_buffer(content.to_pybytes()))
        start = end
    return found
