"""Archives that break one rule each, and two good ones of a later minor version."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import forge
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import samples
from forge import Forge, Member, header_with

from dbsync.archive import encode_chunk
from dbsync.archive.ustar import BLOCK, END_BLOCKS, build_header

FIRST = r"000001/00000001-"
SECOND = r"000001/00000002-"
SCHEMA = r"000001/schema-"


@dataclass(frozen=True)
class Vector:
    """One archive and what a reader must say: ``ok`` or an error name, in either mode.

    An encrypted one is opened with the key in ``identities/<identity>.txt``, or with none.
    """

    name: str
    description: str
    make: Callable[[], bytes]
    random: str
    stream: str
    identity: str | None = None


def forged(edit: Callable[[Forge], object], base: Callable[[], bytes] = samples.base) -> bytes:
    work = Forge(base())
    edit(work)
    return work.build()


def _flip(data: bytes, position: int) -> bytes:
    changed = bytearray(data)
    changed[position] ^= 1
    return bytes(changed)


def _flip_in(archive: bytes, marker: bytes, offset: int = 0) -> bytes:
    return _flip(archive, archive.index(marker) + offset)


def _layout(archive: bytes) -> dict[str, int]:
    """Map each member's path to the offset of its header."""
    offsets: dict[str, int] = {}
    position = 0
    while any(archive[position : position + BLOCK]):
        size = int(archive[position + 124 : position + 135], 8)
        offsets[archive[position : position + 100].rstrip(b"\0").decode()] = position
        position += BLOCK + size + -size % BLOCK
    return offsets


def _offset(archive: bytes, part: str) -> int:
    return next(offset for path, offset in _layout(archive).items() if part in path)


