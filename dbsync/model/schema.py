"""The portable model of a database: tables, columns, keys, sequences and native objects.

What lives here: frozen structs, exactly as they stand in the archive's JSON documents (the JSON
Schemas in ``formats/`` are generated from them). Unknown fields are ignored when reading, so a
later minor version may add some. Must not know: how any engine spells these things.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from dbsync.model.types import LogicalType, integer

Action = Literal["no action", "restrict", "cascade", "set null", "set default"]


class _Struct(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Common configuration of every struct of the model."""


class Name(msgspec.Struct, frozen=True, order=True):
    """A name of a table, view or sequence: its schema, where the engine has schemas, and itself."""

    schema: str | None
    name: str

    def __str__(self) -> str:
        """Give ``schema.name``, or the bare name where there is no schema, for messages."""
        return f"{self.schema}.{self.name}" if self.schema else self.name


class Default(_Struct, frozen=True):
    """A column default.

    ``literal``: `value` is the text of the value, in the form of the logical type.
    ``function``: `value` is one of current_timestamp, current_date, current_time, random_uuid.
    ``native``: `value` is an expression that only the source's engine is known to understand.
    """

    kind: Literal["literal", "function", "native"]
    value: str


class Generated(_Struct, frozen=True):
    """A column computed by the database; its values are exported but never written back."""

    expression: str
    stored: bool = True


class Identity(_Struct, frozen=True):
    """A column that numbers itself.

    ``always`` and ``by default`` are SQL identity columns; ``serial`` draws from a sequence as its
    default; ``rowid`` and ``autoincrement`` are SQLite's two kinds. `sequence` names the sequence
    whose position stands in `Database.sequences`, where the engine has one.
    """

    kind: Literal["always", "by default", "serial", "rowid", "autoincrement"]
    sequence: Name | None = None


class Column(_Struct, frozen=True):
    """One column.

    `storage` is the Arrow type of its values in batches and chunks (`types.parse_storage`), under
    a field named exactly like the column. Values that this type cannot hold stand in the field
    `exceptions` (see `dbsync.model.values`), which a batch or chunk has only when it needs it.
    """

    name: str
    type: LogicalType
    native_type: str
    storage: str
    exceptions: str
    nullable: bool = True
    default: Default | None = None
    generated: Generated | None = None
    identity: Identity | None = None
    collation: str | None = None
    comment: str | None = None


class Key(_Struct, frozen=True):
    """A primary key or a unique constraint, in the order of its columns."""

    columns: tuple[str, ...]
    name: str | None = None
    deferrable: bool = False
    initially_deferred: bool = False
    nulls_distinct: bool = True


class ForeignKey(_Struct, frozen=True):
    """A reference of `columns` to `referred_columns` of table `referred`."""

    columns: tuple[str, ...]
    referred: Name
    referred_columns: tuple[str, ...]
    name: str | None = None
    on_update: Action = "no action"
    on_delete: Action = "no action"
    deferrable: bool = False
    initially_deferred: bool = False
    match_full: bool = False


class Check(_Struct, frozen=True):
    """A check constraint; `expression` is in the source's dialect."""

    expression: str
    name: str | None = None


class IndexColumn(_Struct, frozen=True):
    """One part of an index: a column, or an expression in the source's dialect."""

    column: str | None = None
    expression: str | None = None
    descending: bool = False


class Index(_Struct, frozen=True):
    """An index that is not the shadow of a constraint.

    `portable` is true for a plain index over columns, which any engine can build; everything else
    (method, predicate, expression, operator class) stands in `definition`, in the native dialect.
    """

    name: str
    columns: tuple[IndexColumn, ...]
    unique: bool = False
    portable: bool = True
    definition: str | None = None


