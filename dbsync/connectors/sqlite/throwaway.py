"""A file that is used for a while and left empty: what stands in it, and dropping that.

Must not know: what was in it and why.
"""

from __future__ import annotations

from dbsync.connectors.sqlite.connection import Connection, Location, quote
from dbsync.errors import TargetError

_OBJECTS = (
    "SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' "
    "AND type IN ('table', 'view', 'trigger')"
)


def objects(connection: Connection) -> list[str]:
    """List tables, views and triggers."""
    return sorted(f"{kind} {name}" for kind, name in connection.rows(_OBJECTS))


def empty(location: Location) -> None:
    """Drop everything. Raises `TargetError`."""
    connection = Connection(location, "rw", TargetError)
    try:
        connection.execute("PRAGMA foreign_keys = OFF")
        # Views first, whose tables they name; a virtual table takes its shadow tables with it.
        order = "CASE WHEN type <> 'table' THEN 0 WHEN sql LIKE 'CREATE VIRTUAL%' THEN 1 ELSE 2 END"
        for kind, name in connection.rows(f"{_OBJECTS} ORDER BY {order}"):
            connection.execute(
                f"DROP {kind} IF EXISTS {quote(name)}", doing=f"drop the {kind} {name}"
            )
        connection.execute("VACUUM", doing="give back the space")
    finally:
        connection.close()
