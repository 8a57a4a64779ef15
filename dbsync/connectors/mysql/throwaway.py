"""A database that is used for a while and left empty: what stands in it, and dropping that.

Must not know: what was in it and why.
"""

from __future__ import annotations

from dbsync.connectors.mysql.connection import Session, quote_name

_DOING = "looking at the database"
_KINDS = {"BASE TABLE": "TABLE", "SYSTEM VERSIONED": "TABLE"}
_QUERIES = (
    "SELECT table_type AS kind, table_name AS name FROM information_schema.tables"
    " WHERE table_schema = DATABASE() ORDER BY table_type = 'VIEW' DESC, table_name",
    "SELECT routine_type AS kind, routine_name AS name FROM information_schema.routines"
    " WHERE routine_schema = DATABASE() ORDER BY 1, 2",
    "SELECT 'EVENT' AS kind, event_name AS name FROM information_schema.events"
    " WHERE event_schema = DATABASE() ORDER BY 2",
)


def objects(session: Session) -> list[str]:
    """List tables, views, sequences, routines and events."""
    return [f"{kind.lower()} {name}" for kind, name in _found(session)]


def empty(session: Session) -> None:
    """Drop everything; triggers go with their tables. Raises `TargetError`."""
    session.run("SET foreign_key_checks = 0", _DOING)
    try:
        for kind, name in _found(session):
            session.run(
                f"DROP {kind} IF EXISTS {quote_name(name)}", f"dropping {kind.lower()} {name}"
            )
    finally:
        session.run("SET foreign_key_checks = 1", _DOING)


def _found(session: Session) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for query in _QUERIES:
        for row in session.rows(query, _DOING):
            kind = str(row["kind"]).upper()
            found.append((_KINDS.get(kind, kind), str(row["name"])))
    return found
