"""Takes a valid archive apart and puts it together again with one thing wrong.

What lives here: `Forge`, which recomputes every digest, count and offset that the one change does
not concern, so that each bad vector breaks one rule only. Nothing here is part of dbsync.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from dbsync.archive import Encryption, Identities
from dbsync.archive.catalog import CatalogEntry, encode_catalog, sums_text
from dbsync.archive.trailer import Trailer, build_trailer
from dbsync.archive.ustar import BLOCK, END_BLOCKS, build_header, padding

CHUNK = re.compile(r"tables/(\d{6})/(\d{8})-[0-9a-f]{32}\.parquet(?:\.age)?")


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class Member:
    """One member; `header` and `pad` replace what would be written.

    Of an encrypted archive `path` and `data` are those without encryption; `tamper` changes the
    encrypted bytes, and `raw` leaves the member as it is.
    """

    path: str
    data: bytes
    header: bytes | None = None
    pad: bytes | None = None
    tamper: Callable[[bytes], bytes] | None = None
    raw: bool = False

    def encode(self, mtime: int) -> bytes:
        header = self.header or build_header(self.path, len(self.data), mtime)
        pad = bytes(padding(len(self.data))) if self.pad is None else self.pad
        return header + self.data + pad


def header_with(path: str, size: int, mtime: int, **fields: bytes) -> bytes:
    """Build a header with other bytes in some fields and a checksum that fits them."""
    places = {"name": 0, "mode": 100, "uid": 108, "typeflag": 156, "linkname": 157, "prefix": 345}
    block = bytearray(build_header(path, size, mtime))
    for field, value in fields.items():
        block[places[field] : places[field] + len(value)] = value
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def to_json(document: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(document, order="sorted"), indent=2) + b"\n"


def sealed(document: dict[str, Any]) -> bytes:
    """Encode a document that carries its own digest."""
    blank = to_json({**document, "digest": "0" * 64})
    field = b'"digest": "%s"'
    return blank.replace(field % (b"0" * 64), field % sha256(blank).encode())


class Forge:
    """The members of an archive, to be changed and built again.

    Those of an encrypted one are opened with `identities` and encrypted again by `encryption`.
    """

    def __init__(
        self,
        archive: bytes,
        encryption: Encryption | None = None,
        identities: Identities | None = None,
    ) -> None:
        self.members: list[Member] = []
        self.encryption = encryption
        position = 0
        self.mtime = int(archive[136:147], 8)
        while any(archive[position : position + BLOCK]):
            header = archive[position : position + BLOCK]
            path = header[:100].rstrip(b"\0").decode()
            size = int(header[124:135], 8)
            data = archive[position + BLOCK : position + BLOCK + size]
            if identities is not None and path.endswith(".age"):
                path, data = path[:-4], bytes(identities.decrypt(data, path))
            self.members.append(Member(path, data))
            position += BLOCK + size + padding(size)
        documents = {m.path: m.data for m in self.members}
        self.manifest: dict[str, Any] = msgspec.json.decode(documents["manifest.json"])
        first_of_tail = next(i for i, m in enumerate(self.members) if m.path.startswith("catalog"))
        self.members = self.members[:first_of_tail]
        self.edit_entries: Callable[[list[CatalogEntry]], list[CatalogEntry]] = lambda e: e
        self.edit_manifest: Callable[[dict[str, Any]], None] = lambda m: None
        self.edit_trailer: Callable[[Trailer], Trailer] = lambda t: t
        self.part_rows = 1_000_000
        self.raw_manifest = False

    def find(self, pattern: str) -> int:
        """Return the position of the first member whose path fits."""
        return next(i for i, m in enumerate(self.members) if re.search(pattern, m.path))

    def change(self, pattern: str, **changes: Any) -> None:
        """Replace parts of a member, keeping its name."""
        position = self.find(pattern)
        self.members[position] = replace(self.members[position], **changes)

    def content(self, pattern: str, edit: Callable[[bytes], bytes]) -> None:
        """Edit a member's bytes and give it the name that its new digest asks for."""
        position = self.find(pattern)
        old = self.members[position]
        data = edit(old.data)
        path = re.sub(r"[0-9a-f]{32}", sha256(data)[:32], old.path)
        self.members[position] = Member(path, data)

    def document(self, pattern: str, edit: Callable[[dict[str, Any]], None]) -> None:
        """Edit a JSON document; the head gets its own digest again."""

        def change(data: bytes) -> bytes:
            document = msgspec.json.decode(data)
            edit(document)
            return sealed(document) if "digest" in document else to_json(document)

        self.content(pattern, change)

    def stored(self, member: Member) -> Member:
        """Encrypt a member where members are encrypted, and name it after the outcome."""
        public = ("dbsync.json", "SHA256SUMS", "trailer.txt")
        if self.encryption is None or member.raw or member.path in public:
            return member
        data = bytes(self.encryption.encrypt(member.data))
        if member.tamper is not None:
            data = member.tamper(data)
        path = re.sub(r"[0-9a-f]{32}", sha256(data)[:32], member.path) + ".age"
        return replace(member, path=path, data=data)

    def entries(self, stored: list[Member]) -> list[CatalogEntry]:
        """Describe the members as a catalog does."""
        entries: list[CatalogEntry] = []
        for member, written in zip(self.members, stored, strict=True):
            entry = CatalogEntry(
                path=written.path, size=len(written.data), sha256=sha256(written.data)
            )
            if match := CHUNK.fullmatch(member.path):
                entry = msgspec.structs.replace(
                    entry,
                    table=int(match[1]),
                    chunk=int(match[2]),
                    rows=_rows(member.data),
                    arrow_bytes=64,
                )
            entries.append(entry)
        return entries

    def build(self) -> bytes:
        """Write the whole archive."""
        stored = [self.stored(member) for member in self.members]
        out = b"".join(member.encode(self.mtime) for member in stored)
        entries = self.edit_entries(self.entries(stored))
        parts = list(encode_catalog(entries, self.part_rows))
        names = ["catalog.parquet"] if len(parts) == 1 else []
        names = names or [f"catalog-{n:06}.parquet" for n in range(1, len(parts) + 1)]
        catalog = [
            self.stored(Member(name, part)) for name, part in zip(names, parts, strict=True)
        ]
        listed = [(e.sha256, e.path) for e in entries]
        sums = Member("SHA256SUMS", sums_text(listed + [(sha256(m.data), m.path) for m in catalog]))
        manifest = self.stored(
            Member(
                "manifest.json",
                sealed(self._manifest(entries, catalog, sums)),
                raw=self.raw_manifest,
            )
        )
        out += b"".join(member.encode(self.mtime) for member in [*catalog, sums])
        trailer = Trailer(
            archive_id=self.manifest["archive_id"],
            manifest_offset=len(out) + BLOCK,
            manifest_size=len(manifest.data),
            manifest_sha256=sha256(manifest.data),
            archive_size=len(out) + len(manifest.encode(self.mtime)) + 4 * BLOCK,
        )
        block = build_trailer(self.edit_trailer(trailer))
        out += manifest.encode(self.mtime) + Member("trailer.txt", block).encode(self.mtime)
        return out + END_BLOCKS

    def _manifest(
        self, entries: list[CatalogEntry], catalog: list[Member], sums: Member
    ) -> dict[str, Any]:
        manifest = msgspec.json.decode(msgspec.json.encode(self.manifest))
        for table in manifest["tables"]:
            own = [e for e in entries if e.table == table["number"]]
            table["rows"] = sum(e.rows or 0 for e in own)
            table["bytes"] = sum(e.size for e in own)
            table["arrow_bytes"] = sum(e.arrow_bytes or 0 for e in own)
            table["chunks"] = len(own)
        for total in ("rows", "bytes", "chunks"):
            manifest[total] = sum(table[total] for table in manifest["tables"])
        manifest["members"] = len(entries)
        manifest["head_sha256"] = entries[0].sha256
        manifest["catalog"] = [_described(m) for m in catalog]
        manifest["sums"] = _described(sums)
        self.edit_manifest(manifest)
        return manifest


def _rows(data: bytes) -> int:
    """Count a chunk's rows; one for what is not Parquet."""
    try:
        return pq.read_metadata(pa.BufferReader(data)).num_rows
    except pa.ArrowInvalid:
        return 1


def _described(member: Member) -> dict[str, Any]:
    return {"path": member.path, "size": len(member.data), "sha256": sha256(member.data)}
