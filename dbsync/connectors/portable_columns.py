"""Columns of a portable table: native types, defaults, columns that number themselves.

What lives here: from a column of the model to one of SQLAlchemy. Must not know: constraints,
indexes, statements.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.types import UserDefinedType

from dbsync.connectors.portable_rules import Losses, Rules, quoted
from dbsync.model.schema import Column, Identity, Table


class NativeType(UserDefinedType[Any]):
    """A type whose native text is already known; `get_col_spec` is asked for it by SQLAlchemy."""

    cache_ok = True

    def __init__(self, text: str):
        self.text = text

    def get_col_spec(self, **_: object) -> str:
        """Give the text."""
        return self.text


class _NativeInteger(sa.Integer):
    """The same for a column that numbers itself where the dialect asks for an Integer."""

    __visit_name__ = "user_defined"

    def __init__(self, text: str):
        super().__init__()
        self.text = text

    def get_col_spec(self, **_: object) -> str:
        """Give the text."""
        return self.text


class ColumnBuilder:
    """Makes the columns of one table."""

    def __init__(self, table: Table, rules: Rules, losses: Losses):
        self._table = table
        self._rules = rules
        self._losses = losses

    def build(self, column: Column) -> sa.Column[Any]:
        """Make a column, noting what of it is not carried."""
        label = f"column {self._table.name}.{column.name}"
        text, change = self._rules.type_text(column)
        if change is not None:
            self._losses.add(label, change, "changed")
        if column.generated is not None:
            self._losses.add(
                label,
                f"is no longer computed from {column.generated.expression}; its values are kept",
            )
        if column.collation is not None:
            if column.collation in self._rules.collations:
                text += f" COLLATE {self._rules.quote(column.collation)}"
            else:
                self._losses.add(label, f"collation {column.collation} is not carried")
        extra: list[Any] = []
        numbered = self._identity(column, label)
        if isinstance(numbered, sa.Identity):
            extra.append(numbered)
        native = _NativeInteger(text) if numbered is True else NativeType(text)
        return sa.Column(
            quoted(column.name),
            native,
            *extra,
            nullable=column.nullable and not isinstance(numbered, sa.Identity),
            autoincrement=True if numbered is True else "auto",
            server_default=None if numbered else self._default(column, label),
        )

    def _identity(self, column: Column, label: str) -> sa.Identity | bool:
        """Say how the column numbers itself: by an identity clause, by its key, or not at all."""
        identity = column.identity
        if identity is None:
            return False
        key = self._table.primary_key.columns if self._table.primary_key else ()
        if self._rules.dialect.supports_identity_columns:
            if identity.kind == "serial":
                self._losses.add(label, "serial becomes an identity column", "changed")
            return self._identity_clause(identity)
        if self._rules.dialect.name == "sqlite":
            if key == (column.name,):
                return True
            self._losses.add(label, "only a primary key can number itself here")
            return False
        self._losses.add(label, "does not number itself here")
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
            self._losses.add(label, f"default {default.value} is not carried")
            return None
        # literal_column, because text() would take ':name' for a parameter.
        return sa.literal_column(text)


def _type_bound(value: int | None) -> bool:
    """Say whether `value` is a limit of an integer type rather than one that somebody chose."""
    return value is None or any(
        value in (2**bits - 1, -(2**bits), -(2**bits) + 1) for bits in (15, 31, 63)
    )
