"""What an archive file says about itself, from its first and last bytes alone.

What lives here: `read_summary`, for lists of many archives. Must not know: the catalog, schemas,
chunks; so it needs no key for an encrypted archive, and says less about it without one.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from dbsync.archive import names
from dbsync.archive.catalog import CatalogEntry
from dbsync.archive.documents import Head, Manifest, PublicHead, decode_manifest, mtime_of
from dbsync.archive.encryption import Identities
from dbsync.archive.limits import KIB, Limits
from dbsync.archive.names import MemberOrder
from dbsync.archive.start import Start, finish_start, member_path, read_public_head
from dbsync.archive.tail import ReadAt, Window
from dbsync.archive.trailer import TAIL_BYTES, Trailer, read_trailer
from dbsync.archive.ustar import BLOCK, TarReader, parse_header
from dbsync.errors import ArchiveError

_TAIL = 64 * KIB
"""Read at once from the end: trailer, and the manifest of some hundred tables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Head, trailer and manifest of an archive whose publication was finished."""

    archive_id: str
    writer: str
    started: datetime
    encrypted: bool
    head: Head | None
    """None where it is encrypted and no key opens it; so is the manifest."""
    manifest: Manifest | None
    manifest_sha256: str
    """Of its stored bytes, as the trailer names it."""


def read_summary(
    read_at: ReadAt,
    size: int,
    *,
    limits: Limits | None = None,
    identities: Identities | None = None,
) -> Summary:
    """Read the two ends of an archive of `size` bytes and check that they belong together.

    Takes two ranged reads, or few more where head or manifest are large. Nothing between the two
    ends is looked at: damage there is for `verify_archive` to find. An encrypted archive that none
    of `identities` opens is no error. Raises `ArchiveError` as `open_archive` does.
    """
    limits = limits or Limits()
    reader = TarReader(Window(read_at, 0, size).read)
    first = head, entry = read_public_head(reader, limits)
    mtime = mtime_of(head)
    tail = read_at(max(0, size - _TAIL), min(size, _TAIL))
    trailer = read_trailer(tail, size, mtime)
    if trailer.archive_id != head.archive_id:
        raise ArchiveError("E_TRAILER_INVALID", "the trailer belongs to another head")
    start = _start(reader, first, limits, identities)
    stored = _stored_manifest(read_at, tail, size, trailer, limits)
    manifest = None
    if start is not None:
        path = member_path(names.MANIFEST, start.contents)
        manifest = decode_manifest(start.contents.open(stored, path, limits.max_json_bytes))
        if (manifest.archive_id, manifest.head_sha256) != (head.archive_id, entry.sha256):
            raise ArchiveError("E_CATALOG_MISMATCH", "the manifest belongs to another head")
    return Summary(
        archive_id=head.archive_id,
        writer=head.writer,
        started=datetime.fromisoformat(head.started),
        encrypted=isinstance(head, PublicHead),
        head=start.head if start is not None else None,
        manifest=manifest,
        manifest_sha256=trailer.manifest_sha256,
    )


def _start(
    reader: TarReader,
    first: tuple[Head | PublicHead, CatalogEntry],
    limits: Limits,
    identities: Identities | None,
) -> Start | None:
    try:
        return finish_start(reader, first, limits, identities, MemberOrder())
    except ArchiveError as error:
        if error.code in ("E_ENCRYPTED", "E_IDENTITY"):
            return None
        raise


def _stored_manifest(
    read_at: ReadAt, tail: bytes, size: int, trailer: Trailer, limits: Limits
) -> bytes:
    if trailer.manifest_size > limits.max_json_bytes + limits.max_json_bytes // 8:
        raise ArchiveError("E_LIMIT", f"the manifest has {trailer.manifest_size} bytes")
    start = trailer.manifest_offset - BLOCK
    cached = size - len(tail)
    block = tail[start - cached :] if start >= cached else read_at(start, size - TAIL_BYTES - start)
    header = parse_header(block[:BLOCK], "before the trailer")
    stored = block[BLOCK : BLOCK + trailer.manifest_size]
    known = header is not None and header.path.removesuffix(".age") == names.MANIFEST
    if header is None or not known or header.size != trailer.manifest_size:
        raise ArchiveError("E_CATALOG_MISMATCH", "the manifest is not where it belongs")
    if hashlib.sha256(stored).hexdigest() != trailer.manifest_sha256:
        raise ArchiveError("E_CHECKSUM", "the manifest is damaged: its digest is wrong")
    return stored
