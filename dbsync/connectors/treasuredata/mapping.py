"""Which type of Treasure Data a column gets, and where a table's ``time`` comes from.

What lives here: the Treasure Data column of ``formats/types-v1.md``, and what of a table's
definition does not reach the service. Must not know: what exists there, how values are written.

Choices that need their reasons:

- What has no type here travels as canonical text, with every digit: a number that a double would
  round, a moment, bytes (as ``\\x`` and hexadecimal digits).
- A boolean becomes an int, which queries can count and compare.
- An unsigned 64-bit integer becomes a long, because that is what queries need; the few values
  beyond it are refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from dbsync.connectors.treasuredata.catalog import ENGINE
from dbsync.connectors.treasuredata.names import TIME, column_names
from dbsync.connectors.treasuredata.types import TdType, parse_type, scalar
from dbsync.errors import UsageError
from dbsync.model.schema import Column, Database, Loss, Name, Table, effective_type
from dbsync.model.selection import matches
from dbsync.model.types import LogicalType

_MOMENTS = ("date", "timestamp", "timestamp_tz")


class Sink(msgspec.Struct, frozen=True, kw_only=True):
    """A column of the archive, and the one that it is written to."""

    column: Column
    name: str
    type: TdType
    alias: str | None = None
    """What the column is called in queries, where its own name is none in SQL."""

    @property
    def described(self) -> list[str]:
        """Give its entry in the table's schema."""
        return [self.name, str(self.type), *([self.alias] if self.alias else [])]


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of the columns of one table."""

    sinks: tuple[Sink, ...]
    """Without the column that is stored as ``time`` and nowhere else."""
    time: Column | None
    """The column that gives ``time``; None where one moment stands for all rows."""
    losses: tuple[Loss, ...]
    others: tuple[tuple[str, ...], ...] = ()
    """The entries of further columns of a table that exists, which get no values."""

    @property
    def renamed(self) -> dict[str, str]:
        """Give the columns that are called otherwise than in the archive, but for their case."""
        return {
            sink.column.name: sink.name
            for sink in self.sinks
            if sink.column.name.lower() != sink.name
        }

    @property
    def schema(self) -> list[list[str]]:
        """Give the table's schema as the service takes it."""
        return [sink.described for sink in self.sinks] + [list(other) for other in self.others]


def map_table(
    table: Table, engine: str, time_columns: Mapping[str, str], *, made_at: str = ""
) -> Layout:
    """Decide names, types and ``time`` of a table from an archive of `engine`.

    `time_columns` maps table patterns to columns (`TreasureDataOptions`). Raises `UsageError`
    where the column that they name is missing or holds no time.
    """
    time = time_column(table, time_columns)
    only_time = time is not None and time.type.name == "integer" and time.name.lower() == TIME
    names: dict[str, str] = {}
    losses: list[Loss] = []
    if engine != ENGINE:
        names, losses = column_names(table, time.name if only_time and time is not None else None)
    sinks: list[Sink] = []
    for column in table.columns:
        if only_time and column is time:
            continue
        kind, change = type_of(column, engine)
        if change is not None:
            label = f"column {table.name}.{column.name}"
            losses.append(Loss(object=label, reason=change, severity="changed"))
        alias = table.details.get(f"alias.{column.name}") if engine == ENGINE else None
        name = names.get(column.name, column.name)
        sinks.append(Sink(column=column, name=name, type=kind, alias=alias))
    if not only_time:
        moment = f"the seconds of {time.name}" if time else f"the moment of the archive{made_at}"
        losses.append(
            Loss(
                object=f"table {table.name}",
                reason=f"gets the column time, which every table has here, with {moment}",
                severity="changed",
            )
        )
    return Layout(sinks=tuple(sinks), time=time, losses=tuple(losses))


def time_column(table: Table, time_columns: Mapping[str, str]) -> Column | None:
    """Choose the column that gives ``time``: the one that was named, or integers called so."""
    patterns = sorted(time_columns, key=lambda pattern: pattern == "*")
    named = next((time_columns[p] for p in patterns if matches(p, table.name)), None)
    if named is None:
        found = (c for c in table.columns if c.name.lower() == TIME)
        return next((c for c in found if effective_type(c).name == "integer"), None)
    column = next((c for c in table.columns if c.name == named), None)
    if column is None:
        raise UsageError(
            f"table {table.name} has no column {named!r} to take the time from",
            hint="name tables with --td-time-column TABLE:COLUMN",
        )
    if effective_type(column).name not in ("integer", *_MOMENTS):
        raise UsageError(
            f"column {named} of table {table.name} is {column.type}, which is no time",
            hint="name a column of integers (Unix seconds), dates or timestamps",
        )
    return column


