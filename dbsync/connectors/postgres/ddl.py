"""Portable DDL for PostgreSQL: the steps that make an archive's tables without its native DDL.

What lives here: `Step`, and the choice of names, types and references for all tables together.
Must not know: how steps are run, native objects of an archive (`replay`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from dbsync.connectors.base import Stage
from dbsync.connectors.portable import PortableTable, Rules, Statement, portable_table
from dbsync.connectors.postgres.connection import quote_literal, quote_name
from dbsync.connectors.postgres.mapping import (
    FUNCTIONS,
    effective_type,
    literal_default,
    type_text,
)
from dbsync.connectors.postgres.names import FreeNames, fitting, last_part, refuse_long_names
from dbsync.connectors.postgres.session import Asks
from dbsync.errors import TargetError
from dbsync.model.schema import Column, Database, ForeignKey, Key, Loss, Name, Sequence, Table
from dbsync.model.types import LogicalType

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import Dialect

_STAGES: dict[str, Stage] = {
    "unique": "constraints",
    "index": "indexes",
    "foreign_key": "foreign_keys",
    "comment": "objects",
}
_WHOLE = ("smallint", "integer", "bigint")


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One change of the schema. `label` is unique within an import: the ledger's key.

    `keeps_existing`: where the object is there already, it stays as it is and the step is done.
    """

    stage: Stage
    label: str
    sql: str
    keeps_existing: bool = False


class SchemaSteps(msgspec.Struct, frozen=True, kw_only=True):
    """What is made before the rows and after them, in order, and what is not made."""

    before: tuple[Step, ...] = ()
    after: tuple[Step, ...] = ()
    losses: tuple[Loss, ...] = ()


def portable_steps(
    asks: Asks,
    database: Database,
    create: Mapping[Name, Name],
    known: Mapping[Name, Name],
    sequences: Mapping[Name, Name],
) -> SchemaSteps:
    """Plan the DDL for the tables of `create` (name in the archive to name on the target).

    `known` are all tables that foreign keys may refer to and `sequences` the archive's sequences,
    in the same form. Reads the target, changes nothing. Raises `LossError` for a
    name that PostgreSQL cannot hold.
    """
    return _Portable(asks, database, create, known, sequences).steps()


