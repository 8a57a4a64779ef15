"""Names of members, and the order in which they may follow one another.

What lives here: the closed list of member names of archive v1 and the state machine that every
reader runs over them. Must not know: tar, Parquet, what is inside a member.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum

from dbsync.errors import ArchiveError

HEAD = "dbsync.json"
AGE = ".age"
"""How the names of encrypted members end."""
CATALOG = "catalog.parquet"
SUMS = "SHA256SUMS"
MANIFEST = "manifest.json"
TRAILER = "trailer.txt"
MAX_TABLES = 999_999
MAX_CHUNKS = 99_999_999
MAX_NAME_BYTES = 100
_DIGEST_LENGTH = 32


class Kind(IntEnum):
    """What a member is; the values are the order of the phases of an archive."""

    HEAD = 0
    ENCRYPTED_HEAD = 1
    DATABASE = 2
    SCHEMA = 3
    CHUNK = 4
    EXTRA = 5
    CATALOG = 6
    SUMS = 7
    MANIFEST = 8
    TRAILER = 9


_DATA = (Kind.CHUNK, Kind.EXTRA)
_NEVER_ENCRYPTED = (Kind.HEAD, Kind.SUMS, Kind.TRAILER)
_FIXED = {
    HEAD: Kind.HEAD,
    CATALOG: Kind.CATALOG,
    SUMS: Kind.SUMS,
    MANIFEST: Kind.MANIFEST,
    TRAILER: Kind.TRAILER,
}
_PATTERN = re.compile(
    r"(?:head-(?P<head>[0-9a-f]{32})\.json"
    r"|manifest\.json"
    r"|catalog\.parquet"
    r"|database-(?P<database>[0-9a-f]{32})\.json"
    r"|tables/(?P<table>[0-9]{6})/(?:schema-(?P<schema>[0-9a-f]{32})\.json"
    r"|(?P<number>[0-9]{8})-(?P<chunk>[0-9a-f]{32})\.parquet)"
    r"|catalog-(?P<part>[0-9]{6})\.parquet)(?P<age>\.age)?"
    r"|(?P<extra>extra(?:/[a-z0-9_][a-z0-9._-]*)+)"
)
_SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(?:/[A-Za-z0-9_][A-Za-z0-9._-]*)*")


@dataclass(frozen=True, slots=True)
class MemberName:
    """A member's name taken apart.

    `table` is the table's position in the head, from 0; `number` is the chunk's number, or the
    part of a catalog in parts, from 1; `digest` is the part of the sha256 that the name carries.
    `encrypted` says that the name is that of an age file.
    """

    path: str
    kind: Kind
    table: int | None = None
    number: int | None = None
    digest: str | None = None
    encrypted: bool = False


def encrypted_head_path(sha256: str) -> str:
    """Name the member that holds the whole head of an encrypted archive; complete with `AGE`."""
    return f"head-{sha256[:_DIGEST_LENGTH]}.json"


def database_path(sha256: str) -> str:
    """Name the member that holds the database document."""
    return f"database-{sha256[:_DIGEST_LENGTH]}.json"


def schema_path(table: int, sha256: str) -> str:
    """Name the member that holds the schema of the table at position `table`, from 0."""
    return f"tables/{table + 1:06}/schema-{sha256[:_DIGEST_LENGTH]}.json"


def chunk_path(table: int, number: int, sha256: str) -> str:
    """Name chunk `number`, from 1, of the table at position `table`, from 0."""
    return f"tables/{table + 1:06}/{number:08}-{sha256[:_DIGEST_LENGTH]}.parquet"


def catalog_path(part: int, parts: int) -> str:
    """Name part `part`, from 1, of a catalog in `parts` parts."""
    return CATALOG if parts == 1 else f"catalog-{part:06}.parquet"


def parse_path(path: str) -> MemberName:
    """Take a member's name apart.

    Raises E_PATH_UNSAFE for a name that could leave the folder it is unpacked into or that means
    different things to different systems, and E_ORDER for a safe name that v1 does not have.
    """
    if path in _FIXED:
        return MemberName(path, _FIXED[path])
    if not _SAFE.fullmatch(path) or len(path) > MAX_NAME_BYTES:
        raise ArchiveError("E_PATH_UNSAFE", f"member name {path[:120]!r} is not safe to unpack")
    match = _PATTERN.fullmatch(path)
    if match is None:
        raise ArchiveError("E_ORDER", f"archive version 1 has no member called {path!r}")
    return _described(path, match)


def _described(path: str, match: re.Match[str]) -> MemberName:
    if match["extra"]:
        return MemberName(path, Kind.EXTRA, encrypted=path.endswith(AGE))
    age = match["age"] is not None
    if digest := match["head"]:
        return MemberName(path, Kind.ENCRYPTED_HEAD, digest=digest, encrypted=age)
    if digest := match["database"]:
        return MemberName(path, Kind.DATABASE, digest=digest, encrypted=age)
    table = int(match["table"] or 0) - 1
    if digest := match["schema"]:
        return MemberName(path, Kind.SCHEMA, table, digest=digest, encrypted=age)
    if digest := match["chunk"]:
        return MemberName(path, Kind.CHUNK, table, int(match["number"]), digest, age)
    if match["part"]:
        return MemberName(path, Kind.CATALOG, number=int(match["part"]), encrypted=age)
    return MemberName(path, _FIXED[path.removesuffix(AGE)], encrypted=age)


class MemberOrder:
    """Checks that members follow one another as the format demands; one per pass over them.

    `tables` is how many tables the head plans; `encrypted` says whether members are age files. Set
    both as soon as the head is read.
    """

    def __init__(self, tables: int = 0, *, encrypted: bool = False) -> None:
        self.tables = tables
        self.encrypted = encrypted
        self.members = 0
        self._last: Kind | None = None
        self._schemas = 0
        self._chunks: dict[int, int] = {}
        self._parts = 0
        self._extras: set[str] = set()

    def accept(self, path: str) -> MemberName:
        """Take the next member's name.

        Raises E_PATH_UNSAFE, E_DUPLICATE_MEMBER (a name, chunk or schema seen before) or E_ORDER
        (a gap, a member too early or too late, a table that was not planned, an age file where
        there is none, or none where there is one).
        """
        member = parse_path(path)
        check_form(member, encrypted=self.encrypted)
        match member.kind:
            case Kind.SCHEMA:
                self._schema(member)
            case Kind.CHUNK:
                self._chunk(member)
            case Kind.EXTRA:
                if path in self._extras:
                    raise _duplicate(path)
                self._extras.add(path)
            case Kind.CATALOG:
                self._catalog(member)
            case _:
                if self._last is not None and member.kind <= self._last:
                    raise _duplicate(path)
        self._follow(member)
        self._last = member.kind
        self.members += 1
        return member

    def finish_data(self) -> None:
        """Raise E_ORDER unless everything that must stand before the catalog has been seen."""
        if self._last is None or self._last < Kind.DATABASE or self._schemas != self.tables:
            raise ArchiveError(
                "E_ORDER", f"{self._schemas} of {self.tables} schemas stand before the catalog"
            )

    def _follow(self, member: MemberName) -> None:
        last, kind = self._last, member.kind
        if last is None:
            allowed = kind is Kind.HEAD
        elif kind in _DATA or kind is Kind.CATALOG:
            # An archive without rows goes from the schemas, or the database, to the catalog.
            allowed = (
                Kind.DATABASE <= last <= (Kind.CATALOG if kind is Kind.CATALOG else Kind.EXTRA)
                and self._schemas == self.tables
            )
        else:
            steps = {
                Kind.ENCRYPTED_HEAD: (Kind.HEAD,) if self.encrypted else (),
                Kind.DATABASE: (Kind.ENCRYPTED_HEAD if self.encrypted else Kind.HEAD,),
                Kind.SCHEMA: (Kind.DATABASE, Kind.SCHEMA),
                Kind.SUMS: (Kind.CATALOG,),
                Kind.MANIFEST: (Kind.SUMS,),
                Kind.TRAILER: (Kind.MANIFEST,),
            }
            allowed = last in steps.get(kind, ())
        if not allowed:
            after = "at the start" if last is None else f"after the {last.name.lower()}"
            raise ArchiveError("E_ORDER", f"member {member.path!r} may not stand {after}")

    def _schema(self, member: MemberName) -> None:
        table = member.table or 0
        if 0 <= table < self._schemas:
            raise _duplicate(member.path)
        if table != self._schemas or table >= self.tables:
            raise ArchiveError(
                "E_ORDER",
                f"member {member.path!r} stands where the schema of table {self._schemas + 1} of "
                f"{self.tables} was expected",
            )
        self._schemas += 1

    def _chunk(self, member: MemberName) -> None:
        table, number = member.table or 0, member.number or 0
        if not 0 <= table < self.tables:
            raise ArchiveError("E_ORDER", f"member {member.path!r} belongs to no planned table")
        expected = self._chunks.get(table, 0) + 1
        if 0 < number < expected:
            raise _duplicate(member.path)
        if number != expected:
            raise ArchiveError(
                "E_ORDER", f"member {member.path!r} stands where chunk {expected} was expected"
            )
        self._chunks[table] = number

    def _catalog(self, member: MemberName) -> None:
        number = member.number or 1
        if self._parts and (member.number is None or number <= self._parts):
            raise _duplicate(member.path)
        if number != self._parts + 1:
            raise ArchiveError(
                "E_ORDER", f"member {member.path!r} stands where part {self._parts + 1} belongs"
            )
        self._parts = number


def check_form(member: MemberName, *, encrypted: bool) -> None:
    """Raise E_ORDER for an age file where the archive has none, or none where it has one."""
    if encrypted and not member.encrypted and member.kind not in _NEVER_ENCRYPTED:
        raise ArchiveError(
            "E_ORDER", f"member {member.path!r} is not encrypted; the archive's members are"
        )
    # An extra member may hold what it likes, an age file too.
    age = member.encrypted and member.kind is not Kind.EXTRA
    if not encrypted and (age or member.kind is Kind.ENCRYPTED_HEAD):
        raise ArchiveError(
            "E_ORDER", f"member {member.path!r} is encrypted; the archive's members are not"
        )


def _duplicate(path: str) -> ArchiveError:
    return ArchiveError("E_DUPLICATE_MEMBER", f"member {path!r} stands twice in the archive")
