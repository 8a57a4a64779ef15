"""The types of new columns, and the enums that are made for them.

What lives here: `ColumnTypes`. A native type of another PostgreSQL that this one has too is used
as it is; everything else goes through the portable types. Must not know: tables, statements that
make them.
"""

from __future__ import annotations

from collections.abc import Mapping

from dbsync.connectors.postgres.connection import quote_literal, quote_name
from dbsync.connectors.postgres.mapping import type_text
from dbsync.connectors.postgres.names import LONGEST, FreeNames, last_part
from dbsync.connectors.postgres.session import Asks
from dbsync.connectors.postgres.steps import Step
from dbsync.errors import TargetError
from dbsync.model.schema import Column, Name, Table, effective_type
from dbsync.model.types import LogicalType


class ColumnTypes:
    """Chooses types; `steps` makes the enums that were needed so far."""

    def __init__(
        self,
        asks: Asks,
        tables: list[Table],
        create: Mapping[Name, Name],
        free: FreeNames,
        *,
        native: bool,
    ):
        self._create = create
        self._free = free
        self._native = native
        columns = [c for t in tables for c in t.columns]
        # An enum of the same name may have other labels.
        texts = {c.native_type for c in columns if not _holds_enum(c.type)}
        collations = {c.collation for c in columns if c.collation}
        self._there = _known(asks, texts, "to_regtype") if native else frozenset[str]()
        self.collations = (
            _known(asks, collations, "to_regcollation") if native else frozenset[str]()
        )
        self._labels = _existing_enums(asks) if any(_holds_enum(c.type) for c in columns) else {}
        self._enums: dict[tuple[str, LogicalType], str] = {}
        self.steps: list[Step] = []

    @property
    def enums(self) -> set[str]:
        """Names in the archive of the enums that are carried."""
        return {name for name, _ in self._enums}

    def text(self, table: Table, column: Column) -> tuple[str, str | None]:
        """Give the type of a new column, and how it differs from the archive's, if it does."""
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
        """Name the type of an enum: one that is there with the same labels, or one to be made."""
        labels = logical.labels
        fits = all(len(label.encode()) <= LONGEST and "\0" not in label for label in labels)
        if not labels or not fits or len(set(labels)) < len(labels):
            return None
        own = last_part(column.native_type.removesuffix("[]")) if self._native else None
        key = (own or f"{table.name} {column.name}", logical)
        if key not in self._enums:
            schema = self._create[table.name].schema
            wanted = own or f"{table.name.name}_{column.name}"
            if self._labels.get((schema, wanted)) == labels:
                self._enums[key] = quote_name(schema, wanted)
                return self._enums[key]
            name = self._free.take(schema, wanted)
            self._enums[key] = quote_name(schema, name)
            listed = ", ".join(quote_literal(label) for label in labels)
            sql = f"CREATE TYPE {self._enums[key]} AS ENUM ({listed})"
            self.steps.append(Step(stage="create", label=f"type {schema}.{name}", sql=sql))
        return self._enums[key]


def _holds_enum(logical: LogicalType) -> bool:
    return logical.name == "enum" or (logical.element is not None and _holds_enum(logical.element))


def _existing_enums(asks: Asks) -> dict[tuple[str | None, str], tuple[str, ...]]:
    rows = asks.rows(
        "SELECT n.nspname AS schema, t.typname AS name, "
        "json_agg(e.enumlabel ORDER BY e.enumsortorder) AS labels FROM pg_enum e "
        "JOIN pg_type t ON t.oid = e.enumtypid JOIN pg_namespace n ON n.oid = t.typnamespace "
        "GROUP BY n.nspname, t.typname"
    )
    return {(row["schema"], row["name"]): tuple(row["labels"]) for row in rows}


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
