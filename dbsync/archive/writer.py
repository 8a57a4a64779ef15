"""Writing an archive: an append-only stream, fed by several threads.

What lives here: `ArchiveWriter`. Must not know: where the bytes go, how chunks are encoded.
"""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

import msgspec
import pyarrow as pa

from dbsync import __version__
from dbsync.archive import names
from dbsync.archive.catalog import PART_ROWS, CatalogEntry, encode_catalog, sums_text
from dbsync.archive.documents import (
    FORMAT,
    VERSION,
    ArchiveId,
    Data,
    Feature,
    Head,
    HeadConsistency,
    HeadSource,
    Manifest,
    ManifestMember,
    ManifestTable,
    encode_database,
    encode_document,
    moment,
    mtime_of,
    public_head,
    seal,
)
from dbsync.archive.encode import EncodedChunk
from dbsync.archive.encryption import FEATURE, Encryption
from dbsync.archive.layout import Layout
from dbsync.archive.limits import Limits
from dbsync.archive.trailer import TAIL_BYTES, Trailer, build_trailer
from dbsync.archive.ustar import END_BLOCKS, build_header, padding
from dbsync.errors import ArchiveError
from dbsync.model.schema import Database

_LIMITS = Limits()
_ENCRYPTED = Feature(
    name=FEATURE,
    message="the members are encrypted with age; a secret key is needed to read them",
    version="0.1.0",
)
Write = Callable[[bytes | memoryview], object]


class ConsistencyLike(Protocol):
    """Which moment the rows belong to, as `HeadConsistency` says it."""

    @property
    def level(self) -> str:
        """One of the levels of `HeadConsistency`."""
        ...

    @property
    def token(self) -> str | None:
        """What identifies the moment."""
        ...

    @property
    def note(self) -> str | None:
        """What a person should know about it."""
        ...


