"""The catalog: one row per member before it, in member order; and the list for ``sha256sum``.

What lives here: `CatalogEntry`, the catalog's Parquet form, the text of SHA256SUMS. Must not know:
where the members are, or how they are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from dbsync.archive.footer import BadParquet, parse_footer
from dbsync.archive.limits import Limits
from dbsync.archive.names import Kind, MemberOrder
from dbsync.archive.pages import scan_pages
from dbsync.errors import ArchiveError

PART_ROWS = 1_000_000
"""Rows of one part; more rows make a catalog in parts."""
_ROW_GROUP_ROWS = 100_000
_SHA256 = re.compile("[0-9a-f]{64}")
SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("size", pa.int64()),
        ("sha256", pa.string()),
        ("table", pa.int32()),
        ("chunk", pa.int32()),
        ("rows", pa.int64()),
        ("arrow_bytes", pa.int64()),
        ("key_min", pa.string()),
        ("key_max", pa.string()),
    ]
)


class CatalogEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One member. From `table` on, set for chunks only; `table` is the folder's number, from 1."""

    path: str
    size: int
    sha256: str
    table: int | None = None
    chunk: int | None = None
    rows: int | None = None
    arrow_bytes: int | None = None
    key_min: str | None = None
    key_max: str | None = None


def encode_catalog(entries: Sequence[CatalogEntry], part_rows: int = PART_ROWS) -> Iterator[bytes]:
    """Yield the catalog's parts, at least one, as Parquet."""
    for start in range(0, max(1, len(entries)), part_rows):
        rows = entries[start : start + part_rows]
        columns = [
            pa.array([getattr(entry, field.name) for entry in rows], field.type) for field in SCHEMA
        ]
        sink = pa.BufferOutputStream()
        with pq.ParquetWriter(
            sink,
            SCHEMA,
            compression="zstd",
            use_dictionary=False,
            column_encoding={
                f.name: "DELTA_BINARY_PACKED" for f in SCHEMA if pa.types.is_integer(f.type)
            },
            write_statistics=False,
            store_schema=False,
            write_page_checksum=True,
        ) as writer:
            writer.write_table(
                pa.Table.from_arrays(columns, schema=SCHEMA), row_group_size=_ROW_GROUP_ROWS
            )
        yield sink.getvalue().to_pybytes()


def decode_catalog(data: bytes | bytearray | memoryview, limits: Limits) -> list[CatalogEntry]:
    """Read one part. Raises E_CATALOG_MISMATCH, E_CHECKSUM or E_LIMIT."""
    try:
        file = _open(memoryview(data), limits)
        entries: list[CatalogEntry] = []
        for batch in file.iter_batches(use_threads=False):
            batch.validate(full=True)
            entries += msgspec.convert(batch.to_pylist(), list[CatalogEntry])
    except BadParquet as error:
        code = "E_CATALOG_MISMATCH" if error.code == "E_SCHEMA_MISMATCH" else error.code
        raise ArchiveError(code, f"the catalog cannot be read: {error}") from error
    except (pa.ArrowException, OSError, ValueError) as error:  # and msgspec.ValidationError
        raise ArchiveError("E_CATALOG_MISMATCH", f"the catalog cannot be read: {error}") from error
    return entries


def _open(view: memoryview, limits: Limits) -> pq.ParquetFile:
    footer = parse_footer(view, limits.max_footer_bytes)
    if footer.rows > limits.max_members:
        raise ArchiveError("E_LIMIT", f"the catalog lists {footer.rows} members")
    if scan_pages(view, footer, limits.max_arrow_bytes).dictionaries:
        raise BadParquet("it is encoded with a dictionary")
    file = pq.ParquetFile(
        pa.BufferReader(pa.py_buffer(view)), pre_buffer=False, schema_depth_limit=2
    )
    if file.schema_arrow != SCHEMA:
        raise BadParquet("its columns are not those of a catalog")
    return file


def check_entries(entries: Iterable[CatalogEntry], tables: int, *, encrypted: bool = False) -> None:
    """Check that the catalog describes a possible archive of `tables` tables.

    Raises what `MemberOrder` raises, and E_CATALOG_MISMATCH for a row that contradicts itself.
    """
    order = MemberOrder(tables, encrypted=encrypted)
    for entry in entries:
        name = order.accept(entry.path)
        if name.kind > Kind.EXTRA:
            raise ArchiveError("E_ORDER", f"the catalog lists {entry.path!r}, which follows it")
        is_chunk = name.kind is Kind.CHUNK
        counts = (entry.rows, entry.arrow_bytes)
        consistent = (
            _SHA256.fullmatch(entry.sha256) is not None
            and entry.size >= 0
            and (name.digest is None or entry.sha256.startswith(name.digest))
            and entry.table == ((name.table or 0) + 1 if is_chunk else None)
            and entry.chunk == (name.number if is_chunk else None)
            and all((n is not None and n >= 0) if is_chunk else n is None for n in counts)
        )
        if not consistent:
            raise ArchiveError(
                "E_CATALOG_MISMATCH", f"the catalog's row for {entry.path!r} contradicts itself"
            )
        if is_chunk and not entry.rows:
            raise ArchiveError("E_ROWCOUNT", f"the catalog gives {entry.path!r} no rows")
    order.finish_data()


def sums_text(members: Iterable[tuple[str, str]]) -> bytes:
    """Write SHA256SUMS for (sha256, path) pairs in member order."""
    return "".join(f"{sha256}  {path}\n" for sha256, path in members).encode("ascii")
