"""The beginning of an archive: its head, and whether and how its members are encrypted.

What lives here: reading the one head, or the public and the encrypted one. Must not know: what
follows the heads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dbsync.archive import names
from dbsync.archive.catalog import CatalogEntry
from dbsync.archive.documents import (
    Data,
    Head,
    PublicHead,
    decode_encrypted_head,
    decode_head,
    mtime_of,
)
from dbsync.archive.encryption import PLAIN, Contents, EncryptedContents, Identities
from dbsync.archive.limits import Limits
from dbsync.archive.names import Kind, MemberName, MemberOrder
from dbsync.archive.ustar import TarReader
from dbsync.errors import ArchiveError


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A head that has been checked, with what is needed to read on."""

    head: Head
    contents: Contents
    entries: tuple[CatalogEntry, ...]
    """The members read so far."""


def read_public_head(reader: TarReader, limits: Limits) -> tuple[Head | PublicHead, CatalogEntry]:
    """Read the first member; later headers must then carry its time. Needs no key."""
    header = reader.next()
    if header is None:  # cannot be: the first block was checked to hold the head's name
        raise ArchiveError("E_NOT_ARCHIVE", "the file starts with zeros")
    data, sha256 = reader.content(header, limits.max_json_bytes)
    head = decode_head(data)
    if reader.mtime != mtime_of(head):
        raise ArchiveError("E_MEMBER_TYPE", "the tar headers carry another time than the head")
    return head, CatalogEntry(path=header.path, size=header.size, sha256=sha256)


def read_start(
    reader: TarReader, limits: Limits, identities: Identities | None, order: MemberOrder
) -> Start:
    """Read the head, and where members are encrypted the whole head behind it.

    `order` is given what it needs to check the members that follow. Raises E_ENCRYPTED where keys
    are needed and none was given, E_IDENTITY where none fits.
    """
    return finish_start(reader, read_public_head(reader, limits), limits, identities, order)


def finish_start(
    reader: TarReader,
    first: tuple[Head | PublicHead, CatalogEntry],
    limits: Limits,
    identities: Identities | None,
    order: MemberOrder,
) -> Start:
    """Read on behind the first member, as `read_start` does."""
    head, entry = first
    order.accept(entry.path)

    def read_encrypted(contents: Contents) -> tuple[Data, CatalogEntry]:
        order.encrypted = True
        header = reader.next()
        if header is None:
            raise ArchiveError("E_INCOMPLETE", "the archive ends without manifest and trailer")
        name = order.accept(header.path)
        if name.kind is not Kind.ENCRYPTED_HEAD:
            raise ArchiveError("E_ORDER", f"member {header.path!r} stands before the whole head")
        limit = contents.stored_limit(limits.max_json_bytes)
        data, sha256 = reader.content(header, limit)
        check_digest(name, sha256)
        return data, CatalogEntry(path=header.path, size=header.size, sha256=sha256)

    start = complete_start(head, entry, limits, identities, read_encrypted)
    order.tables = len(start.head.tables)
    return start


def complete_start(
    head: Head | PublicHead,
    entry: CatalogEntry,
    limits: Limits,
    identities: Identities | None,
    read_encrypted: Callable[[Contents], tuple[Data, CatalogEntry]],
) -> Start:
    """Take the whole head, through `read_encrypted` where the one read so far is the public part.

    `read_encrypted` returns the stored bytes of that member, whose digest it has checked.
    """
    if isinstance(head, Head):
        start = Start(head=head, contents=PLAIN, entries=(entry,))
    else:
        contents = EncryptedContents(identities, head.encryption.recipients)
        data, second = read_encrypted(contents)
        opened = contents.open(data, second.path, limits.max_json_bytes)
        whole = decode_encrypted_head(opened, head, second.path)
        start = Start(head=whole, contents=contents, entries=(entry, second))
    if len(start.head.tables) > limits.max_tables:
        raise ArchiveError("E_LIMIT", f"the head plans {len(start.head.tables)} tables")
    return start


def check_digest(name: MemberName, sha256: str) -> None:
    """Raise E_CHECKSUM where a member's bytes are not those that its name promises."""
    if name.digest is not None and not sha256.startswith(name.digest):
        raise ArchiveError("E_CHECKSUM", f"member {name.path!r} is damaged: its digest is wrong")


def member_path(plain: str, contents: Contents) -> str:
    """Give the name that a member has in this archive."""
    return plain + names.AGE if contents.encrypted else plain