class ArchiveWriter:
    """Writes one archive through `write`, which must take all bytes it is given.

    Head, database and all schemas are written at once, so that a reader of a pipe knows them
    before the first row. `add_chunk` may be called from several threads; memory is what they hold,
    plus about 300 bytes per chunk for the catalog. An archive is complete only after `finish`;
    nothing needs closing. After an exception of `write` the archive is lost: later calls raise
    E_INCOMPLETE. With `encryption`, every member but the public head, SHA256SUMS and the trailer
    is encrypted; digests and sizes are those of the encrypted bytes.
    """

    def __init__(
        self,
        write: Write,
        *,
        database: Database,
        consistency: ConsistencyLike,
        include_schema: bool,
        archive_id: str | None = None,
        started: datetime | None = None,
        writer: str | None = None,
        features_optional: Sequence[Feature] = (),
        encryption: Encryption | None = None,
        catalog_part_rows: int = PART_ROWS,
    ) -> None:
        if len(database.tables) > names.MAX_TABLES:
            raise ArchiveError("E_LIMIT", f"an archive holds {names.MAX_TABLES} tables at most")
        for table in database.tables:
            Layout(table)
        self.archive_id = archive_id or str(uuid.uuid4())
        self.size = 0
        """Bytes written so far."""
        self._write_bytes = write
        self._database = database
        self._catalog_part_rows = catalog_part_rows
        self._entries: list[CatalogEntry] = []
        self._chunks = [0] * len(database.tables)
        self._lock = threading.Lock()
        self._state = "open"
        self._encryption = encryption
        self._suffix = "" if encryption is None else names.AGE
        head = Head(
            format=FORMAT,
            version=VERSION,
            digest="",
            archive_id=self.archive_id,
            writer=writer or f"dbsync {__version__}",
            started=moment(started or datetime.now(UTC)),
            source=HeadSource(
                engine=database.engine,
                version=database.version,
                database=database.name,
                encoding=database.encoding,
            ),
            consistency=msgspec.convert(consistency, HeadConsistency, from_attributes=True),
            include_schema=include_schema,
            tables=tuple(table.name for table in database.tables),
            features_required=() if encryption is None else (_ENCRYPTED,),
            features_optional=tuple(features_optional),
        )
        msgspec.convert(self.archive_id, ArchiveId)
        self._mtime = mtime_of(head)
        self._begin(head)

    def _begin(self, head: Head) -> None:
        if self._encryption is None:
            self._add(names.HEAD, seal(head)[1])
        else:
            self._add(names.HEAD, seal(public_head(head, self._encryption.count))[1])
            self._document(names.encrypted_head_path, seal(head)[1])
        self._document(names.database_path, encode_database(self._database))
        for index, table in enumerate(self._database.tables):
            self._document(partial(names.schema_path, index), encode_document(table))

    def add_chunk(self, table_index: int, chunk: EncodedChunk) -> CatalogEntry:
        """Append a chunk of the table at `table_index` in ``database.tables``.

        Chunks are numbered as they come. Raises what `write` raises.
        """
        # Encrypted and digested by the thread that brings it, while others write.
        data, sha256 = self._stored(chunk.data), chunk.sha256
        if self._encryption is not None:
            sha256 = _sha256(data)
        with self._lock:
            number = self._chunks[table_index] + 1
            if len(self._entries) >= _LIMITS.max_members:
                raise ArchiveError(
                    "E_LIMIT",
                    f"an archive holds {_LIMITS.max_members} members at most",
                    hint="Use a larger --chunk-bytes.",
                )
            entry = CatalogEntry(
                path=names.chunk_path(table_index, number, sha256) + self._suffix,
                size=len(memoryview(data)),
                sha256=sha256,
                table=table_index + 1,
                chunk=number,
                rows=chunk.rows,
                arrow_bytes=chunk.arrow_bytes,
                key_min=chunk.key_min,
                key_max=chunk.key_max,
            )
            self._append(entry.path, data)
            self._entries.append(entry)
            self._chunks[table_index] = number
            return entry

    def finish(self, warnings: Sequence[str] = (), *, finished: datetime | None = None) -> Manifest:
        """Write catalog, SHA256SUMS, manifest and trailer; only now are the bytes an archive."""
        with self._lock:
            entries = self._entries
            parts = list(encode_catalog(entries, self._catalog_part_rows))
            catalog = tuple(
                self._tail_member(
                    names.catalog_path(number, len(parts)) + self._suffix, self._stored(part)
                )
                for number, part in enumerate(parts, 1)
            )
            sums = sums_text((e.sha256, e.path) for e in (*entries, *catalog))
            manifest = self._manifest(
                catalog,
                self._tail_member(names.SUMS, sums),
                tuple(warnings),
                moment(finished or datetime.now(UTC)),
            )
            manifest, data = seal(manifest)
            _check_document(names.MANIFEST, data)
            offset = self.size + 512
            data = self._stored(data)
            self._append(names.MANIFEST + self._suffix, data)
            trailer = Trailer(
                archive_id=self.archive_id,
                manifest_offset=offset,
                manifest_size=len(memoryview(data)),
                manifest_sha256=_sha256(data),
                archive_size=self.size + TAIL_BYTES,
            )
            self._append(names.TRAILER, build_trailer(trailer))
            self._emit(END_BLOCKS)
            self._state = "finished"
            return manifest

    def _manifest(
        self,
        catalog: tuple[ManifestMember, ...],
        sums: ManifestMember,
        warnings: tuple[str, ...],
        finished: str,
    ) -> Manifest:
        chunks = [entry for entry in self._entries if entry.table is not None]
        totals = [[0, 0, 0] for _ in self._database.tables]
        for entry in chunks:
            total = totals[(entry.table or 0) - 1]
            total[0] += entry.rows or 0
            total[1] += entry.size
            total[2] += entry.arrow_bytes or 0
        tables = tuple(
            ManifestTable(
                number=index + 1,
                name=table.name,
                rows=totals[index][0],
                bytes=totals[index][1],
                arrow_bytes=totals[index][2],
                chunks=self._chunks[index],
            )
            for index, table in enumerate(self._database.tables)
        )
        return Manifest(
            digest="",
            archive_id=self.archive_id,
            finished=finished,
            tables=tables,
            rows=sum(table.rows for table in tables),
            bytes=sum(table.bytes for table in tables),
            chunks=len(chunks),
            members=len(self._entries),
            head_sha256=self._entries[0].sha256,
            catalog=catalog,
            sums=sums,
            warnings=warnings,
        )

    def _stored(self, data: bytes | pa.Buffer) -> Data | pa.Buffer:
        return data if self._encryption is None else self._encryption.encrypt(data)

    def _document(self, name: Callable[[str], str], data: bytes) -> None:
        stored = self._stored(data)
        path = name(_sha256(stored)) + self._suffix
        _check_document(path, data)
        self._add(path, stored)

    def _add(self, path: str, data: Data | pa.Buffer) -> None:
        self._append(path, data)
        size = len(memoryview(data))
        self._entries.append(CatalogEntry(path=path, size=size, sha256=_sha256(data)))

    def _tail_member(self, path: str, data: Data | pa.Buffer) -> ManifestMember:
        self._append(path, data)
        return ManifestMember(path=path, size=len(memoryview(data)), sha256=_sha256(data))

    def _append(self, path: str, data: Data | pa.Buffer) -> None:
        if self._state != "open":
            raise ArchiveError("E_INCOMPLETE", f"nothing can be added to a {self._state} archive")
        view = memoryview(data)
        header = build_header(path, len(view), self._mtime)
        self._emit(header)
        self._emit(view)
        if fill := padding(len(view)):
            self._emit(bytes(fill))

    def _emit(self, data: bytes | memoryview) -> None:
        try:
            self._write_bytes(data)
        except BaseException:
            self._state = "failed"
            raise
        self.size += len(data)


def _check_document(path: str, data: bytes) -> None:
    if len(data) > _LIMITS.max_json_bytes:
        raise ArchiveError("E_LIMIT", f"{path} would have {len(data)} bytes; no reader takes it")


def _sha256(data: Data | pa.Buffer) -> str:
    return hashlib.sha256(data).hexdigest()
