"""Portable DDL for PostgreSQL: the steps that make an archive's tables without its native DDL.

What lives here: the choice of names and references for all tables together. Must not know: how
steps are run, native objects of an archive (`replay`), how types are chosen (`column_types`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec.structs import replace

from dbsync.connectors.base import Stage
from dbsync.connectors.portable import PortableTable, Rules, Statement, portable_table
from dbsync.connectors.postgres.column_types import ColumnTypes
from dbsync.connectors.postgres.connection import quote_name
from dbsync.connectors.postgres.mapping import FUNCTIONS, literal_default
from dbsync.connectors.postgres.names import (
    FreeNames,
    fitting,
    refuse_long_name,
    refuse_long_names,
)
from dbsync.connectors.postgres.positions import named_sequences
from dbsync.connectors.postgres.session import Asks
from dbsync.connectors.postgres.steps import SchemaSteps, Step, schema_steps
from dbsync.model.schema import (
    Column,
    Database,
    ForeignKey,
    IndexColumn,
    Key,
    Loss,
    Name,
    Sequence,
    Table,
)

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import Dialect

_STAGES: dict[str, Stage] = {
    "unique": "constraints",
    "index": "indexes",
    "foreign_key": "foreign_keys",
    "comment": "objects",
}
_WHOLE = ("smallint", "integer", "bigint")


def portable_steps(
    asks: Asks,
    database: Database,
    create: Mapping[Name, Name],
    known: Mapping[Name, Name],
    sequences: Mapping[Name, Name],
) -> SchemaSteps:
    """Plan the DDL for the tables of `create` (name in the archive to name on the target).

    `known` are all tables that foreign keys may refer to and `sequences` the archive's sequences,
    in the same form. Reads the target, changes nothing. Raises `LossError` for a name
    that PostgreSQL cannot hold.
    """
    return _Portable(asks, database, create, known, sequences).steps()


class _Portable:
    """The portable DDL of one import."""

    def __init__(
        self,
        asks: Asks,
        database: Database,
        create: Mapping[Name, Name],
        known: Mapping[Name, Name],
        sequences: Mapping[Name, Name],
    ):
        self._sequence_names = sequences
        self._database = database
        self._create = create
        self._known = known
        self._tables = [t for t in database.tables if t.name in create]
        for table in self._tables:
            refuse_long_names(table, create[table.name])
        self._native = database.engine == "postgresql"
        self._sequences = {s.name: s for s in database.sequences}
        self._alone = self._standalone_sequences(asks)
        version = asks.rows("SELECT current_setting('server_version_num')::int AS number")
        self._nulls_not_distinct = version[0]["number"] >= 150_000
        for sequence in self._alone:
            refuse_long_name(f"sequence {sequence.name}", sequences[sequence.name].name)
        named = [*create.values(), *(sequences[s.name] for s in self._alone)]
        schemas = {name.schema or "public" for name in named}
        self._schemas = schema_steps(asks, schemas)
        self._free = FreeNames(asks, schemas, named)
        self._types = ColumnTypes(asks, self._tables, create, self._free, native=self._native)
        self._losses: list[Loss] = []

    def steps(self) -> SchemaSteps:
        made = [self._table(table) for table in self._tables]
        after = [statement for one in made for statement in one.rest]
        # Every key is there before the first foreign key that needs it.
        order = ("unique", "index", "foreign_key", "comment")
        after.sort(key=lambda statement: order.index(statement.kind))
        for one in made:
            self._losses += one.losses
        self._losses += self._native_losses()
        return SchemaSteps(
            before=(
                *self._schemas,
                *self._types.steps,
                *(_sequence_step(s, self._sequence_names[s.name]) for s in self._alone),
                *(_step(one.create, "create") for one in made),
            ),
            after=tuple(_step(statement, _STAGES[statement.kind]) for statement in after),
            losses=tuple(self._losses),
        )

    def _lose(self, what: str, reason: str) -> None:
        self._losses.append(Loss(object=what, reason=reason, severity="changed"))

    # Tables

    def _table(self, table: Table) -> PortableTable:
        target = self._create[table.name]
        texts: dict[str, tuple[str, str | None]] = {}
        columns: list[Column] = []
        for column in table.columns:
            text, change = self._types.text(table, column)
            label = f"column {table.name}.{column.name}"
            if column.collation in self._types.collations:
                text += f" COLLATE {column.collation}"
                column = replace(column, collation=None)  # noqa: PLW2901
            if column.identity is not None and text not in _WHOLE:
                self._lose(label, f"does not number itself: its type here is {text}")
                column = replace(column, identity=None)  # noqa: PLW2901
            texts[column.name] = (text, change)
            columns.append(column)
        if "partition_key" in table.details:
            self._lose(f"table {table.name}", "becomes one table without partitions")
        made = replace(
            self._renamed(table, target),
            columns=tuple(columns),
            foreign_keys=tuple(self._good_references(table)),
        )
        return portable_table(made, target, self._rules(texts))

    def _rules(self, texts: Mapping[str, tuple[str, str | None]]) -> Rules:
        return Rules(
            dialect=_dialect(),
            type_text=lambda column: texts[column.name],
            literal=literal_default,
            refers=self._known.get,
            functions=FUNCTIONS,
            sequences=self._sequences,
            nulls_not_distinct=self._nulls_not_distinct,
        )

    def _renamed(self, table: Table, target: Name) -> Table:
        """Give keys and indexes names that are free: here they share one space with tables."""
        primary = table.primary_key
        if primary is not None:
            primary = self._named(table, primary, target, f"{target.name}_pkey")
        uniques = tuple(
            self._named(table, key, target, f"{target.name}_{'_'.join(key.columns)}_key")
            for key in table.uniques
        )
        indexes = [
            index for index in table.indexes if self._indexable(table, index.name, index.columns)
        ]
        for position, index in enumerate(indexes):
            name = self._free.take(target.schema, index.name)
            if name != index.name:
                self._lose(f"index {index.name} of table {table.name}", f"is named {name} here")
                indexes[position] = replace(index, name=name)
        checks = tuple(
            replace(check, name=fitting(check.name)) if check.name else check
            for check in table.checks
        )
        return replace(
            table, primary_key=primary, uniques=uniques, indexes=tuple(indexes), checks=checks
        )

    def _named(self, table: Table, key: Key, target: Name, usual: str) -> Key:
        name = self._free.take(target.schema, key.name or usual)
        if key.name is not None and name != key.name:
            self._lose(f"constraint {key.name} of table {table.name}", f"is named {name} here")
        return replace(key, name=name)

    def _indexable(self, table: Table, name: str, parts: tuple[IndexColumn, ...]) -> bool:
        """Say whether an index can be built, which needs an order of its columns' types."""
        names = {part.column for part in parts}
        unordered = [c.name for c in table.columns if c.name in names and c.type.name == "json"]
        if unordered:
            self._losses.append(
                Loss(
                    object=f"index {name} of table {table.name}",
                    reason=f"column {unordered[0]} is json, which has no order here",
                )
            )
        return not unordered

    def _good_references(self, table: Table) -> list[ForeignKey]:
        """Leave out references that this server would refuse whatever the rows are."""
        good: list[ForeignKey] = []
        for key in table.foreign_keys:
            reason = self._wrong_reference(table, key)
            if reason is None:
                name = fitting(key.name) if key.name else None
                good.append(replace(key, name=name))
            else:
                label = key.name or f"({', '.join(key.columns)})"
                self._losses.append(
                    Loss(object=f"foreign key {label} of table {table.name}", reason=reason)
                )
        return good

    def _wrong_reference(self, table: Table, key: ForeignKey) -> str | None:
        if key.referred not in self._create:
            return None  # another part of `known`, or reported where the statement is written
        referred = self._database.table(key.referred)
        wanted = set(key.referred_columns)
        keys = [set(k.columns) for k in (referred.primary_key, *referred.uniques) if k]
        keys += [
            {c.column or "" for c in index.columns}
            for index in referred.indexes
            if index.unique and index.portable
        ]
        if wanted not in keys:
            return f"columns {', '.join(key.referred_columns)} of {referred.name} are not unique"
        for own, other in zip(key.columns, key.referred_columns, strict=True):
            try:
                mine, theirs = table.column(own), referred.column(other)
            except KeyError:
                return "not all of its columns are in the archive"
            pair = (self._types.text(table, mine)[0], self._types.text(referred, theirs)[0])
            if not _comparable(*pair):
                return f"column {own} is {pair[0]} and {referred.name}.{other} is {pair[1]} here"
        return None

    # What no table holds

    def _standalone_sequences(self, asks: Asks) -> list[Sequence]:
        """List the sequences to be made: the others come with identity columns, or are there."""
        there = {s.name for s in named_sequences(asks, self._sequence_names.values())}
        used = {
            c.identity.sequence for t in self._tables for c in t.columns if c.identity is not None
        }
        return [
            s
            for s in self._database.sequences
            if s.owner_table is None
            and s.name not in used
            and self._sequence_names[s.name] not in there
        ]

    def _native_losses(self) -> list[Loss]:
        """Name every object that only native DDL could make."""
        enums = self._types.enums
        return [
            Loss(
                object=f"{item.kind.lower()} {item.name}",
                reason="only native DDL can create it",
            )
            for item in self._database.native
            if item.covers is None
            and item.kind.upper() not in ("SCHEMA", "COMMENT", "ENCODING", "STDSTRINGS")
            and not (item.kind.upper() == "TYPE" and item.name.name in enums)
            and (item.table is None or item.table in self._create)
        ]


