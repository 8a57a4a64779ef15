"""Reading the unpacked form: the members of an archive under a folder or a key prefix.

What lives here: `open_unpacked`. Must not know: file systems and stores.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa

from dbsync.archive import names
from dbsync.archive.archive import Archive
from dbsync.archive.catalog import CatalogEntry, decode_catalog
from dbsync.archive.documents import Data, ManifestMember, decode_head, decode_manifest
from dbsync.archive.encryption import Contents, Identities
from dbsync.archive.indexed import IndexedArchive, read_schemas, sha256_of
from dbsync.archive.limits import Limits
from dbsync.archive.start import Start, check_digest, complete_start, member_path
from dbsync.archive.tail import catalog_parts, check_catalog
from dbsync.errors import ArchiveError

_ENCRYPTED_HEAD = re.compile(r"head-[0-9a-f]{32}\.json\.age")


def open_unpacked(
    read_member: Callable[[str], bytes],
    list_members: Callable[[], Mapping[str, int]],
    *,
    limits: Limits | None = None,
    identities: Identities | None = None,
) -> Archive:
    """Open the unpacked form: the same members under a folder or key prefix.

    `list_members` gives path and size of what is there; files that the catalog does not list are
    ignored (a trailer, leftovers of an interrupted writer). `read_member` may be called from
    several threads. Raises E_INCOMPLETE where the manifest or a listed member is missing.
    """
    limits = limits or Limits()
    sizes = dict(list_members())

    def read(path: str, limit: int, expected: ManifestMember | CatalogEntry | None) -> bytes:
        found = sizes.get(path)
        if found is None:
            raise ArchiveError("E_INCOMPLETE", f"member {path!r} is missing")
        if found > limit:
            raise ArchiveError("E_LIMIT", f"member {path!r} has {found} bytes; {limit} are allowed")
        data = read_member(path)
        if expected is not None and len(data) < expected.size:
            raise ArchiveError("E_TRUNCATED", f"member {path!r} is shorter than listed")
        if expected is not None and sha256_of(data) != expected.sha256:
            raise ArchiveError("E_CHECKSUM", f"member {path!r} is damaged: its digest is wrong")
        return data

    if not sizes.keys() & {names.MANIFEST, names.MANIFEST + names.AGE}:
        raise ArchiveError("E_INCOMPLETE", f"member {names.MANIFEST!r} is missing")
    start = _start(sizes, read, limits, identities)
    head, contents = start.head, start.contents

    def opened(path: str, limit: int, expected: ManifestMember | CatalogEntry | None) -> Data:
        return contents.open(read(path, contents.stored_limit(limit), expected), path, limit)

    path = member_path(names.MANIFEST, contents)
    manifest = decode_manifest(opened(path, limits.max_json_bytes, None))
    entries: list[CatalogEntry] = []
    for part in catalog_parts(manifest, contents):
        entries += decode_catalog(opened(part.path, limits.max_member_bytes, part), limits)
    check_catalog(head, manifest, entries, limits, contents)
    if tuple(entries[: len(start.entries)]) != start.entries:
        raise ArchiveError("E_CATALOG_MISMATCH", "the catalog describes another head")
    read(names.SUMS, limits.max_member_bytes, manifest.sums)
    _check_listing(sizes, entries)
    database = read_schemas(
        head, entries, lambda entry: opened(entry.path, limits.max_json_bytes, entry)
    )

    def fetch(position: int) -> pa.Buffer:
        limit = contents.stored_limit(limits.max_member_bytes)
        return pa.py_buffer(read(entries[position].path, limit, entries[position]))

    return IndexedArchive(
        head,
        database,
        manifest=manifest,
        entries=entries,
        size=sum(member.size for member in (*entries, *manifest.catalog, manifest.sums)),
        fetch=fetch,
        limits=limits,
        contents=contents,
    )


def _start(
    sizes: Mapping[str, int],
    read: Callable[[str, int, CatalogEntry | None], bytes],
    limits: Limits,
    identities: Identities | None,
) -> Start:
    def stored(path: str, limit: int) -> tuple[bytes, CatalogEntry]:
        data = read(path, limit, None)
        return data, CatalogEntry(path=path, size=len(data), sha256=sha256_of(data))

    def encrypted(contents: Contents) -> tuple[bytes, CatalogEntry]:
        # A safe name of this kind, or none: others of the folder's files are not ours to judge.
        found = [path for path in sizes if _ENCRYPTED_HEAD.fullmatch(path)]
        for path in found:
            data, entry = stored(path, contents.stored_limit(limits.max_json_bytes))
            check_digest(names.parse_path(path), entry.sha256)
            return data, entry
        raise ArchiveError("E_INCOMPLETE", "the encrypted head is missing")

    data, entry = stored(names.HEAD, limits.max_json_bytes)
    return complete_start(decode_head(data), entry, limits, identities, encrypted)


def _check_listing(sizes: Mapping[str, int], entries: Sequence[CatalogEntry]) -> None:
    """Compare what is there with the catalog before anything is handed out."""
    for entry in entries:
        found = sizes.get(entry.path)
        if found is None:
            raise ArchiveError("E_INCOMPLETE", f"member {entry.path!r} is missing")
        if found != entry.size:
            code = "E_TRUNCATED" if found < entry.size else "E_CATALOG_MISMATCH"
            raise ArchiveError(
                code, f"member {entry.path!r} has {found} bytes; the catalog says {entry.size}"
            )