def _parquet(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    settings = {
        "compression": "zstd",
        "use_dictionary": False,
        "store_schema": False,
        "write_page_checksum": True,
        "write_statistics": False,
    }
    pq.write_table(table, sink, **{**settings, **options})
    return sink.getvalue()


# --- the file as a whole


def _cut(before: str, more: int) -> bytes:
    archive = samples.base()
    return archive[: _offset(archive, before) + more]


def _without_end(count: int) -> bytes:
    return samples.base()[:-count]


def _no_manifest() -> bytes:
    archive = samples.base()
    return archive[: _offset(archive, "manifest.json")] + END_BLOCKS


def _foreign_tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        info = tarfile.TarInfo("notes.txt")
        info.size = 5
        tar.addfile(info, io.BytesIO(b"hello"))
    return out.getvalue()


def _appended() -> bytes:
    """What ``tar -r`` makes: another member instead of the end."""
    body = samples.base()[: -len(END_BLOCKS)]
    return body + Member("notes.txt", b"hello").encode(0) + END_BLOCKS


# --- digests


def _flip_member(part: str, offset: int) -> bytes:
    archive = samples.base()
    return _flip(archive, _offset(archive, part) + offset)


def _padding(work: Forge) -> None:
    member = work.members[work.find(FIRST)]
    work.change(FIRST, pad=b"\1" + bytes(-len(member.data) % BLOCK - 1))


def _bad_page(data: bytes) -> bytes:
    column = pq.read_metadata(io.BytesIO(data)).row_group(0).column(0)
    return _flip(data, column.data_page_offset + column.total_compressed_size - 1)


def _no_page_checksum(_: bytes) -> bytes:
    return _parquet(pa.table({"id": pa.array([1, 2, 3])}), write_page_checksum=False)


# --- head


def _head(**fields: Any) -> Callable[[Forge], None]:
    return lambda work: work.document("dbsync.json", lambda head: head.update(fields))


ENCRYPTED = {
    "name": "encryption",
    "message": "chunks are encrypted with age",
    "version": "3.0.0",
}


def _later_minor(work: Forge) -> None:
    """Version 1.7: unknown fields everywhere, an optional feature, an extra member."""
    optional = {"name": "colours", "message": "tables have colours", "version": "9.9"}
    for document in ("dbsync.json", "database-", "schema-"):
        work.document(document, samples.with_json_fields)
    _head(version="1.7", features_optional=[optional])(work)
    work.members.insert(work.find(SECOND), Member("extra/colours/items.json", b'{"items":"blue"}'))
    work.edit_manifest = samples.with_json_fields


# --- names, types, order


def _renamed(path: str) -> Callable[[Forge], None]:
    def edit(work: Forge) -> None:
        work.change(SECOND, path=path)
        entry_fields = {"table": None, "chunk": None, "rows": None, "arrow_bytes": None}
        work.edit_entries = lambda entries: [
            msgspec.structs.replace(e, **entry_fields) if e.path == path else e for e in entries
        ]

    return edit


def _header(**fields: bytes) -> Callable[[Forge], None]:
    def edit(work: Forge) -> None:
        member = work.members[work.find(FIRST)]
        header = header_with(member.path, len(member.data), work.mtime, **fields)
        work.change(FIRST, header=header)

    return edit


def _other_time(work: Forge) -> None:
    member = work.members[work.find(FIRST)]
    work.change(FIRST, header=build_header(member.path, len(member.data), work.mtime + 1))


def _repeat(pattern: str) -> Callable[[Forge], None]:
    return lambda work: work.members.append(work.members[work.find(pattern)])


def _gap(work: Forge) -> None:
    member = work.members[work.find(SECOND)]
    work.change(SECOND, path=member.path.replace("00000002-", "00000003-"))


def _chunk_before_schema(work: Forge) -> None:
    schema = work.members.pop(work.find(SCHEMA))
    work.members.insert(work.find(SECOND), schema)


def _unplanned(work: Forge) -> None:
    member = work.members[work.find(SECOND)]
    path = member.path.replace("tables/000001/00000002", "tables/000002/00000001")
    work.change(SECOND, path=path)


def _no_schema(work: Forge) -> None:
    work.members.pop(work.find(SCHEMA))


# --- catalog and manifest


def _entry(**changes: Any) -> Callable[[Forge], None]:
    """Change the catalog's row of the second chunk."""

    def edit(work: Forge) -> None:
        work.edit_entries = lambda entries: [
            msgspec.structs.replace(e, **changes) if e.chunk == 2 else e for e in entries
        ]

    return edit


def _head_entry(work: Forge) -> None:
    """The catalog gives the head another digest, and the manifest repeats it."""
    work.edit_entries = lambda entries: [
        msgspec.structs.replace(entries[0], sha256="f" * 64), *entries[1:]
    ]


def _lists_itself(work: Forge) -> None:
    work.edit_entries = lambda entries: [
        *entries, forge.CatalogEntry(path="catalog.parquet", size=10, sha256="f" * 64)
    ]  # fmt: skip


def _only_head(work: Forge) -> None:
    work.members = [m for m in work.members if not m.path.startswith("tables/")]


def _no_rows() -> bytes:
    return _parquet(pa.table({"id": pa.array([], pa.int64())}))


def _forgotten(work: Forge) -> None:
    work.edit_entries = lambda entries: [e for e in entries if e.chunk != 2]


def _manifest(edit: Callable[[dict[str, Any]], object]) -> Callable[[Forge], None]:
    def change(work: Forge) -> None:
        def apply(manifest: dict[str, Any]) -> None:
            edit(manifest)

        work.edit_manifest = apply

    return change


def _one_more_row(manifest: dict[str, Any]) -> None:
    manifest["tables"][0]["rows"] += 1
    manifest["rows"] += 1


def _trailer(**changes: Any) -> Callable[[Forge], None]:
    def edit(work: Forge) -> None:
        work.edit_trailer = lambda trailer: forge.replace(trailer, **changes)

    return edit


def _foreign_catalog() -> bytes:
    """A catalog that is another Parquet file, with every digest right."""
    work = Forge(samples.base())
    original = forge.encode_catalog
    other = _parquet(pa.table({"path": ["dbsync.json"]}))
    forge.encode_catalog = lambda *_: iter([other])
    try:
        return work.build()
    finally:
        forge.encode_catalog = original


# --- chunks


def _chunk(data: bytes) -> Callable[[Forge], None]:
    return lambda work: work.content(FIRST, lambda _: data)


def _other_type() -> bytes:
    return _parquet(pa.table({"id": pa.array([1, 2, 3], pa.int32())}))


def _other_codec() -> bytes:
    return _parquet(pa.table({"id": pa.array([1, 2, 3])}), compression="snappy")


def _wrong_rows(work: Forge) -> None:
    """The first chunk really has four rows; catalog and manifest say three."""
    rows = samples.batch(samples.ITEMS, [1, 2, 3, 4])
    work.content(FIRST, lambda _: encode_chunk(samples.ITEMS, [rows]).data.to_pybytes())
    work.edit_entries = lambda entries: [
        msgspec.structs.replace(e, rows=3) if e.chunk == 1 else e for e in entries
    ]


def _bomb() -> bytes:
    """A dictionary of one value of a MiB, used 2,100 times: two gigabytes from three kilobytes."""
    text = pa.DictionaryArray.from_arrays(
        pa.array([0] * 2_100, pa.int32()), pa.array(["x" * 2**20])
    )
    return _parquet(pa.table({"text": text}), use_dictionary=True)


def _bomb_archive() -> bytes:
    rows = samples.batch(samples.NOTES, ["x"])
    work = Forge(samples.archive(samples.database(samples.NOTES), [(0, [rows])]))
    work.content(FIRST, lambda _: _bomb())
    return work.build()


def _invalid_text(work: Forge) -> None:
    text = pa.array([b"\xff\xfe"]).view(pa.string())
    work.content(FIRST, lambda _: _parquet(pa.table({"text": text})))


def _notes() -> bytes:
    rows = samples.batch(samples.NOTES, ["x"])
    return samples.archive(samples.database(samples.NOTES), [(0, [rows])])


def _storage(table: dict[str, Any]) -> None:
    table["columns"][0]["storage"] = "list<int64>"


def _other_table(table: dict[str, Any]) -> None:
    table["name"]["name"] = "others"


def _other_source(database: dict[str, Any]) -> None:
    database["engine"] = "mysql"


def vectors() -> list[Vector]:
    """List every vector: the good ones, then the bad ones by error name."""
    good = [
        Vector(name, text, make, "ok", "ok") for name, (make, text) in samples.GOOD.items()
    ]
    good.append(
        Vector(
            "minor-version", "version 1.7 with unknown fields, an unknown optional feature and an "
            "extra member", partial(forged, _later_minor), "ok", "ok",
        )  # fmt: skip
    )
    return good + [_bad(*row) for row in _ROWS]


def _bad(
    code: str,
    name: str,
    description: str,
    make: Callable[[], bytes] | Callable[[Forge], object],
    stream: str | None = None,
) -> Vector:
    build = make if name in _WHOLE else partial(forged, make)  # type: ignore[arg-type]
    return Vector(name, description, build, code, stream or code)  # type: ignore[arg-type]


_FILES: list[tuple[Any, ...]] = [
    ("E_NOT_ARCHIVE", "not-archive-empty", "no bytes at all", bytes),
    ("E_NOT_ARCHIVE", "not-archive-text", "some text", lambda: b"-- a dump\nSELECT 1;\n" * 100),
    ("E_NOT_ARCHIVE", "not-archive-foreign-tar", "a tar of something else", _foreign_tar),
    ("E_NOT_ARCHIVE", "not-archive-gzip", "an archive inside gzip",
     lambda: gzip.compress(samples.base(), mtime=0)),
    ("E_TRUNCATED", "truncated-head", "cut inside the head", lambda: samples.base()[:700]),
    ("E_TRUNCATED", "truncated-chunk", "cut inside a chunk", lambda: _cut("00000002-", 800)),
    ("E_TRUNCATED", "truncated-between-members", "cut before the second chunk",
     lambda: _cut("00000002-", 0)),
    ("E_TRUNCATED", "truncated-trailer", "cut before the trailer",
     lambda: _cut("trailer.txt", 0)),
    ("E_TRUNCATED", "truncated-end-block", "the last zero block is missing",
     lambda: _without_end(BLOCK)),
    ("E_INCOMPLETE", "incomplete-no-manifest", "ends in order, but before the manifest",
     _no_manifest),
    ("E_TRAILING_DATA", "trailing-zeros", "padded with zero blocks, as GNU tar does",
     lambda: samples.base() + bytes(4 * BLOCK)),
    ("E_TRAILING_DATA", "trailing-archive", "two archives, one behind the other",
     lambda: samples.base() * 2),
    ("E_TRAILING_DATA", "trailing-member", "a member appended with tar -r", _appended),
    ("E_TRAILING_DATA", "trailing-byte", "one byte too many", lambda: samples.base() + b"\n"),
    ("E_CHECKSUM", "checksum-head", "a bit flipped in the head",
     lambda: _flip_in(samples.base(), b'"dbsync vectors"', 3)),
    ("E_CHECKSUM", "checksum-database", "a bit flipped in the database document",
     lambda: _flip_member("database-", BLOCK + 20)),
    ("E_CHECKSUM", "checksum-schema", "a bit flipped in a schema",
     lambda: _flip_member("schema-", BLOCK + 40)),
    ("E_CHECKSUM", "checksum-chunk", "a bit flipped in a chunk",
     lambda: _flip_member("00000002-", BLOCK + 10)),
    ("E_CHECKSUM", "checksum-header", "a bit flipped in a tar header",
     lambda: _flip_member("00000002-", 130)),
    ("E_CHECKSUM", "checksum-catalog", "a bit flipped in the catalog",
     lambda: _flip_member("catalog.parquet", BLOCK + 60)),
    ("E_CHECKSUM", "checksum-sums", "a bit flipped in SHA256SUMS",
     lambda: _flip_member("SHA256SUMS", BLOCK + 5)),
    ("E_CHECKSUM", "checksum-manifest", "a digit changed in the manifest",
     lambda: _flip_in(samples.base(), b'"finished": "2026', 16)),
    ("E_TRAILER_INVALID", "trailer-flipped", "a bit flipped in the trailer",
     lambda: _flip_in(samples.base(), b"archive_size 0", 13)),
    ("E_CATALOG_MISMATCH", "catalog-foreign", "the catalog is another Parquet file",
     _foreign_catalog),
    ("E_LIMIT", "limit-dictionary-bomb", "two gigabytes from a dictionary page", _bomb_archive),
    ("E_SCHEMA_MISMATCH", "schema-invalid-text", "text that is not UTF-8",
     lambda: forged(_invalid_text, _notes)),
]  # fmt: skip

_FORGED: list[tuple[Any, ...]] = [
    ("E_CHECKSUM", "checksum-padding", "padding that is not zero", _padding),
    ("E_CHECKSUM", "checksum-page", "a damaged page under digests that fit",
     lambda work: work.content(FIRST, _bad_page)),
    ("E_CHECKSUM", "checksum-page-missing", "pages without checksums",
     lambda work: work.content(FIRST, _no_page_checksum)),
    ("E_NOT_ARCHIVE", "not-archive-format", "the head names another format",
     _head(format="other")),
    ("E_VERSION_UNSUPPORTED", "version-major", "major version 2", _head(version="2.0")),
    ("E_FEATURE_UNSUPPORTED", "feature-required", "a required feature that nobody knows",
     _head(features_required=[ENCRYPTED])),
    ("E_JSON", "json-head", "a head without tables",
     lambda work: work.document("dbsync.json", lambda head: head.pop("tables"))),
    ("E_JSON", "json-version", "a version that is no version", _head(version="one")),
    ("E_JSON", "json-schema", "a schema that is cut off",
     lambda work: work.content(SCHEMA, lambda data: data[:-10])),
    ("E_JSON", "json-nested", "a document nested very deeply",
     lambda work: work.content(SCHEMA, lambda data: b'{"x":' + b"[" * 2_000)),
    ("E_JSON", "json-manifest", "a manifest with a negative count",
     _manifest(lambda m: m.update(members=-1))),
    ("E_PATH_UNSAFE", "path-absolute", "an absolute path", _renamed("/etc/cron.d/x")),
    ("E_PATH_UNSAFE", "path-parent", "a path out of the folder", _renamed("tables/../../x")),
    ("E_PATH_UNSAFE", "path-backslash", "a path for another system", _renamed("tables\\x")),
    ("E_PATH_UNSAFE", "path-hidden", "a hidden file", _renamed("extra/.bashrc")),
    ("E_PATH_UNSAFE", "path-prefix", "a header with a prefix", _header(prefix=b"..")),
    ("E_MEMBER_TYPE", "type-symlink", "a symbolic link",
     _header(typeflag=b"2", linkname=b"/etc/passwd")),
    ("E_MEMBER_TYPE", "type-hard-link", "a hard link", _header(typeflag=b"1", linkname=b"x")),
    ("E_MEMBER_TYPE", "type-device", "a device", _header(typeflag=b"3")),
    ("E_MEMBER_TYPE", "type-folder", "a folder", _header(typeflag=b"5")),
    ("E_MEMBER_TYPE", "type-pax", "a pax header", _header(typeflag=b"x")),
    ("E_MEMBER_TYPE", "type-mode", "a file with the setuid bit", _header(mode=b"0004755")),
    ("E_CATALOG_MISMATCH", "type-time", "a header with another time", _other_time,
     "E_MEMBER_TYPE"),
    ("E_DUPLICATE_MEMBER", "duplicate-chunk", "a chunk twice", _repeat(FIRST)),
    ("E_DUPLICATE_MEMBER", "duplicate-schema", "a schema twice", _repeat(SCHEMA)),
    ("E_DUPLICATE_MEMBER", "duplicate-head", "a head twice", _repeat("dbsync.json")),
    ("E_ORDER", "order-gap", "chunk 3 follows chunk 1", _gap),
    ("E_ORDER", "order-chunk-first", "a chunk before its schema", _chunk_before_schema),
    ("E_ORDER", "order-no-schema", "a planned table without a schema", _no_schema),
    ("E_ORDER", "order-no-schema-no-rows", "neither schema nor rows of a planned table",
     _only_head),
    ("E_ORDER", "order-catalog", "a catalog that lists itself", _lists_itself),
    ("E_ORDER", "order-unplanned", "a chunk of a table that the head does not plan", _unplanned),
    ("E_ORDER", "order-unknown", "a member that version 1 does not have", _renamed("notes.txt")),
    ("E_CATALOG_MISMATCH", "catalog-size", "the catalog gives a chunk another size",
     _entry(size=10)),
    ("E_CATALOG_MISMATCH", "catalog-digest", "the catalog gives a chunk another digest",
     _entry(sha256="0" * 64)),
    ("E_CATALOG_MISMATCH", "catalog-number", "the catalog gives a chunk another number",
     _entry(chunk=9)),
    ("E_CATALOG_MISMATCH", "catalog-head", "the catalog gives the head another digest",
     _head_entry),
    ("E_CATALOG_MISMATCH", "catalog-missing", "the catalog leaves a chunk out", _forgotten),
    ("E_CATALOG_MISMATCH", "manifest-chunks", "the manifest counts another number of chunks",
     _manifest(lambda m: m.update(chunks=7))),
    ("E_CATALOG_MISMATCH", "manifest-other", "the manifest of another archive",
     _manifest(lambda m: m.update(archive_id="another"))),
    ("E_ROWCOUNT", "rowcount-manifest", "the manifest counts another number of rows",
     _manifest(_one_more_row)),
    ("E_ROWCOUNT", "rowcount-total", "the manifest's total is another number of rows",
     _manifest(lambda m: m.update(rows=6))),
    ("E_ROWCOUNT", "rowcount-zero", "a chunk without rows", _chunk(_no_rows())),
    ("E_ROWCOUNT", "rowcount-chunk", "a chunk has another number of rows than the catalog says",
     _wrong_rows),
    ("E_SCHEMA_MISMATCH", "schema-type", "a chunk's column has another type",
     _chunk(_other_type())),
    ("E_SCHEMA_MISMATCH", "schema-codec", "a chunk that is not compressed with zstd",
     _chunk(_other_codec())),
    ("E_SCHEMA_MISMATCH", "schema-not-parquet", "a chunk that is not Parquet",
     _chunk(b"id\n1\n2\n3\n")),
    ("E_SCHEMA_MISMATCH", "schema-storage", "a storage type outside the list",
     lambda work: work.document(SCHEMA, _storage)),
    ("E_SCHEMA_MISMATCH", "schema-other-table", "the schema of a table that was not planned",
     lambda work: work.document(SCHEMA, _other_table)),
    ("E_SCHEMA_MISMATCH", "schema-other-source", "head and database name different engines",
     lambda work: work.document("database-", _other_source)),
    ("E_TRAILER_INVALID", "trailer-offset", "the trailer points elsewhere",
     _trailer(manifest_offset=1536)),
    ("E_TRAILER_INVALID", "trailer-other", "the trailer of another archive",
     _trailer(archive_id="another")),
    ("E_CHECKSUM", "trailer-digest", "the trailer gives the manifest another digest",
     _trailer(manifest_sha256="f" * 64)),
    ("E_TRUNCATED", "trailer-size", "the trailer speaks of a longer archive",
     _trailer(archive_size=1 << 40), "E_TRAILER_INVALID"),
]  # fmt: skip
_ROWS = _FILES + _FORGED
_WHOLE = {row[1] for row in _FILES}
