"""Which tables, columns and rows of a catalog a selection means, with the errors for a wrong one.

Must not know: how rows are read.
"""

from __future__ import annotations

import msgspec

from dbsync.connectors.sqlite.catalog import Catalog, RawObject, RawTable
from dbsync.connectors.sqlite.connection import Connection, quote
from dbsync.connectors.sqlite.parse import without_string_fallback
from dbsync.errors import ConflictError, SourceError
from dbsync.model.schema import Name
from dbsync.model.selection import Selection


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """The tables and virtual tables that take part, and the selection that chose them."""

    selection: Selection
    tables: tuple[RawTable, ...]
    virtual: tuple[RawObject, ...]

    def columns_of(self, raw: RawTable) -> tuple[str, ...] | None:
        """Name the chosen columns as the table spells them; None for all."""
        wanted = None if raw.shadow_of else self.selection.columns_of(Name(None, raw.name))
        if wanted is None:
            return None
        actual = {c.name.lower(): c.name for c in raw.columns}
        unknown = [name for name in wanted if name.lower() not in actual]
        if unknown:
            raise SourceError(
                f"table {raw.name} has no column {', '.join(unknown)}",
                hint=f"its columns are {', '.join(actual.values())}",
            )
        return tuple(actual[name.lower()] for name in wanted)

    def where_of(self, raw: RawTable) -> str | None:
        """Give the condition of a table; the shadows of a virtual table are always whole."""
        return None if raw.shadow_of else self.selection.where_of(Name(None, raw.name))


def choose_tables(catalog: Catalog, selection: Selection) -> Chosen:
    """Apply a selection; raise `SourceError` for a pattern that matches nothing.

    The shadow tables of a virtual table come and go with it.
    """
    names = [Name(None, t.name) for t in catalog.tables]
    names += [Name(None, v.name) for v in catalog.virtual]
    names += [Name(None, o.name) for o in catalog.others if o.kind == "VIEW"]
    unmatched = selection.unmatched(names)
    if unmatched:
        known = ", ".join(sorted(t.name for t in catalog.tables)[:20])
        raise SourceError(
            f"no table matches {', '.join(unmatched)}",
            hint=f"the tables are: {known}" if known else "the database has no tables",
        )
    virtual = tuple(v for v in catalog.virtual if selection.selects(Name(None, v.name)))
    kept = {v.name for v in virtual}
    tables = tuple(
        t
        for t in catalog.tables
        if (t.shadow_of in kept if t.shadow_of else selection.selects(Name(None, t.name)))
    )
    return Chosen(selection=selection, tables=tables, virtual=virtual)


def check_condition(connection: Connection, table: str, condition: str) -> None:
    """Raise `SourceError` where a condition does not fit a table, naming both.

    A name in double quotes that is no column would silently be a string; it is an error here.
    """
    spelled, quoted = without_string_fallback(condition)
    try:
        connection.rows(
            f"EXPLAIN SELECT 1 FROM {quote(table)} WHERE ({spelled}\n)",
            doing=f"use the condition {condition!r} on table {table}",
        )
    except ConflictError:
        raise
    except SourceError as error:
        hint = "write the condition in SQLite's dialect, with columns of this table"
        if any(f"no such column: {name}" in error.message for name in quoted):
            hint = "names stand in double quotes; write a text in single quotes"
        raise SourceError(error.message, hint=hint) from error
