"""Portable DDL: from the model of one table to statements of any SQLAlchemy dialect.

What lives here: which parts of the model become which statement, and a `Loss` for each part that
does not. What is particular to an engine (type names, the spelling of a default, whether a
constraint can be added later) comes in as `Rules`. Must not know: any engine's catalog, how
statements are run, how names that are too long or taken are replaced (the connector does that
before it calls).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec
import sqlalchemy as sa
from sqlalchemy.schema import (
    AddConstraint,
    CreateIndex,
    CreateTable,
    ExecutableDDLElement,
    SetColumnComment,
    SetTableComment,
)
from sqlalchemy.sql.elements import ColumnElement

from dbsync.connectors.portable_checks import portable_check
from dbsync.connectors.portable_columns import ColumnBuilder, NativeType
from dbsync.connectors.portable_rules import Losses, Rules, quoted
from dbsync.model.schema import ForeignKey, Index, Key, Loss, Name, Table

__all__ = ["PortableTable", "Rules", "Statement", "portable_table"]

StatementKind = Literal["table", "unique", "index", "foreign_key", "comment"]


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """One statement of DDL: what it makes, for people (`object`), and the SQL."""

    kind: StatementKind
    object: str
    sql: str


class PortableTable(msgspec.Struct, frozen=True, kw_only=True):
    """The statements of one table, and what they leave out.

    `create` holds the primary key and the checks. `rest` is in a working order: uniques, indexes,
    foreign keys, comments; foreign keys need the referred tables and their keys.
    """

    create: Statement
    rest: tuple[Statement, ...]
    losses: tuple[Loss, ...]


def portable_table(table: Table, target: Name, rules: Rules) -> PortableTable:
    """Write the DDL that makes `table` under the name `target`.

    Columns that the source's database computes become ordinary columns, so that their values
    arrive; that and every other difference is a loss. Nothing is executed. Identifiers are always
    quoted, whatever characters they hold.
    """
    return _Builder(table, target, rules).build()


class _Builder:
    """Builds one `sqlalchemy.Table` and compiles it, noting losses on the way."""

    def __init__(self, table: Table, target: Name, rules: Rules):
        self._table = table
        self._target = target
        self._rules = rules
        self._losses = Losses()
        self._metadata = sa.MetaData()
        self._sa = sa.Table(
            quoted(target.name),
            self._metadata,
            schema=quoted(target.schema) if target.schema else None,
            **self._table_options(),
        )

    def build(self) -> PortableTable:
        columns = ColumnBuilder(self._table, self._rules, self._losses)
        for column in self._table.columns:
            self._sa.append_column(columns.build(column))
        self._primary_key()
        self._checks()
        # SQLAlchemy attaches a constraint to its table when it is made, so the order of these
        # lines decides what CREATE TABLE holds.
        constraints: list[Statement] = []
        if self._rules.inline:
            list(self._uniques())
            list(self._foreign_keys())
        create = Statement(
            kind="table",
            object=f"table {self._target}",
            sql=self._compile(CreateTable(self._sa, self._late_foreign_keys())),
        )
        if not self._rules.inline:
            constraints = [self._added("unique", *item) for item in self._uniques()]
        rest = [*constraints, *self._indexes()]
        if not self._rules.inline:
            rest += [self._added("foreign_key", *item) for item in self._foreign_keys()]
        rest += self._comments()
        return PortableTable(create=create, rest=tuple(rest), losses=tuple(self._losses.found))

    def _late_foreign_keys(self) -> list[sa.ForeignKeyConstraint] | None:
        return None if self._rules.inline else []

    def _compile(self, element: ExecutableDDLElement) -> str:
        return str(element.compile(dialect=self._rules.dialect)).strip()

    def _label(self, kind: str, name: str | None, columns: tuple[str, ...] = ()) -> str:
        inner = name or f"({', '.join(columns)})"
        return f"{kind} {inner} of table {self._table.name}"

    # Columns

    def _table_options(self) -> dict[str, Any]:
        """Ask SQLite for AUTOINCREMENT where the column may never use a number twice."""
        if self._rules.dialect.name != "sqlite":
            return {}
        key = self._table.primary_key.columns if self._table.primary_key else ()
        numbered = [
            c for c in self._table.columns if c.identity is not None and c.identity.kind != "rowid"
        ]
        if len(key) == 1 and any(c.name == key[0] for c in numbered):
            return {"sqlite_autoincrement": True}
        return {}

    # Constraints

    def _deferral(self, item: Key | ForeignKey, label: str) -> dict[str, Any]:
        if not item.deferrable:
            return {}
        if isinstance(item, Key) and not self._rules.deferrable_keys:
            self._losses.add(label, "is checked at once: the constraint cannot be deferred here")
            return {}
        return {
            "deferrable": True,
            "initially": "DEFERRED" if item.initially_deferred else "IMMEDIATE",
        }

    def _primary_key(self) -> None:
        key = self._table.primary_key
        if key is None:
            return
        label = self._label("primary key", key.name, key.columns)
        if not self._has_columns(key.columns):
            self._losses.add(label, "not all of its columns are in the archive")
            return
        self._sa.append_constraint(
            sa.PrimaryKeyConstraint(
                *(self._sa.c[name] for name in key.columns),
                name=quoted(key.name) if key.name else None,
                **self._deferral(key, label),
            )
        )

    def _has_columns(self, names: tuple[str, ...]) -> bool:
        known = {column.name for column in self._table.columns}
        return all(name in known for name in names)

    def _checks(self) -> None:
        for check in self._table.checks:
            label = self._label("check", check.name or check.expression)
            text = portable_check(check.expression, self._table, self._rules.quote)
            if text is None:
                self._losses.add(label, f"condition {check.expression} is not known to be portable")
                continue
            name = quoted(check.name) if check.name else None
            self._sa.append_constraint(sa.CheckConstraint(sa.literal_column(text), name=name))

    def _uniques(self) -> Iterator[tuple[str, sa.UniqueConstraint]]:
        for key in self._table.uniques:
            label = self._label("unique constraint", key.name, key.columns)
            if not self._has_columns(key.columns):
                self._losses.add(label, "not all of its columns are in the archive")
                continue
            options: dict[str, Any] = {}
            if not key.nulls_distinct:
                if self._rules.nulls_not_distinct and self._rules.dialect.name == "postgresql":
                    options["postgresql_nulls_not_distinct"] = True
                else:
                    self._losses.add(
                        label, "lets NULL repeat: NULLS NOT DISTINCT is not known here"
                    )
            yield (
                label,
                sa.UniqueConstraint(
                    *(self._sa.c[name] for name in key.columns),
                    name=quoted(key.name) if key.name else None,
                    **self._deferral(key, label),
                    **options,
                ),
            )

    def _foreign_keys(self) -> Iterator[tuple[str, sa.ForeignKeyConstraint]]:
        for key in self._table.foreign_keys:
            label = self._label("foreign key", key.name, key.columns)
            referred = self._rules.refers(key.referred)
            if referred is None:
                self._losses.add(label, f"table {key.referred} is not part of the import")
                continue
            if not self._has_columns(key.columns):
                self._losses.add(label, "not all of its columns are in the archive")
                continue
            if key.match_full and not self._rules.match_full:
                self._losses.add(label, "MATCH FULL is not known here")
            yield label, self._foreign_key(key, referred, label)

    def _foreign_key(self, key: ForeignKey, referred: Name, label: str) -> sa.ForeignKeyConstraint:
        other = self._sa if referred == self._target else self._stub(referred, key)
        return sa.ForeignKeyConstraint(
            [self._sa.c[name] for name in key.columns],
            [other.c[name] for name in key.referred_columns],
            name=quoted(key.name) if key.name else None,
            onupdate=_action(key.on_update),
            ondelete=_action(key.on_delete),
            match="FULL" if key.match_full and self._rules.match_full else None,
            **self._deferral(key, label),
        )

    @staticmethod
    def _stub(referred: Name, key: ForeignKey) -> sa.Table:
        """Stand in for the referred table: only its name and the referred columns matter."""
        return sa.Table(
            quoted(referred.name),
            sa.MetaData(),
            *(sa.Column(quoted(name), NativeType("")) for name in key.referred_columns),
            schema=quoted(referred.schema) if referred.schema else None,
        )

    def _added(self, kind: StatementKind, label: str, constraint: sa.Constraint) -> Statement:
        sql = self._compile(AddConstraint(constraint, isolate_from_table=False))
        return Statement(kind=kind, object=label, sql=sql)

    # What is made after the table

    def _indexes(self) -> Iterator[Statement]:
        for index in self._table.indexes:
            label = self._label("index", index.name)
            columns = tuple(c.column for c in index.columns if c.column is not None)
            if not index.portable or len(columns) != len(index.columns):
                self._losses.add(label, "is more than a plain index over columns")
                continue
            if not self._has_columns(columns):
                self._losses.add(label, "not all of its columns are in the archive")
                continue
            yield Statement(kind="index", object=label, sql=self._compile(self._index(index)))

    def _index(self, index: Index) -> CreateIndex:
        parts: list[ColumnElement[Any]] = []
        for part in index.columns:
            column = self._sa.c[part.column or ""]
            parts.append(column.desc() if part.descending else column)
        # In a MetaData of its own each time: only its text is wanted.
        return CreateIndex(sa.Index(quoted(index.name), *parts, unique=index.unique))

    def _comments(self) -> Iterator[Statement]:
        supported = self._rules.dialect.supports_comments
        label = f"comment on table {self._table.name}"
        if self._table.comment is not None:
            if supported:
                self._sa.comment = self._table.comment
                yield self._comment(label, SetTableComment(self._sa))
            else:
                self._losses.add(label, "comments are not kept here")
        for column in self._table.columns:
            if column.comment is None:
                continue
            label = f"comment on column {self._table.name}.{column.name}"
            if supported:
                self._sa.c[column.name].comment = column.comment
                yield self._comment(label, SetColumnComment(self._sa.c[column.name]))
            else:
                self._losses.add(label, "comments are not kept here")

    def _comment(self, label: str, element: ExecutableDDLElement) -> Statement:
        return Statement(kind="comment", object=label, sql=self._compile(element))


def _action(action: str) -> str | None:
    return None if action == "no action" else action.upper()
