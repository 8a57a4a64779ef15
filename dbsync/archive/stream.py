"""Reading an archive from a pipe, once, from its first byte to its last.

What lives here: `open_stream`. Every member is checked before it is handed on, and the end of the
archive against everything that was seen. Must not know: seeking.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from typing import BinaryIO

import msgspec
import pyarrow as pa

from dbsync.archive.archive import Archive, ChunkRef, check_chunk_rows, check_manifest
from dbsync.archive.catalog import CatalogEntry, check_entries, decode_catalog
from dbsync.archive.documents import (
    Data,
    Manifest,
    ManifestMember,
    decode_database,
    decode_manifest,
    decode_table,
)
from dbsync.archive.encryption import Identities
from dbsync.archive.layout import Layout
from dbsync.archive.limits import Limits
from dbsync.archive.names import Kind, MemberName, MemberOrder
from dbsync.archive.start import check_digest, read_start
from dbsync.archive.trailer import Trailer, check_trailer, parse_trailer
from dbsync.archive.ustar import BLOCK, END_BLOCKS, Header, TarReader
from dbsync.errors import ArchiveError
from dbsync.model.schema import Database, Table


def open_stream(
    stream: BinaryIO, *, limits: Limits | None = None, identities: Identities | None = None
) -> Archive:
    """Read head, database and schemas from `stream`; the chunks follow through `chunks`.

    The stream stays the caller's to close. Of an encrypted archive every member's digest is
    checked before it is decrypted with `identities`. Raises `ArchiveError`.
    """
    return _StreamArchive(TarReader(stream.read), limits or Limits(), identities)


class _StreamArchive(Archive):
    """An archive that is read once."""

    def __init__(self, reader: TarReader, limits: Limits, identities: Identities | None) -> None:
        self.sequential = True
        self.manifest: Manifest | None = None
        self.entries: Sequence[CatalogEntry] = ()
        self.size = 0
        self._reader = reader
        self._limits = limits
        self._order = MemberOrder()
        self._started = False
        start = read_start(reader, limits, identities, self._order)
        self.head, self._contents = start.head, start.contents
        self._seen = list(start.entries)
        self._catalog: list[bytes | bytearray] = []
        self._parts: list[ManifestMember] = []
        self._sums: ManifestMember | None = None
        self.database = self._read_schemas()

    def _read_schemas(self) -> Database:
        data, member = self._document(Kind.DATABASE)
        database = decode_database(data, self.head, member.path)
        tables: list[Table] = []
        for index in range(len(self.head.tables)):
            data, member = self._document(Kind.SCHEMA)
            table = decode_table(data, self.head, index, member.path)
            Layout(table)
            tables.append(table)
        return msgspec.structs.replace(database, tables=tuple(tables))

    def _document(self, kind: Kind) -> tuple[Data, MemberName]:
        header, member = self._next()
        if member.kind is not kind:
            raise ArchiveError("E_ORDER", f"member {member.path!r} stands before all schemas")
        limit = self._limits.max_json_bytes
        data, sha256 = self._reader.content(header, self._contents.stored_limit(limit))
        check_digest(member, sha256)
        self._seen.append(CatalogEntry(path=member.path, size=header.size, sha256=sha256))
        return self._contents.open(data, member.path, limit), member

    def _next(self) -> tuple[Header, MemberName]:
        header = self._reader.next()
        if header is None:
            raise ArchiveError(
                "E_INCOMPLETE",
                "the archive ends without manifest and trailer",
            )
        if self._order.members > self._limits.max_members:
            raise ArchiveError("E_LIMIT", f"more than {self._limits.max_members} members")
        return header, self._order.accept(header.path)

    def chunks(self, tables: Container[int] | None = None) -> Iterator[ChunkRef]:
        """Yield chunks as they come; raise RuntimeError when called again."""
        if self._started:
            raise RuntimeError("a stream can be read only once")
        self._started = True
        return self._chunks(tables)

    def _chunks(self, tables: Container[int] | None) -> Iterator[ChunkRef]:
        limit = self._contents.stored_limit(self._limits.max_member_bytes)
        while True:
            header, member = self._next()
            match member.kind:
                case Kind.CHUNK:
                    ref = self._chunk(header, member)
                    if tables is None or ref.table_index in tables:
                        yield ref
                    del ref  # or its bytes would live until the next chunk is here
                case Kind.EXTRA:
                    _, sha256 = self._reader.content(header, limit)
                    self._seen.append(
                        CatalogEntry(path=member.path, size=header.size, sha256=sha256)
                    )
                case Kind.CATALOG:
                    data, sha256 = self._reader.content(header, limit)
                    # Not decoded before the manifest has confirmed the digest.
                    self._catalog.append(data)
                    self._parts.append(_member(header, sha256))
                case Kind.SUMS:
                    _, sha256 = self._reader.content(header, limit)
                    self._sums = _member(header, sha256)
                case _:
                    self._end(header)
                    return

    def _chunk(self, header: Header, member: MemberName) -> ChunkRef:
        index = member.table or 0
        table = self.database.tables[index]
        limit = self._limits.max_member_bytes
        stored, sha256 = self._reader.content(header, self._contents.stored_limit(limit))
        check_digest(member, sha256)
        data = self._contents.open(stored, member.path, limit)
        rows = check_chunk_rows(table, data, self._limits, None, member.path)
        self._seen.append(
            CatalogEntry(path=member.path, size=header.size, sha256=sha256, rows=rows)
        )
        buffer = pa.py_buffer(data)
        return ChunkRef(
            table=table,
            table_index=index,
            number=member.number or 0,
            sha256=sha256,
            rows=rows,
            size=header.size,
            fetch=lambda: buffer,
            limits=self._limits,
        )

    def _end(self, header: Header) -> None:
        """Read from the manifest on, and compare the end of the archive with what was seen."""
        reader = self._reader
        offset = reader.position
        limit = self._limits.max_json_bytes
        data, sha256 = reader.content(header, self._contents.stored_limit(limit))
        trailer_header, _ = self._next()
        if trailer_header.size != BLOCK:
            raise ArchiveError("E_TRAILER_INVALID", "the trailer does not have 512 bytes")
        trailer = parse_trailer(reader.content(trailer_header, BLOCK)[0])
        if trailer.manifest_sha256 != sha256:
            # Damage inside it is told by the document's own digest, under the same name.
            raise ArchiveError("E_CHECKSUM", "the manifest is damaged: its digest is wrong")
        manifest = decode_manifest(self._contents.open(data, header.path, limit))
        end = reader.position + len(END_BLOCKS)
        for _ in range(2):
            self._zeros()
        if not reader.at_end():
            raise ArchiveError("E_TRAILING_DATA", "bytes follow the end of the archive")
        expected = Trailer(
            archive_id=self.head.archive_id,
            manifest_offset=offset,
            manifest_size=header.size,
            manifest_sha256=sha256,
            archive_size=end,
        )
        check_trailer(trailer, expected)
        self._compare(manifest)
        self.manifest, self.size = manifest, end

    def _zeros(self) -> None:
        try:
            damaged = self._reader.next() is not None
        except ArchiveError as error:
            if error.code == "E_TRUNCATED":
                raise
            damaged = True
        if damaged:
            raise ArchiveError("E_TRAILING_DATA", "something else follows the trailer")

    def _compare(self, manifest: Manifest) -> None:
        if manifest.catalog != tuple(self._parts) or manifest.sums != self._sums:
            raise ArchiveError(
                "E_CHECKSUM", "catalog or SHA256SUMS are not those that the manifest names"
            )
        entries = self._entries()
        check_entries(entries, len(self.head.tables), encrypted=self._contents.encrypted)
        if len(entries) != len(self._seen):
            raise ArchiveError(
                "E_CATALOG_MISMATCH",
                f"the catalog lists {len(entries)} members; {len(self._seen)} were seen",
            )
        for listed, seen in zip(entries, self._seen, strict=True):
            if (listed.path, listed.size, listed.sha256) != (seen.path, seen.size, seen.sha256):
                raise ArchiveError(
                    "E_CATALOG_MISMATCH", f"the catalog describes {seen.path!r} otherwise"
                )
            if listed.rows != seen.rows:
                raise ArchiveError(
                    "E_ROWCOUNT",
                    f"{seen.path} has {seen.rows} rows; the catalog says {listed.rows}",
                )
        check_manifest(manifest, self.head, entries)
        self.entries = entries

    def _entries(self) -> list[CatalogEntry]:
        limit = self._limits.max_member_bytes
        parts = zip(self._parts, self._catalog, strict=True)
        opened = (self._contents.open(data, part.path, limit) for part, data in parts)
        return [entry for data in opened for entry in decode_catalog(data, self._limits)]

    def check_others(self) -> None:
        """Nothing is left to check: a stream is checked as it is read."""


def _member(header: Header, sha256: str) -> ManifestMember:
    return ManifestMember(path=header.path, size=header.size, sha256=sha256)
