"""Which tables, columns and rows a selection means, with the errors for a wrong one.

Must not know: how rows are read, native DDL.
"""

from __future__ import annotations

import difflib

import msgspec

from dbsync.connectors.mysql.connection import Session, quote_name
from dbsync.connectors.mysql.failures import errno_of
from dbsync.connectors.mysql.information import Information, RawColumn, RawTable
from dbsync.connectors.mysql.ledger import TABLE as LEDGER
from dbsync.errors import SourceError
from dbsync.model.schema import Name
from dbsync.model.selection import Selection

_ELSEWHERE = frozenset({"FEDERATED", "FEDERATEDX", "CONNECT", "SPIDER", "SPHINX", "MRG_MYISAM"})
"""Engines whose tables show rows that are kept somewhere else."""

_UNKNOWN = frozenset({1054, 1064, 1146, 1305, 1630, 1583, 1582})
_DENIED = frozenset({1142, 1143})


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """The tables that take part, by name, and the selection that chose them."""

    selection: Selection
    tables: dict[str, RawTable]
    linked: dict[str, RawTable]
    """Chosen tables whose rows are elsewhere: only their definition is carried."""

    @property
    def everything(self) -> bool:
        """Whether the selection names no tables, so that what belongs to none goes along."""
        return not self.selection.tables

    def columns_of(self, raw: RawTable) -> tuple[RawColumn, ...]:
        """Give the chosen columns in the table's order; raises `SourceError` for unknown ones."""
        wanted = self.selection.columns_of(Name(None, raw.name))
        if wanted is None:
            return raw.columns
        actual = {column.name.lower(): column.name for column in raw.columns}
        for name in wanted:
            if name.lower() not in actual:
                near = difflib.get_close_matches(name, actual.values(), 1)
                listed = ", ".join(actual.values())
                raise SourceError(
                    f"table {raw.name} has no column {name!r}, which --columns names",
                    hint=f"did you mean {near[0]!r}?" if near else f"it has {listed}",
                )
        names = {actual[name.lower()] for name in wanted}
        return tuple(column for column in raw.columns if column.name in names)

    def where_of(self, raw: RawTable) -> str | None:
        """Give the condition of a table."""
        return self.selection.where_of(Name(None, raw.name))


def choose_tables(information: Information, selection: Selection) -> Chosen:
    """Apply a selection; raise `SourceError` for a pattern that matches nothing, and for a
    table that the server cannot open."""
    present = {
        name: raw for name, raw in information.tables.items() if is_table(raw) and name != LEDGER
    }
    unmatched = selection.unmatched(Name(None, name) for name in information.tables)
    if unmatched:
        known = ", ".join(sorted(present)[:20])
        raise SourceError(
            f"no table matches {', '.join(unmatched)}",
            hint=f"the tables are: {known}" if known else "the database has no tables",
        )
    chosen = {n: raw for n, raw in present.items() if selection.selects(Name(None, n))}
    for raw in chosen.values():
        if raw.engine is None:
            raise SourceError(
                f"the server cannot open table {raw.name}: {raw.comment}",
                hint="repair the table, or leave it out with --exclude-tables",
            )
    return Chosen(
        selection=selection,
        tables={
            n: raw for n, raw in chosen.items() if (raw.engine or "").upper() not in _ELSEWHERE
        },
        linked={n: raw for n, raw in chosen.items() if (raw.engine or "").upper() in _ELSEWHERE},
    )


def is_table(raw: RawTable) -> bool:
    """Say whether something that TABLES lists is a table, and no view or sequence."""
    return raw.kind in ("BASE TABLE", "SYSTEM VERSIONED")


def check_conditions(session: Session, chosen: Chosen) -> None:
    """Raise `SourceError` where a condition does not fit a table, naming both."""
    for raw in chosen.tables.values():
        condition = chosen.where_of(raw)
        if condition is None:
            continue
        doing = f"using the condition {condition!r} on table {raw.name}"
        try:
            # The line break ends a comment in the condition.
            session.rows(
                f"SELECT 1 FROM {quote_name(raw.name)} WHERE ({condition}\n) LIMIT 0", doing
            )
        except SourceError as error:
            if errno_of(error) not in _UNKNOWN:
                raise
            raise SourceError(
                error.message,
                hint="write the condition in MySQL's dialect, with columns of this table",
            ) from error


def require_whole(session: Session, chosen: Chosen) -> None:
    """Raise `SourceError` for a table of which the catalog hides columns from this user.

    A right on single columns makes information_schema leave out the others.
    """
    doing = "reading the rights on columns"
    rows = session.rows(
        "SELECT DISTINCT TABLE_NAME AS name FROM information_schema.COLUMN_PRIVILEGES"
        " WHERE TABLE_SCHEMA = DATABASE()",
        doing,
    )
    for name in (row["name"] for row in rows):
        raw = chosen.tables.get(name)
        if raw is None or chosen.selection.columns_of(Name(None, name)) is not None:
            continue
        try:
            session.rows(f"SELECT * FROM {quote_name(name)} LIMIT 0", doing)
        except SourceError as error:
            if errno_of(error) not in _DENIED:
                raise
            visible = ", ".join(column.name for column in raw.columns)
            raise SourceError(
                f"this user may not read all columns of table {name}",
                hint=f"grant SELECT on the table, or choose columns: --columns '{name}:{visible}'",
            ) from error
