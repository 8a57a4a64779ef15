"""The end of an archive file: trailer, manifest, catalog, read backwards and checked.

What lives here: `Tail`, and reading ranges as if they were a stream. Must not know: chunks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dbsync.archive import names
from dbsync.archive.archive import check_manifest
from dbsync.archive.catalog import CatalogEntry, check_entries, decode_catalog
from dbsync.archive.documents import (
    Data,
    Head,
    Manifest,
    ManifestMember,
    decode_manifest,
    mtime_of,
)
from dbsync.archive.encryption import PLAIN, Contents
from dbsync.archive.limits import KIB, MIB, Limits
from dbsync.archive.names import check_form
from dbsync.archive.start import member_path
from dbsync.archive.trailer import Trailer, read_trailer
from dbsync.archive.ustar import BLOCK, TarReader, footprint
from dbsync.errors import ArchiveError

ReadAt = Callable[[int, int], bytes]
_TAIL_CACHE = 256 * KIB
"""Read at once from the end: enough for trailer, manifest and catalog of some thousand chunks."""
_FIRST_WINDOW = 64 * KIB
_WINDOW = MIB


class Window:
    """Bytes from `start` to `end` as a stream, fetched in pieces that grow to a MiB.

    Head and schemas are mostly small, so that the first piece holds them; it is small because
    nobody knows where they end.
    """

    def __init__(self, read_at: ReadAt, start: int, end: int, first: int = _FIRST_WINDOW) -> None:
        self._read_at = read_at
        self._next = start
        self._end = end
        self._piece = first
        self._ready = memoryview(b"")

    def read(self, count: int) -> bytes:
        """Return at most `count` bytes; none at the end."""
        if not self._ready and self._next < self._end:
            data = self._read_at(self._next, min(self._piece, self._end - self._next))
            self._next += len(data)
            self._piece = min(2 * self._piece, _WINDOW)
            self._ready = memoryview(data)
        piece, self._ready = self._ready[:count], self._ready[count:]
        return bytes(piece)


class Tail:
    """Everything behind the last chunk of a file, read and checked."""

    def __init__(
        self, read_at: ReadAt, size: int, head: Head, limits: Limits, contents: Contents = PLAIN
    ) -> None:
        self._contents = contents
        self._cache_start = max(0, size - _TAIL_CACHE)
        self._cache = read_at(self._cache_start, size - self._cache_start)
        self._read_at = read_at
        self._size = size
        self._limits = limits
        self._mtime = mtime_of(head)
        trailer = read_trailer(self._cache, size, self._mtime)
        if trailer.archive_id != head.archive_id:
            raise ArchiveError("E_TRAILER_INVALID", "the trailer belongs to another head")
        self.manifest_sha256 = trailer.manifest_sha256
        self.manifest = self._manifest(trailer)
        parts = catalog_parts(self.manifest, contents)
        followers = (*parts, self.manifest.sums)
        start = trailer.manifest_offset - BLOCK - sum(footprint(m.size) for m in followers)
        if start < BLOCK:
            raise ArchiveError("E_CATALOG_MISMATCH", "the catalog would start before the archive")
        # SHA256SUMS is several times as large as the catalog and holds nothing else: that the
        # manifest names the right digest of it is proved by the catalog, its bytes by `check_sums`.
        self._sums = start + sum(footprint(m.size) for m in parts)
        self._reader = self._read_from(start, self._sums)
        self.entries: list[CatalogEntry] = []
        for part in parts:
            self.entries += decode_catalog(self._member(part, limits.max_member_bytes), limits)
        check_catalog(head, self.manifest, self.entries, limits, contents)
        if sum(footprint(entry.size) for entry in self.entries) != start:
            raise ArchiveError("E_CATALOG_MISMATCH", "the sizes in the catalog leave a gap")
        if self._sums >= self._cache_start:  # it is here already
            self.check_sums()

    def check_sums(self) -> None:
        """Read SHA256SUMS, whose content follows from the catalog, and check that it is whole."""
        self._reader = self._read_from(self._sums, self._size)
        self._stored(self.manifest.sums, self._limits.max_member_bytes)

    def _manifest(self, trailer: Trailer) -> Manifest:
        self._reader = self._read_from(trailer.manifest_offset - BLOCK, self._size)
        expected = ManifestMember(
            path=member_path(names.MANIFEST, self._contents),
            size=trailer.manifest_size,
            sha256=trailer.manifest_sha256,
        )
        return decode_manifest(self._member(expected, self._limits.max_json_bytes))

    def _member(self, expected: ManifestMember, limit: int) -> Data:
        stored = self._stored(expected, self._contents.stored_limit(limit))
        return self._contents.open(stored, expected.path, limit)

    def _stored(self, expected: ManifestMember, limit: int) -> bytes | bytearray:
        header = self._reader.next()
        if header is not None:
            check_form(names.parse_path(header.path), encrypted=self._contents.encrypted)
        if header is None or (header.path, header.size) != (expected.path, expected.size):
            raise ArchiveError("E_CATALOG_MISMATCH", f"{expected.path} is not where it belongs")
        data, sha256 = self._reader.content(header, limit)
        if sha256 != expected.sha256:
            raise ArchiveError("E_CHECKSUM", f"{expected.path} is damaged: its digest is wrong")
        return data

    def _read_from(self, start: int, end: int) -> TarReader:
        return TarReader(Window(self._read, start, end, _WINDOW).read, self._mtime)

    def _read(self, offset: int, length: int) -> bytes:
        if offset >= self._cache_start:
            start = offset - self._cache_start
            return self._cache[start : start + length]
        return self._read_at(offset, min(length, self._cache_start - offset))


def catalog_parts(manifest: Manifest, contents: Contents = PLAIN) -> Sequence[ManifestMember]:
    """List the catalog's parts; E_CATALOG_MISMATCH where they are not named as the format does."""
    parts = manifest.catalog
    plain = [names.catalog_path(number, len(parts)) for number in range(1, len(parts) + 1)]
    paths = [member_path(path, contents) for path in plain]
    if not parts or [part.path for part in parts] != paths or manifest.sums.path != names.SUMS:
        raise ArchiveError("E_CATALOG_MISMATCH", "the manifest names members that v1 does not have")
    return parts


def check_catalog(
    head: Head,
    manifest: Manifest,
    entries: Sequence[CatalogEntry],
    limits: Limits,
    contents: Contents = PLAIN,
) -> None:
    """Check catalog and manifest against each other and against the head."""
    if len(entries) > limits.max_members:
        raise ArchiveError("E_LIMIT", f"the catalog lists {len(entries)} members")
    check_entries(entries, len(head.tables), encrypted=contents.encrypted)
    check_manifest(manifest, head, entries)
