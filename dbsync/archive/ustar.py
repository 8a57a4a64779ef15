"""The tar container: exactly one form of header, written and demanded.

What lives here: 512-byte POSIX ustar headers, padding, and reading members one after another.
Must not know: what members mean. Source: POSIX.1-2017, pax, "ustar Interchange Format". The
standard library's `tarfile` is not used because it accepts far more than the format allows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from dbsync.archive.names import HEAD
from dbsync.errors import ArchiveError

BLOCK = 512
END_BLOCKS = bytes(2 * BLOCK)
MAX_MEMBER_BYTES = 8**11 - 1
"""What eleven octal digits can say: just under 8 GiB."""
_PIECE = 1 << 20
_TYPES = {
    "1": "a hard link",
    "2": "a symbolic link",
    "3": "a character device",
    "4": "a block device",
    "5": "a folder",
    "6": "a FIFO",
    "L": "a GNU long name",
    "K": "a GNU long link name",
    "S": "a sparse file",
    "x": "a pax header",
    "g": "a global pax header",
}


@dataclass(frozen=True, slots=True)
class Header:
    """What varies from one header to the next."""

    path: str
    size: int
    mtime: int


def padding(size: int) -> int:
    """Count the zero bytes that follow `size` bytes of content."""
    return -size % BLOCK


def footprint(size: int) -> int:
    """Count the bytes that a member of `size` bytes occupies, header and padding included."""
    return BLOCK + size + padding(size)


def build_header(path: str, size: int, mtime: int) -> bytes:
    """Write the one header that the format allows for these values.

    Raises E_LIMIT for a member of 8 GiB or more, which eleven octal digits cannot say.
    """
    if size > MAX_MEMBER_BYTES:
        raise ArchiveError("E_LIMIT", f"member {path!r} of {size} bytes is too large for ustar")
    name = path.encode("ascii")
    fields = (
        name.ljust(100, b"\0"),
        b"0000644\0" + b"0000000\0" * 2,
        b"%011o\0%011o\0" % (size, mtime),
        b"        0",
        bytes(100),
        b"ustar\x0000",
        bytes(64),
        b"0000000\0" * 2,
        bytes(167),
    )
    block = b"".join(fields)
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def parse_header(block: bytes, where: str) -> Header | None:
    """Read a header; None for a block of zeros. `where` is for messages.

    Raises E_CHECKSUM (damaged), E_MEMBER_TYPE (not a regular file, or any field that is not
    exactly as `build_header` writes it) or E_PATH_UNSAFE.
    """
    if not any(block):
        return None
    stored = block[148:156]
    total = sum(block) - sum(stored) + 8 * 32
    if stored != b"%06o\0 " % total:
        raise ArchiveError("E_CHECKSUM", f"the tar header {where} is damaged")
    kind = chr(block[156])
    if kind != "0":
        what = _TYPES.get(kind, f"of type {kind!r}")
        raise ArchiveError(
            "E_MEMBER_TYPE", f"the member {where} is {what}; only regular files are allowed"
        )
    name = block[:100].rstrip(b"\0")
    try:
        path = name.decode("ascii")
    except UnicodeDecodeError:
        raise ArchiveError("E_PATH_UNSAFE", f"member name {name!r} is not ASCII") from None
    if not path or any(block[345:500]):
        raise ArchiveError("E_PATH_UNSAFE", f"member name {name!r} is empty or has a prefix")
    try:
        header = Header(path, int(block[124:135], 8), int(block[136:147], 8))
        canonical = build_header(path, header.size, header.mtime) == block
    except ValueError:
        canonical = False
        header = Header(path, 0, 0)
    if not canonical:
        raise ArchiveError(
            "E_MEMBER_TYPE", f"the tar header of {path!r} is not written as the format demands"
        )
    return header


class TarReader:
    """Reads members one after another through `read(n)`, which gives at most `n` bytes.

    `mtime` is what every header must carry; None at the start of a file, where the first member
    must be the head and sets it. `position` counts the bytes taken so far.
    """

    def __init__(self, read: Callable[[int], bytes], mtime: int | None = None) -> None:
        self._read = read
        self.mtime = mtime
        self.position = 0
        self.path: str | None = None

    def next(self) -> Header | None:
        """Read the next header; None for a block of zeros. Raises E_TRUNCATED at the end."""
        block = self._exactly(BLOCK)
        if self.mtime is None and block[:12] != HEAD.encode() + b"\0":
            raise ArchiveError("E_NOT_ARCHIVE", f"the file does not start with the member {HEAD!r}")
        header = parse_header(block, f"after {self.path}" if self.path else "at the start")
        if header is None:
            return None
        if self.mtime is None:
            self.mtime = header.mtime
        if header.mtime != self.mtime:
            raise ArchiveError(
                "E_MEMBER_TYPE", f"the tar header of {header.path!r} carries another time"
            )
        self.path = header.path
        return header

    def content(self, header: Header, limit: int) -> tuple[bytes | bytearray, str]:
        """Read a member's bytes and padding; return them with their sha256.

        Raises E_LIMIT before reading where the header says more than `limit`, E_TRUNCATED where
        the input ends first, E_CHECKSUM where the padding is not zero. Memory follows what has
        really arrived, not what the header claims.
        """
        if header.size > limit:
            raise ArchiveError(
                "E_LIMIT", f"member {header.path!r} has {header.size} bytes; {limit} are allowed"
            )
        digest = hashlib.sha256()
        data = bytearray()
        while len(data) < header.size:
            piece = self._some(min(header.size - len(data), _PIECE))
            digest.update(piece)
            data += piece
        if any(self._exactly(padding(header.size))):
            raise ArchiveError("E_CHECKSUM", f"the padding after {header.path!r} is not zero")
        return data, digest.hexdigest()

    def at_end(self) -> bool:
        """Say whether the input is over."""
        return not self._read(1)

    def _some(self, count: int) -> bytes:
        piece = self._read(count)
        if not piece:
            where = f"in or after member {self.path!r}" if self.path else "in its first header"
            raise ArchiveError(
                "E_TRUNCATED",
                f"the archive ends after {self.position} bytes, {where}",
            )
        self.position += len(piece)
        return piece

    def _exactly(self, count: int) -> bytes:
        parts: list[bytes] = []
        while count:
            try:
                piece = self._some(count)
            except ArchiveError:
                if self.mtime is None and self.position == 0:
                    raise ArchiveError("E_NOT_ARCHIVE", "the file is empty") from None
                if self.mtime is None:
                    _refuse_foreign_start(b"".join(parts))
                raise
            parts.append(piece)
            count -= len(piece)
        return b"".join(parts)


def _refuse_foreign_start(start: bytes) -> None:
    magic = HEAD.encode() + b"\0"
    if start[: len(magic)] != magic[: len(start)]:
        raise ArchiveError("E_NOT_ARCHIVE", f"the file does not start with the member {HEAD!r}")
