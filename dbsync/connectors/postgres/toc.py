"""Reading the table of contents of a pg_dump custom-format file.

What lives here: `parse`, a strict reader of archive versions 1.14 to 1.16, which pg_dump 14 to 18
write. Must not know: databases, connections, what the entries are for.

The layout is that of PostgreSQL's ``src/bin/pg_dump/pg_backup_archiver.c`` (WriteHead, WriteToc,
WriteInt, WriteStr) and ``pg_backup_custom.c`` (the extra bytes of an entry). An integer is a sign
byte and then its magnitude, least byte first; a string is a length and then its bytes, and a
negative length means that there is none. Everything is read from one buffer with checked bounds:
a file that is cut or malformed raises `TocError`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

OLDEST = (1, 14)
NEWEST = (1, 16)
Section = Literal["none", "pre_data", "data", "post_data"]

_SECTIONS: dict[int, Section] = {1: "none", 2: "pre_data", 3: "data", 4: "post_data"}
_CUSTOM_FORMAT = 1
_MOST_ENTRIES = 10_000_000
_DATE_FIELDS = 7


class TocError(Exception):
    """The file is not a table of contents that this reader understands in full."""


@dataclass(frozen=True)
class Entry:
    """One object of the dump. `catalog` and `oid` name its row in the source's catalogs, or 0."""

    number: int
    catalog: int
    oid: int
    tag: str
    kind: str
    section: Section
    sql: str
    namespace: str | None
    tablespace: str | None
    access_method: str | None
    owner: str | None
    requires: tuple[int, ...]


@dataclass(frozen=True)
class Toc:
    """The whole table of contents, in the order in which the objects can be created."""

    version: tuple[int, int, int]
    server_version: str
    program_version: str
    entries: tuple[Entry, ...]


def parse(data: bytes) -> Toc:
    """Read the head and all entries; what follows them (table data) is not looked at."""
    reader = _Reader(data)
    if reader.take(5) != b"PGDMP":
        raise TocError("not a pg_dump custom-format file")
    major, minor, revision = reader.byte(), reader.byte(), reader.byte()
    if not OLDEST <= (major, minor) <= NEWEST:
        raise TocError(f"archive version {major}.{minor} is not supported")
    reader.int_size = reader.byte()
    offset_size = reader.byte()
    if not (1 <= reader.int_size <= 8 and 1 <= offset_size <= 8):
        raise TocError("the sizes of numbers are out of range")
    if reader.byte() != _CUSTOM_FORMAT:
        raise TocError("not in the custom format")
    if (major, minor) >= (1, 15):
        reader.byte()  # compression algorithm
    else:
        reader.integer()  # compression level
    for _ in range(_DATE_FIELDS):
        reader.integer()
    reader.text()  # database name
    server, program = reader.required_text(), reader.required_text()
    count = reader.integer()
    if not 0 <= count <= _MOST_ENTRIES:
        raise TocError(f"{count} entries are out of range")
    entries = tuple(_entry(reader, (major, minor), offset_size) for _ in range(count))
    if len({entry.number for entry in entries}) != count:
        raise TocError("two entries have the same number")
    return Toc((major, minor, revision), server, program, entries)


def _entry(reader: _Reader, version: tuple[int, int], offset_size: int) -> Entry:
    number = reader.integer()
    if number <= 0:
        raise TocError(f"entry number {number} is out of range")
    reader.integer()  # whether there is a data block
    catalog, oid = reader.number_text(), reader.number_text()
    tag, kind = reader.required_text(), reader.required_text()
    section = _SECTIONS.get(reader.integer())
    if section is None:
        raise TocError(f"entry {number} is in an unknown section")
    sql = reader.text() or ""
    reader.text()  # the statement that drops it
    reader.text()  # the COPY statement
    namespace, tablespace, access_method = reader.text(), reader.text(), reader.text()
    if version >= (1, 16):
        reader.integer()  # relkind
    owner = reader.text()
    reader.text()  # WITH OIDS, always false
    requires: list[int] = []
    while (dependency := reader.text()) is not None:
        requires.append(_number(dependency))
    reader.take(1 + offset_size)  # where the data block is
    return Entry(
        number=number,
        catalog=catalog,
        oid=oid,
        tag=tag,
        kind=kind,
        section=section,
        sql=sql,
        namespace=namespace or None,
        tablespace=tablespace or None,
        access_method=access_method or None,
        owner=owner or None,
        requires=tuple(requires),
    )


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise TocError("a number is malformed")
    return int(text)


class _Reader:
    """A position in the buffer; every read is checked against its end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self.int_size = 4

    def take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._data):
            raise TocError("the file ends too early")
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def byte(self) -> int:
        return self.take(1)[0]

    def integer(self) -> int:
        sign = self.byte()
        if sign not in (0, 1):
            raise TocError("a number is malformed")
        magnitude = int.from_bytes(self.take(self.int_size), "little")
        return -magnitude if sign else magnitude

    def text(self) -> str | None:
        length = self.integer()
        if length < 0:
            return None
        try:
            return self.take(length).decode()
        except UnicodeDecodeError as error:
            raise TocError("a string is not UTF-8") from error

    def required_text(self) -> str:
        text = self.text()
        if text is None:
            raise TocError("a string is missing")
        return text

    def number_text(self) -> int:
        return _number(self.required_text())