def schema_steps(asks: Asks, schemas: set[str]) -> list[Step]:
    """Plan the schemas that are not there yet. Raises `TargetError` without the right to."""
    listed = ", ".join(quote_literal(schema) for schema in sorted(schemas))
    found = {
        row["name"]: row["may_create"]
        for row in asks.rows(
            "SELECT nspname AS name, has_schema_privilege(oid, 'CREATE') AS may_create "
            f"FROM pg_namespace WHERE nspname IN ({listed or 'NULL'})"
        )
    }
    for name, may_create in found.items():
        if not may_create:
            raise TargetError(
                f"this role may not create tables in schema {name}",
                hint=f"GRANT CREATE ON SCHEMA {quote_name(name)} to it, or choose another --schema",
            )
    missing = sorted(schemas - found.keys())
    if missing and not asks.rows(
        "SELECT 1 AS ok WHERE has_database_privilege(current_database(), 'CREATE')"
    ):
        raise TargetError(
            f"schema {missing[0]} does not exist and this role may not create schemas",
            hint="GRANT CREATE ON DATABASE to it, or choose an existing one with --schema",
        )
    return [
        Step(stage="create", label=f"schema {name}", sql=f"CREATE SCHEMA {quote_name(name)}")
        for name in missing
    ]


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
        schemas = {name.schema or "public" for name in create.values()}
        self._schemas = schema_steps(asks, schemas)
        self._free = FreeNames(asks, schemas, create.values())
        self._native = database.engine == "postgresql"
        self._there = self._existing_types(asks) if self._native else frozenset[str]()
        self._collations = self._existing_collations(asks) if self._native else frozenset[str]()
        self._enums: dict[tuple[str, LogicalType], str] = {}
        self._enum_steps: list[Step] = []
        self._losses: list[Loss] = []
        self._sequences = {s.name: s for s in database.sequences}

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
                *self._enum_steps,
                *self._standalone_sequences(),
                *(_step(one.create, "create") for one in made),
            ),
            after=tuple(_step(statement, _STAGES[statement.kind]) for statement in after),
            losses=tuple(self._losses),
        )

    def _lose(self, what: str, reason: str) -> None:
        self._losses.append(Loss(object=what, reason=reason, severity="changed"))

    # Types

    def _existing_types(self, asks: Asks) -> frozenset[str]:
        """Find which native types of the archive the target has: they are used as they are."""
        # An enum of the same name may have other labels, so enums are always made anew.
        texts = {c.native_type for t in self._tables for c in t.columns if not _holds_enum(c.type)}
        return _known(asks, texts, "to_regtype")

    def _existing_collations(self, asks: Asks) -> frozenset[str]:
        texts = {c.collation for t in self._tables for c in t.columns if c.collation}
        return _known(asks, texts, "to_regcollation")

    def _type_text(self, table: Table, column: Column) -> tuple[str, str | None]:
        if column.native_type in self._there:
            return column.native_type, None
        logical = effective_type(column)
        text, change = type_text(logical, lambda enum: self._enum(table, column, enum))
        if logical.name in ("native", "array") and text == "text":
            change = f"type {column.native_type} becomes text"
        elif self._native and change is None and logical.name not in ("enum", "array"):
            change = f"type {column.native_type} becomes {text}"
        return text, change

    def _enum(self, table: Table, column: Column, logical: LogicalType) -> str | None:
        """Name the type made for an enum, and plan it the first time."""
        fits = all(len(label.encode()) <= 63 and "\0" not in label for label in logical.labels)
        if not logical.labels or not fits or len(set(logical.labels)) < len(logical.labels):
            return None
        own = last_part(column.native_type.removesuffix("[]")) if self._native else None
        key = (own or f"{table.name} {column.name}", logical)
        if key not in self._enums:
            schema = self._create[table.name].schema
            name = self._free.take(schema, own or f"{table.name.name}_{column.name}")
            labels = ", ".join(quote_literal(label) for label in logical.labels)
            self._enums[key] = quote_name(schema, name)
            self._enum_steps.append(
                Step(
                    stage="create",
                    label=f"type {schema}.{name}",
                    sql=f"CREATE TYPE {self._enums[key]} AS ENUM ({labels})",
                )
            )
        return self._enums[key]

    # Tables

    def _table(self, table: Table) -> PortableTable:
        target = self._create[table.name]
        texts: dict[str, tuple[str, str | None]] = {}
        columns: list[Column] = []
        for column in table.columns:
            text, change = self._type_text(table, column)
            label = f"column {table.name}.{column.name}"
            if column.collation in self._collations:
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

    def _indexable(self, table: Table, name: str, parts: object) -> bool:
        """Say whether an index can be built, which needs an order of its columns' types."""
        names = {getattr(part, "column", None) for part in parts}  # pyright: ignore
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
            pair = (self._type_text(table, mine)[0], self._type_text(referred, theirs)[0])
            if not _comparable(*pair):
                return f"column {own} is {pair[0]} and {referred.name}.{other} is {pair[1]} here"
        return None

    # What no table holds

    def _standalone_sequences(self) -> list[Step]:
        steps: list[Step] = []
        for sequence in self._database.sequences:
            if sequence.owner_table is not None or not self._native:
                continue
            # What is handed out by one column's default belongs to that column's identity here.
            if any(
                c.identity is not None and c.identity.sequence == sequence.name
                for t in self._tables
                for c in t.columns
            ):
                continue
            name = self._sequence_names.get(sequence.name)
            if name is not None:
                steps.append(_sequence_step(sequence, name))
        return steps

    def _native_losses(self) -> list[Loss]:
        """Name every object that only native DDL could make."""
        enums = {key[0] for key in self._enums}
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


def _known(asks: Asks, texts: set[str], function: str) -> frozenset[str]:
    """Find the texts that the server reads as the name of something it has."""
    if not texts:
        return frozenset()
    values = ", ".join(f"({quote_literal(text)})" for text in sorted(texts))
    query = f"SELECT v.text FROM (VALUES {values}) v(text) WHERE {function}(v.text) IS NOT NULL"
    try:
        return frozenset(row["text"] for row in asks.rows(query))
    except TargetError:
        # One that is not even a name fails the whole query.
        if len(texts) == 1:
            return frozenset()
        return frozenset[str]().union(*(_known(asks, {text}, function) for text in texts))


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
            f"CACHE {sequence.cache}{' CYCLE' if sequence.cycle else ''}"
        ),
    )


def _dialect() -> Dialect:
    from sqlalchemy.dialects.postgresql.base import PGDialect

    return PGDialect(paramstyle="named")


def _holds_enum(logical: LogicalType) -> bool:
    return logical.name == "enum" or (logical.element is not None and _holds_enum(logical.element))


def _comparable(own: str, other: str) -> bool:
    """Say whether a foreign key between these types has an equality to use."""
    own, other = (text.partition(" COLLATE ")[0].partition("(")[0] for text in (own, other))
    if own == other or (own in _WHOLE and other in (*_WHOLE, "numeric")):
        return True
    words = ("text", "varchar", "character varying")
    return own in words and other in words
