"""The trailer: 512 bytes at a fixed distance from the end, from which random reading starts.

What lives here: its text form, and telling apart the ways in which a tail can be wrong.
Must not know: what the manifest holds.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from dbsync.archive import names
from dbsync.archive.ustar import BLOCK, END_BLOCKS, build_header, padding
from dbsync.errors import ArchiveError

MAGIC = b"dbsync-archive-trailer 1\n"
TAIL_BYTES = 4 * BLOCK
"""Header, trailer and two zero blocks: the end of every valid archive."""
_PATTERN = re.compile(
    rb"dbsync-archive-trailer 1\n"
    rb"archive_id ([A-Za-z0-9][A-Za-z0-9._-]{0,63})\n"
    rb"manifest_offset ([0-9]{20})\n"
    rb"manifest_size ([0-9]{20})\n"
    rb"manifest_sha256 ([0-9a-f]{64})\n"
    rb"archive_size ([0-9]{20})\n"
    rb"trailer_sha256 ([0-9a-f]{64})\n"
    rb" *\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trailer:
    """Where the manifest is. `manifest_offset` is where its content starts, after its header."""

    archive_id: str
    manifest_offset: int
    manifest_size: int
    manifest_sha256: str
    archive_size: int


def build_trailer(trailer: Trailer) -> bytes:
    """Write the 512 bytes."""
    zeros = "0" * 64
    text = (
        f"{MAGIC.decode()}archive_id {trailer.archive_id}\n"
        f"manifest_offset {trailer.manifest_offset:020}\n"
        f"manifest_size {trailer.manifest_size:020}\n"
        f"manifest_sha256 {trailer.manifest_sha256}\n"
        f"archive_size {trailer.archive_size:020}\n"
        f"trailer_sha256 {zeros}\n"
    )
    blank = text.ljust(BLOCK - 1).encode("ascii") + b"\n"
    digest = hashlib.sha256(blank).hexdigest()
    return blank.replace(b"trailer_sha256 " + zeros.encode(), f"trailer_sha256 {digest}".encode())


def parse_trailer(block: bytes | bytearray) -> Trailer:
    """Read the 512 bytes; E_TRAILER_INVALID unless they are exactly as they would be written."""
    match = _PATTERN.fullmatch(block)
    if match is not None and len(block) == BLOCK:
        archive_id, offset, size, sha256, total = (part.decode() for part in match.groups()[:5])
        trailer = Trailer(
            archive_id=archive_id,
            manifest_offset=int(offset),
            manifest_size=int(size),
            manifest_sha256=sha256,
            archive_size=int(total),
        )
        if build_trailer(trailer) == block:
            return trailer
    raise ArchiveError("E_TRAILER_INVALID", "the trailer is damaged")


def read_trailer(tail: bytes, size: int, mtime: int) -> Trailer:
    """Read the trailer of a file of `size` bytes that ends with `tail`.

    `mtime` is what the head's tar header carries. Raises E_TRUNCATED, E_INCOMPLETE,
    E_TRAILING_DATA or E_TRAILER_INVALID, whichever says best what became of the file.
    """
    end = tail[-TAIL_BYTES:]
    header = build_header(names.TRAILER, BLOCK, mtime)
    if len(end) != TAIL_BYTES or not end.startswith(header) or not end.endswith(END_BLOCKS):
        raise refuse_tail(tail)
    trailer = parse_trailer(end[BLOCK : 2 * BLOCK])
    if trailer.archive_size < size:
        raise ArchiveError(
            "E_TRAILING_DATA",
            f"the file has {size} bytes, the archive at its end {trailer.archive_size}",
        )
    if trailer.archive_size > size:
        raise ArchiveError(
            "E_TRUNCATED", f"the file has {size} of the archive's {trailer.archive_size} bytes"
        )
    after = trailer.manifest_offset + trailer.manifest_size + padding(trailer.manifest_size)
    if trailer.manifest_offset < 2 * BLOCK or after + TAIL_BYTES != size:
        raise ArchiveError("E_TRAILER_INVALID", "the trailer points to no manifest")
    return trailer


def check_trailer(trailer: Trailer, expected: Trailer) -> None:
    """Raise E_TRAILER_INVALID unless the trailer says what was found in the archive."""
    if trailer != expected:
        raise ArchiveError("E_TRAILER_INVALID", "the trailer does not fit the archive it ends")


def refuse_tail(tail: bytes) -> ArchiveError:
    """Say what is wrong with a file whose last bytes (`tail`) are not those of an archive."""
    start = tail.rfind(MAGIC)
    while start >= 0:
        try:
            parse_trailer(tail[start : start + BLOCK])
        except ArchiveError:
            start = tail.rfind(MAGIC, 0, start)
            continue
        after = len(tail) - start - BLOCK
        if after < len(END_BLOCKS):
            return ArchiveError("E_TRUNCATED", "the archive ends inside its last blocks")
        if after > len(END_BLOCKS):
            return ArchiveError(
                "E_TRAILING_DATA", f"{after - len(END_BLOCKS)} bytes follow the end of the archive"
            )
        return ArchiveError("E_TRAILER_INVALID", "the blocks around the trailer are damaged")
    if tail.endswith(END_BLOCKS):
        if MAGIC in tail[-TAIL_BYTES:]:
            return ArchiveError("E_TRAILER_INVALID", "the trailer is damaged")
        return ArchiveError("E_INCOMPLETE", "the archive has no trailer at its end")
    return ArchiveError("E_TRUNCATED", "the file does not end with a trailer")
