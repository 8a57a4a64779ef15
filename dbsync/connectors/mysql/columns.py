"""Columns of a table: from information_schema's facts to the portable model.

What lives here: `Column` with its type, default, identity and generation. Must not know: keys,
native DDL, connections.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from dbsync.connectors.mysql.defaults import classify
from dbsync.connectors.mysql.flavour import Flavour
from dbsync.connectors.mysql.information import RawColumn, RawTable
from dbsync.connectors.mysql.tokens import tokenize
from dbsync.connectors.mysql.types import logical_type, storage_of
from dbsync.model.schema import (
    Column,
    Generated,
    Identity,
    Name,
    Sequence,
    Table,
    exceptions_names,
)

_NEXTVAL = re.compile(r"nextval\(((?:`(?:[^`]|``)+`\.)?`(?:[^`]|``)+`)\)", re.IGNORECASE)
_BITS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}


def read_columns(
    raw: RawTable,
    chosen: Iterable[RawColumn],
    flavour: Flavour,
    database: str,
    *,
    include_schema: bool,
) -> tuple[Column, ...]:
    """Describe the chosen columns of a table of `database`: types always, the rest with
    `include_schema`."""
    columns = list(chosen)
    exceptions = exceptions_names(column.name for column in columns)
    return tuple(
        _column(
            raw, column, exceptions[column.name], flavour, database, include_schema=include_schema
        )
        for column in columns
    )


def _column(
    raw: RawTable,
    column: RawColumn,
    exceptions: str,
    flavour: Flavour,
    database: str,
    *,
    include_schema: bool,
) -> Column:
    logical = logical_type(column.facts, flavour)
    generated = None
    if column.generation is not None:
        stored = "virtual" not in column.extra
        generated = Generated(expression=column.generation, stored=stored)
    described = Column(
        name=column.name,
        type=logical,
        native_type=native_type(column),
        storage=storage_of(logical, column.facts),
        exceptions=exceptions,
        nullable=column.nullable,
        generated=generated,
    )
    if not include_schema:
        return described
    from msgspec.structs import replace

    identity = _identity(raw, column, database)
    numbered = generated is not None or identity is not None
    return replace(
        described,
        default=None if numbered else classify(column.default, logical),
        identity=identity,
        collation=own_collation(raw, column),
        comment=column.comment or None,
    )


def _identity(raw: RawTable, column: RawColumn, database: str) -> Identity | None:
    """Say how a column numbers itself: by itself, or by drawing from a sequence of MariaDB."""
    if column.auto_increment:
        return Identity(kind="autoincrement", sequence=Name(None, raw.name))
    match = _NEXTVAL.fullmatch(column.default or "")
    if match is None:
        return None
    names = [token.identifier or "" for token in tokenize(match[1]) if token.kind == "name"]
    if len(names) > 1 and names[0] != database:
        return None
    return Identity(kind="serial", sequence=Name(None, names[-1]))


def native_type(column: RawColumn) -> str:
    """Give the type as it is declared; JSON, where MariaDB calls it longtext, by its own name."""
    return "json" if column.facts.is_json else column.facts.column_type


def own_collation(raw: RawTable, column: RawColumn) -> str | None:
    """Name a column's collation where it is not the table's; JSON has a fixed one."""
    collation = column.facts.collation
    return None if collation == raw.collation or column.facts.is_json else collation


def read_sequences(raws: dict[str, RawTable], tables: Iterable[Table]) -> list[Sequence]:
    """Give one sequence for each AUTO_INCREMENT column, standing at the next number.

    A position beyond the column's type, which is where ALTER TABLE may put it, is one after the
    type's last number. InnoDB may have given more numbers than the rows of the moment have.
    """
    found: list[Sequence] = []
    for table in tables:
        raw = raws[table.name.name]
        for column in table.columns:
            if column.identity is None or column.identity.kind != "autoincrement":
                continue
            kind = next(c.facts for c in raw.columns if c.name == column.name)
            bits = _BITS.get(kind.data_type, 64) - (0 if kind.unsigned else 1)
            last, following = 2**bits - 1, raw.auto_increment or 1
            found.append(
                Sequence(
                    name=table.name,
                    last_value=min(following, last),
                    is_called=following > last,
                    owner_table=table.name,
                    owner_column=column.name,
                )
            )
    return found
