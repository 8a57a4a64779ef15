"""Writing made-up rows in tests: one table, by either way, and what the server then holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from dbsync.connectors.base import ChunkId, Counts, TablePlan
from dbsync.connectors.mysql.connection import Session, open_session, parse_url
from dbsync.connectors.mysql.existing import read_tables
from dbsync.connectors.mysql.write import MysqlWriter, OwnTransaction
from dbsync.errors import TargetError
from dbsync.model.schema import Column, Key, Name, Table
from dbsync.model.types import LogicalType, integer, parse_storage, standard_storage
from dbsync.model.values import make_exceptions

INT = integer(32)
TEXT = LogicalType(name="string")
BINARY = LogicalType(name="binary")
NAME = Name(None, "t")


class Literal(str):
    """A value that the column's Arrow type cannot hold, as its text."""


def column(name: str, logical: LogicalType = INT, native: str = "", **more: Any) -> Column:
    """Make a column of an archive."""
    more.setdefault("storage", standard_storage(logical))
    return Column(
        name=name, type=logical, native_type=native, exceptions=f"{name}:exceptions", **more
    )


def source(*columns: Column, key: Sequence[str] = ()) -> Table:
    """Make a table of an archive."""
    return Table(
        name=NAME,
        columns=columns,
        primary_key=Key(columns=tuple(key)) if key else None,
    )


def array(col: Column, values: Sequence[Any]) -> tuple[pa.Array, pa.StructArray | None]:
    """Make the values of a column and their exceptions."""
    odd = [i for i, value in enumerate(values) if isinstance(value, Literal)]
    plain = [None if isinstance(value, Literal) else value for value in values]
    stored = pa.array(plain, parse_storage(col.storage))
    if not odd:
        return stored, None
    texts = [str(values[i]).encode() for i in odd]
    return stored, make_exceptions(len(values), odd, "literal", texts)


def batch(of: Table, rows: Sequence[Sequence[Any]]) -> pa.RecordBatch:
    """Make a batch of rows; a `Literal` becomes an exception."""
    fields: dict[str, pa.Array] = {}
    for position, col in enumerate(of.columns):
        values, odd = array(col, [row[position] for row in rows])
        fields[col.name] = values
        if odd is not None:
            fields[col.exceptions] = odd
    if not fields:
        return pa.RecordBatch.from_struct_array(pa.array([{}] * len(rows), pa.struct([])))
    return pa.record_batch(list(fields.values()), names=list(fields))


@contextmanager
def session(url: str) -> Iterator[Session]:
    """Open a pinned session of a target and close it."""
    opened = open_session(parse_url(url), TargetError)
    try:
        yield opened
    finally:
        opened.close()


def make(url: str, *statements: str) -> None:
    """Run statements as a target does."""
    with session(url) as opened:
        for statement in statements:
            opened.run(statement, "preparing a test")


def query(url: str, sql: str) -> list[tuple[Any, ...]]:
    """Run a query and return its rows."""
    with session(url) as opened:
        return [tuple(row.values()) for row in opened.rows(sql, "looking")]


def write(
    url: str,
    of: Table,
    *chunks: Sequence[Sequence[Any]],
    engine: str = "postgresql",
    halves: bool = True,
    at: Callable[[str], None] = lambda _: None,
    **plan: Any,
) -> list[Counts]:
    """Write chunks into table ``t``, each in two batches; nothing but this one writer is used."""
    given: list[tuple[Session, bool]] = []
    with session(url) as opened:
        target = read_tables(opened, [NAME])[NAME]
        made = TablePlan(source=of, target=NAME, action="append", **plan)
        unit = OwnTransaction(opened, lambda back, broken: given.append((back, broken)))
        counts: list[Counts] = []
        with MysqlWriter(made, target, engine, unit, None) as writer:
            for number, rows in enumerate(chunks):
                half = len(rows) // 2 if halves else 0
                writer.write(batch(of, rows[:half]))
                writer.write(batch(of, rows[half:]))
                at(f"written {number}")
                counts.append(writer.commit(ChunkId(table=NAME, number=number, digest="")))
        assert given == [(opened, False)]
    return counts


def settings(url: str, values: Mapping[str, str]) -> None:
    """Set global variables of the server."""
    make(url, *(f"SET GLOBAL {name} = {value}" for name, value in values.items()))
