"""Results of queries, as the service keeps them: gzipped msgpack in a file, and pieces of it."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import duckdb
import msgspec

from tests.fakes.treasuredata import types

_ROWS = 50_000
_GZIP = 31  # zlib's window bits for a gzip member


@dataclass(frozen=True)
class Stored:
    """One stored result."""

    path: Path
    columns: list[list[str]]
    rows: int
    bytes: int
    etag: str


def store(
    cursor: duckdb.DuckDBPyConnection,
    sql: str,
    path: Path,
    *,
    members: int = 1,
    stop: Callable[[], bool] = lambda: False,
    limit: int | None = None,
) -> Stored:
    """Run a query and write its rows into a file, a batch at a time.

    `members` above 1 makes a gzip of as many members as there are batches of rows, up to that
    number; `limit` writes only the first rows, and `rows` still tells how many there are.
    """
    described = cursor.execute(f"DESCRIBE {sql}").fetchall()
    kinds = [types.in_results(column[1]) for column in described]
    names = [f"c{place}" for place in range(len(kinds))]
    packed = [
        name if kind[1] == column[1] else f"CAST({name} AS {kind[1]})"
        for name, kind, column in zip(names, kinds, described, strict=True)
    ]
    cursor.execute(f"SELECT {', '.join(packed)} FROM ({sql}) AS result({', '.join(names)})")
    encoder = msgspec.msgpack.Encoder()
    gzip = zlib.compressobj(1, zlib.DEFLATED, _GZIP)
    digest = hashlib.md5(usedforsecurity=False)
    rows = written = 0
    with path.open("wb") as file:

        def write(data: bytes) -> None:
            nonlocal written
            file.write(data)
            digest.update(data)
            written += len(data)

        while (batch := cursor.fetchmany(_ROWS)) and not stop():
            kept = batch if limit is None else batch[: max(0, limit - rows)]
            rows += len(batch)
            # An array of rows without its own header is the rows one after the other.
            write(gzip.compress(encoder.encode(kept)[_header(len(kept)) :]))
            if members > 1:
                members -= 1
                write(gzip.flush())
                gzip = zlib.compressobj(1, zlib.DEFLATED, _GZIP)
        write(gzip.flush())
    columns = [[column[0], kind[0]] for column, kind in zip(described, kinds, strict=True)]
    return Stored(path, columns, rows, written, f'"{digest.hexdigest()}"')


def for_duckdb(sql: str) -> str:
    """Return Trino's SQL as DuckDB reads it: array(T) of a cast is T[] there, however nested."""
    sql = sql.strip().rstrip(";")
    # The innermost first; parentheses of a map stand aside meanwhile.
    pattern = re.compile(
        r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|\barray\(([^()'"]+)\)|\bmap\(([^()'"]+)\)""", re.I
    )

    def replaced(match: re.Match[str]) -> str:
        if match[1]:
            return f"{match[1]}[]"
        return f"map\0{match[2]}\1" if match[2] else match[0]

    while (further := pattern.sub(replaced, sql)) != sql:
        sql = further
    return sql.replace("\0", "(").replace("\1", ")")


def _header(rows: int) -> int:
    return 1 if rows < 16 else 3 if rows < 1 << 16 else 5