class NativeObject(_Struct, frozen=True):
    """One object of native DDL, replayed as it is on the same engine.

    `kind` is the engine's own word (TABLE, VIEW, FUNCTION, TRIGGER, TYPE, ...); `section` says
    when it is created: before the rows or after them. `table` is set where the object belongs to
    one table, so that it goes with it. `provides` and `requires` are identifiers, unique within
    the archive, by which objects depend on one another; objects are stored in a working order.
    """

    kind: str
    name: Name
    sql: str
    section: Literal["before_rows", "after_rows"]
    table: Name | None = None
    provides: str | None = None
    requires: tuple[str, ...] = ()
    covers: str | None = None
    """What of the portable model this object already creates: table, primary_key, unique,
    foreign_key, check, index, sequence; None for what only native DDL can carry."""
    owner: str | None = None
    """The role that owns it, on engines that have owners."""
    settings: dict[str, str] = {}
    """Session variables under which `sql` has to run, on engines where that decides what it
    means."""


class Sequence(_Struct, frozen=True):
    """A sequence and where it stands: the next value is `last_value`, or one step after it where
    `is_called`. None where the role was not allowed to read it."""

    name: Name
    data_type: str = "bigint"
    start: int = 1
    increment: int = 1
    minimum: int | None = None
    maximum: int | None = None
    cycle: bool = False
    cache: int = 1
    last_value: int | None = None
    is_called: bool = False
    owner_table: Name | None = None
    owner_column: str | None = None


class Table(_Struct, frozen=True):
    """One table with the columns that were chosen, and the condition its rows were filtered by."""

    name: Name
    columns: tuple[Column, ...]
    primary_key: Key | None = None
    uniques: tuple[Key, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    checks: tuple[Check, ...] = ()
    indexes: tuple[Index, ...] = ()
    comment: str | None = None
    where: str | None = None
    all_columns: bool = True
    """False where `--columns` left some out."""
    rows_estimate: int | None = None
    bytes_estimate: int | None = None
    details: dict[str, str] = {}
    """Facts only the engine's own connector reads, such as SQLite's ``strict`` or ``rowid``."""

    def column(self, name: str) -> Column:
        """Return the column called `name`; raise KeyError when there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)


class Loss(_Struct, frozen=True):
    """One thing that does not reach the other side, as a line of the loss report."""

    object: str
    """What is affected: kind and name, such as ``view public.film_list``."""
    reason: str
    severity: Literal["lost", "changed"] = "lost"
    """``changed``: it arrives in another form that keeps its meaning, such as a type widened."""


class Database(_Struct, frozen=True):
    """Everything about a database but its rows."""

    engine: str
    """The connector's name: postgresql, sqlite, ..."""
    version: str
    name: str
    tables: tuple[Table, ...] = ()
    sequences: tuple[Sequence, ...] = ()
    native: tuple[NativeObject, ...] = ()
    losses: tuple[Loss, ...] = ()
    """What the source could not put into the archive, or only without native DDL."""
    encoding: str = "UTF8"
    details: dict[str, str] = {}

    def table(self, name: Name) -> Table:
        """Return the table called `name`; raise KeyError when there is none."""
        for table in self.tables:
            if table.name == name:
                return table
        raise KeyError(str(name))


def effective_type(column: Column) -> LogicalType:
    """Say what a column means to another engine: ``any`` means what its values were stored as."""
    if column.type.name != "any":
        return column.type
    match column.storage:
        case "double":
            return LogicalType(name="float", bits=64)
        case "string":
            return LogicalType(name="string")
        case name if name.startswith("int"):
            return integer(int(name[3:]))
        case _:
            return LogicalType(name="binary")


def exceptions_names(columns: Iterable[str]) -> dict[str, str]:
    """Choose for each column the name of its exceptions field, clashing with no column.

    The rule is ``<column>:exceptions``, with underscores appended until the name is free; it is
    the same for every source, but readers take the name from `Column.exceptions`.
    """
    names = list(columns)
    taken = set(names)
    chosen: dict[str, str] = {}
    for name in names:
        field = f"{name}:exceptions"
        while field in taken:
            field += "_"
        taken.add(field)
        chosen[name] = field
    return chosen
