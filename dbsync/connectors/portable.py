"""Portable DDL: from the model of one table to statements of any SQLAlchemy dialect.

What lives here: which parts of the model become which statement, and a `Loss` for each part that
does not. What is particular to an engine (type names, the spelling of a default, whether a
constraint can be added later) comes in as `Rules`. Must not know: any engine's catalog, how
statements are run, how names that are too long or taken are replaced (the connector does that
before it calls).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

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
from sqlalchemy.sql.elements import ColumnElement, quoted_name
from sqlalchemy.types import UserDefinedType

from dbsync.connectors.portable_checks import portable_check
from dbsync.model.schema import (
    Column,
    ForeignKey,
    Identity,
    Index,
    Key,
    Loss,
    Name,
    Sequence,
    Table,
)

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import Dialect

StatementKind = Literal["table", "unique", "index", "foreign_key", "comment"]


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """One statement of DDL: what it makes, for people (`object`), and the SQL."""

    kind: StatementKind
    object: str
    sql: str


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What one engine makes of the portable model.

    `dialect` must not double percent signs (``paramstyle="named"``): statements run as they are.
    `type_text` gives the native type of a column, and the reason where that is another type than
    the source had (a loss of severity ``changed``). `literal` gives the SQL of a literal default,
    or None where it cannot be expressed. `functions` maps the portable functions of defaults to
    expressions. `refers` maps the source name of a referred table to its name on the target, None
    where it will not be there. `inline` puts uniques and foreign keys into CREATE TABLE, for
    engines that cannot add them. Everything else says what the engine supports.
    """

    dialect: Dialect
    type_text: Callable[[Column], tuple[str, str | None]]
    literal: Callable[[Column, str], str | None]
    refers: Callable[[Name], Name | None]
    functions: Mapping[str, str]
    sequences: Mapping[Name, Sequence] = field(default_factory=dict[Name, Sequence])
    collations: frozenset[str] = frozenset()
    inline: bool = False
    deferrable_keys: bool = True
    nulls_not_distinct: bool = True
    match_full: bool = True


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


class _NativeType(UserDefinedType[Any]):
    """A type whose native text is already known."""

    cache_ok = True

    def __init__(self, text: str):
        self.text = text

    def get_col_spec(self, **_: object) -> str:
        return self.text


class _NativeInteger(sa.Integer):
    """The same for a column that numbers itself where the dialect asks for an Integer."""

    __visit_name__ = "user_defined"

    def __init__(self, text: str):
        super().__init__()
        self.text = text

    def get_col_spec(self, **_: object) -> str:
        return self.text


