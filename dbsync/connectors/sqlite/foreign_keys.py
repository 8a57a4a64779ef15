"""Looking for rows whose foreign keys lead nowhere, which SQLite lets in while they are off.

Must not know: when the look is taken.
"""

from __future__ import annotations

from collections.abc import Iterable

from dbsync.connectors.base import TablePlan
from dbsync.connectors.sqlite.connection import Connection, literal
from dbsync.errors import TargetError
from dbsync.model.schema import Database, Name


def violations(connection: Connection, table: str) -> int:
    """Count the references of a table that lead nowhere."""
    sql = f"SELECT count(*) FROM pragma_foreign_key_check({literal(table)})"
    try:
        return int(connection.value(sql, doing=f"check the foreign keys of table {table}"))
    except TargetError as error:
        # The referred columns are not unique, so SQLite itself can never check such a key.
        if "foreign key mismatch" in error.message:
            return 0
        raise


def require_unbroken(connection: Connection, table: str, before: int, *, committed: bool) -> None:
    """Raise `TargetError` where a table has more broken references than `before`."""
    count = violations(connection, table) - before
    if count <= 0:
        return
    state = "its rows are committed" if committed else "nothing was changed"
    raise TargetError(
        f"table {table}: {count} rows break a foreign key; {state}",
        hint="import the tables they refer to as well"
        + (", or delete these rows; then run the same import again" if committed else ""),
    )


def whole_copies(tables: Iterable[TablePlan], database: Database) -> frozenset[Name]:
    """List the tables that are whole copies: what is broken in them was broken at the source.

    SQLite does not check foreign keys unless asked, so databases with broken ones are common; a
    copy of one has to arrive as it is. A table that was filtered, or whose referred tables were,
    is no such copy. The names are those of the archive.
    """
    if database.engine != "sqlite":
        return frozenset()
    whole = {table.name for table in database.tables if table.where is None}
    return frozenset(
        plan.source.name
        for plan in tables
        if plan.action == "create"
        and plan.source.name in whole
        and all(key.referred in whole for key in plan.source.foreign_keys)
    )