def _step(statement: Statement, stage: Stage) -> Step:
    return Step(stage=stage, label=statement.object, sql=statement.sql)


def _sequence_step(sequence: Sequence, name: Name) -> Step:
    limits = "".join(
        f" {word} {value}"
        for word, value in (("MINVALUE", sequence.minimum), ("MAXVALUE", sequence.maximum))
        if value is not None
    )
    kind = sequence.data_type if sequence.data_type in _WHOLE else "bigint"
    return Step(
        stage="create",
        label=f"sequence {name}",
        sql=(
            f"CREATE SEQUENCE {quote_name(name.schema, name.name)} AS {kind} "
            f"INCREMENT {sequence.increment}{limits} START {sequence.start} "
            f"CACHE {max(1, sequence.cache)}{' CYCLE' if sequence.cycle else ''}"
        ),
    )


def _dialect() -> Dialect:
    from sqlalchemy.dialects.postgresql.base import PGDialect

    return PGDialect(paramstyle="named")


def _comparable(own: str, other: str) -> bool:
    """Say whether a foreign key between these types has an equality to use."""
    own, other = (text.partition(" COLLATE ")[0].partition("(")[0] for text in (own, other))
    if own == other or (own in _WHOLE and other in (*_WHOLE, "numeric")):
        return True
    words = ("text", "varchar", "character varying")
    return own in words and other in words