class _Builder:
    """Builds one `sqlalchemy.Table` and compiles it, noting losses on the way."""

    def __init__(self, table: Table, target: Name, rules: Rules):
        self._table = table
        self._target = target
        self._rules = rules
        self._losses: list[Loss] = []
        self._metadata = sa.MetaData()
        self._sa = sa.Table(
            _quoted(target.name),
            self._metadata,
            schema=_quoted(target.schema) if target.schema else None,
            **self._table_options(),
        )

    def build(self) -> PortableTable:
        for column in self._table.columns:
            self._sa.append_column(self._column(column))
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
        return PortableTable(create=create, rest=tuple(rest), losses=tuple(self._losses))

    def _late_foreign_keys(self) -> list[sa.ForeignKeyConstraint] | None:
        return None if self._rules.inline else []

    def _compile(self, element: ExecutableDDLElement) -> str:
        return str(element.compile(dialect=self._rules.dialect)).strip()

    def _lose(self, what: str, reason: str, severity: Literal["lost", "changed"] = "lost") -> None:
        self._losses.append(Loss(object=what, reason=reason, severity=severity))

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

    def _column(self, column: Column) -> sa.Column[Any]:
        label = f"column {self._table.name}.{column.name}"
        text, change = self._rules.type_text(column)
        if change is not None:
            self._lose(label, change, "changed")
        if column.generated is not None:
            self._lose(
                label,
                f"is no longer computed from {column.generated.expression}; its values are kept",
            )
        if column.collation is not None:
            if column.collation in self._rules.collations:
                text += f" COLLATE {self._quote(column.collation)}"
            else:
                self._lose(label, f"collation {column.collation} is not carried")
        extra: list[Any] = []
        numbered = self._identity(column, label)
        if isinstance(numbered, sa.Identity):
            extra.append(numbered)
        native = _NativeInteger(text) if numbered is True else _NativeType(text)
        return sa.Column(
            _quoted(column.name),
            native,
            *extra,
            nullable=column.nullable and not isinstance(numbered, sa.Identity),
            autoincrement=True if numbered is True else "auto",
            server_default=None if numbered else self._default(column, label),
        )

    def _quote(self, name: str) -> str:
        return self._rules.dialect.identifier_preparer.quote_identifier(name)

    def _identity(self, column: Column, label: str) -> sa.Identity | bool:
        """Say how the column numbers itself: by an identity clause, by its key, or not at all."""
        identity = column.identity
        if identity is None:
            return False
        key = self._table.primary_key.columns if self._table.primary_key else ()
        if self._rules.dialect.supports_identity_columns:
            if identity.kind == "serial":
                self._lose(label, "serial becomes an identity column", "changed")
            return self._identity_clause(identity)
        if self._rules.dialect.name == "sqlite":
            if key == (column.name,):
                return True
            self._lose(label, "only a primary key can number itself here")
            return False
        self._lose(label, "does not number itself here")
        return False

    def _identity_clause(self, identity: Identity) -> sa.Identity:
        sequence = self._rules.sequences.get(identity.sequence) if identity.sequence else None
        always = identity.kind == "always"
        if sequence is None:
            return sa.Identity(always=always)
        ascending = sequence.increment > 0
        # Bounds that follow from the type are left out: the target's type may be another one.
        lowest, highest = (1, None) if ascending else (None, -1)
        own_minimum = sequence.minimum != lowest and not _type_bound(sequence.minimum)
        own_maximum = sequence.maximum != highest and not _type_bound(sequence.maximum)
        return sa.Identity(
            always=always,
            start=sequence.start,
            increment=sequence.increment,
            minvalue=sequence.minimum if own_minimum else None,
            maxvalue=sequence.maximum if own_maximum else None,
            cycle=sequence.cycle or None,
            cache=sequence.cache if sequence.cache > 1 else None,
        )

    def _default(self, column: Column, label: str) -> ColumnElement[Any] | None:
        default = column.default
        if default is None or column.generated is not None:
            return None
        if default.kind == "literal":
            text = self._rules.literal(column, default.value)
        elif default.kind == "function":
            text = self._rules.functions.get(default.value)
        else:
            text = None
        if text is None:
            self._lose(label, f"default {default.value} is not carried")
            return None
        # literal_column, because text() would take ':name' for a parameter.
        return sa.literal_column(text)

    # Constraints

    def _deferral(self, item: Key | ForeignKey, label: str) -> dict[str, Any]:
        if not item.deferrable:
            return {}
        if isinstance(item, Key) and not self._rules.deferrable_keys:
            self._lose(label, "is checked at once: the constraint cannot be deferred here")
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
            self._lose(label, "not all of its columns are in the archive")
            return
        self._sa.append_constraint(
            sa.PrimaryKeyConstraint(
                *(self._sa.c[name] for name in key.columns),
                name=_quoted(key.name) if key.name else None,
                **self._deferral(key, label),
            )
        )

    def _has_columns(self, names: tuple[str, ...]) -> bool:
        known = {column.name for column in self._table.columns}
        return all(name in known for name in names)

    def _checks(self) -> None:
        for check in self._table.checks:
            label = self._label("check", check.name or check.expression)
            text = portable_check(check.expression, self._table, self._quote)
            if text is None:
                self._lose(label, f"condition {check.expression} is not known to be portable")
                continue
            name = _quoted(check.name) if check.name else None
            self._sa.append_constraint(sa.CheckConstraint(sa.literal_column(text), name=name))

    def _uniques(self) -> Iterator[tuple[str, sa.UniqueConstraint]]:
        for key in self._table.uniques:
            label = self._label("unique constraint", key.name, key.columns)
            if not self._has_columns(key.columns):
                self._lose(label, "not all of its columns are in the archive")
                continue
            options: dict[str, Any] = {}
            if not key.nulls_distinct:
                if self._rules.nulls_not_distinct and self._rules.dialect.name == "postgresql":
                    options["postgresql_nulls_not_distinct"] = True
                else:
                    self._lose(label, "lets NULL repeat: NULLS NOT DISTINCT is not known here")
            yield (
                label,
                sa.UniqueConstraint(
                    *(self._sa.c[name] for name in key.columns),
                    name=_quoted(key.name) if key.name else None,
                    **self._deferral(key, label),
                    **options,
                ),
            )

    def _foreign_keys(self) -> Iterator[tuple[str, sa.ForeignKeyConstraint]]:
        for key in self._table.foreign_keys:
            label = self._label("foreign key", key.name, key.columns)
            referred = self._rules.refers(key.referred)
            if referred is None:
                self._lose(label, f"table {key.referred} is not part of the import")
                continue
            if not self._has_columns(key.columns):
                self._lose(label, "not all of its columns are in the archive")
                continue
            if key.match_full and not self._rules.match_full:
                self._lose(label, "MATCH FULL is not known here")
            yield label, self._foreign_key(key, referred, label)

    def _foreign_key(self, key: ForeignKey, referred: Name, label: str) -> sa.ForeignKeyConstraint:
        other = self._sa if referred == self._target else self._stub(referred, key)
        return sa.ForeignKeyConstraint(
            [self._sa.c[name] for name in key.columns],
            [other.c[name] for name in key.referred_columns],
            name=_quoted(key.name) if key.name else None,
            onupdate=_action(key.on_update),
            ondelete=_action(key.on_delete),
            match="FULL" if key.match_full and self._rules.match_full else None,
            **self._deferral(key, label),
        )

    @staticmethod
    def _stub(referred: Name, key: ForeignKey) -> sa.Table:
        """Stand in for the referred table: only its name and the referred columns matter."""
        return sa.Table(
            _quoted(referred.name),
            sa.MetaData(),
            *(sa.Column(_quoted(name), _NativeType("")) for name in key.referred_columns),
            schema=_quoted(referred.schema) if referred.schema else None,
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
                self._lose(label, "is more than a plain index over columns")
                continue
            if not self._has_columns(columns):
                self._lose(label, "not all of its columns are in the archive")
                continue
            yield Statement(kind="index", object=label, sql=self._compile(self._index(index)))

    def _index(self, index: Index) -> CreateIndex:
        parts: list[ColumnElement[Any]] = []
        for part in index.columns:
            column = self._sa.c[part.column or ""]
            parts.append(column.desc() if part.descending else column)
        # In a MetaData of its own each time: only its text is wanted.
        return CreateIndex(sa.Index(_quoted(index.name), *parts, unique=index.unique))

    def _comments(self) -> Iterator[Statement]:
        supported = self._rules.dialect.supports_comments
        label = f"comment on table {self._table.name}"
        if self._table.comment is not None:
            if supported:
                self._sa.comment = self._table.comment
                yield self._comment(label, SetTableComment(self._sa))
            else:
                self._lose(label, "comments are not kept here")
        for column in self._table.columns:
            if column.comment is None:
                continue
            label = f"comment on column {self._table.name}.{column.name}"
            if supported:
                self._sa.c[column.name].comment = column.comment
                yield self._comment(label, SetColumnComment(self._sa.c[column.name]))
            else:
                self._lose(label, "comments are not kept here")

    def _comment(self, label: str, element: ExecutableDDLElement) -> Statement:
        return Statement(kind="comment", object=label, sql=self._compile(element))


def _quoted(name: str) -> quoted_name:
    """Force quotes: lists of reserved words age, quoting does not."""
    return quoted_name(name, quote=True)


def _action(action: str) -> str | None:
    return None if action == "no action" else action.upper()


def _type_bound(value: int | None) -> bool:
    """Say whether `value` is a limit of an integer type rather than one that somebody chose."""
    return value is None or any(
        value in (2**bits - 1, -(2**bits), -(2**bits) + 1) for bits in (15, 31, 63)
    )