def type_of(column: Column, engine: str) -> tuple[TdType, str | None]:
    """Give the type of a column of an archive of `engine`, and how it differs, if it does."""
    if engine == ENGINE:
        try:
            return parse_type(column.native_type), None
        except ValueError:
            pass
    logical = effective_type(column)
    match logical.name:
        case "string":
            limit = f"{logical} becomes string, of any length" if logical.length else None
            return scalar("string"), limit
        case "integer":
            return _integer(logical)
        case "float":
            return scalar("float" if logical.bits == 32 else "double"), None
        case "boolean":
            return scalar("int"), "boolean becomes int: 1 is true, 0 is false"
        case "binary":
            return scalar("string"), "binary becomes string: \\x and two hexadecimal digits a byte"
        case _:
            reason = f"{logical} becomes string, in canonical text: there is no such type here"
            return scalar("string"), reason


def _integer(logical: LogicalType) -> tuple[TdType, str | None]:
    bits = logical.bits or 64
    small = bits < 32 or (bits == 32 and not logical.unsigned)
    name: Literal["int", "long"] = "int" if small else "long"
    if not logical.unsigned and bits in (32, 64):
        return scalar(name), None
    limit = ", which ends at 9223372036854775807" if bits == 64 else ""
    return scalar(name), f"{logical} becomes {name}{limit}"


def lost_definitions(database: Database, tables: Mapping[Name, str]) -> list[Loss]:
    """List what of the definitions of `tables`, and besides them, does not reach the service."""
    losses = [
        loss
        for table in database.tables
        if table.name in tables
        for loss in _of_table(table, from_here=database.engine == ENGINE)
    ]
    losses += [
        Loss(object=f"sequence {sequence.name}", reason="there are no sequences here")
        for sequence in database.sequences
    ]
    losses += [
        Loss(object=f"{item.kind.lower()} {item.name}", reason="there is no such object here")
        for item in database.native
        if item.covers is None and (item.table is None or item.table in tables)
    ]
    return losses


def _of_table(table: Table, *, from_here: bool) -> Iterator[Loss]:
    of = f"of table {table.name}"
    if table.primary_key is not None:
        columns = ", ".join(table.primary_key.columns)
        yield Loss(object=f"primary key ({columns}) {of}", reason="there are no keys here")
    for key in table.uniques:
        label = key.name or f"({', '.join(key.columns)})"
        yield Loss(object=f"unique constraint {label} {of}", reason="there are no keys here")
    for key in table.foreign_keys:
        label = key.name or f"({', '.join(key.columns)})"
        yield Loss(object=f"foreign key {label} {of}", reason="there are no keys here")
    for check in table.checks:
        label = check.name or check.expression
        yield Loss(object=f"check {label} {of}", reason="there are no constraints here")
    for index in table.indexes:
        yield Loss(object=f"index {index.name} {of}", reason="there are no indexes here")
    if table.comment is not None:
        yield Loss(object=f"comment on table {table.name}", reason="comments are not kept here")
    if from_here:
        return
    required = [c.name for c in table.columns if not c.nullable]
    if required:
        where = f"NOT NULL of {', '.join(required)} {of}"
        yield Loss(object=where, reason="every column may be NULL here")
    for column in table.columns:
        yield from _of_column(column, f"column {table.name}.{column.name}")


def _of_column(column: Column, label: str) -> Iterator[Loss]:
    if column.default is not None:
        yield Loss(object=label, reason=f"default {column.default.value} is not carried")
    if column.generated is not None:
        expression = column.generated.expression
        reason = f"is no longer computed from {expression}; its values are kept"
        yield Loss(object=label, reason=reason)
    if column.identity is not None:
        yield Loss(object=label, reason="no longer numbers itself")
    if column.collation is not None:
        yield Loss(object=label, reason=f"collation {column.collation} is not carried")
    if column.comment is not None:
        yield Loss(object=f"comment on {label}", reason="comments are not kept here")
