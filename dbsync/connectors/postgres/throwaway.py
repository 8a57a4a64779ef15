"""A database that is used for a while and left empty: what stands in it, and dropping that.

What lives here: which objects count, and statements that drop them. Must not know: what was in it
and why. What belongs to an extension is left alone, and so is the schema ``public``.
"""

from __future__ import annotations

from typing import Any

from dbsync.connectors.postgres.connection import Address
from dbsync.connectors.postgres.session import Asks, Session

_OURS = (
    "n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema' AND NOT EXISTS"
    " (SELECT FROM pg_depend d WHERE d.classid = '{catalog}'::regclass AND d.objid = {oid}"
    " AND d.deptype IN ('e', 'i'))"
)
_RELATIONS = (
    "SELECT CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'"
    " WHEN 'S' THEN 'sequence' WHEN 'f' THEN 'foreign table' ELSE 'table' END AS kind,"
    " quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND "
    + _OURS.format(catalog="pg_class", oid="c.oid")
)
_ROUTINES = (
    "SELECT 'routine' AS kind, quote_ident(n.nspname) || '.' || quote_ident(p.proname) || '('"
    " || pg_get_function_identity_arguments(p.oid) || ')' AS name"
    " FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE "
    + _OURS.format(catalog="pg_proc", oid="p.oid")
)
_TYPES = (
    "SELECT 'type' AS kind, quote_ident(n.nspname) || '.' || quote_ident(t.typname) AS name"
    " FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace"
    " LEFT JOIN pg_class c ON c.oid = t.typrelid"
    " WHERE (t.typtype IN ('e', 'd', 'r') OR c.relkind = 'c') AND "
    + _OURS.format(catalog="pg_type", oid="t.oid")
)
_SCHEMAS = (
    "SELECT 'schema' AS kind, quote_ident(n.nspname) AS name FROM pg_namespace n"
    " WHERE n.nspname <> 'public' AND " + _OURS.format(catalog="pg_namespace", oid="n.oid")
)


def objects(asks: Asks) -> list[str]:
    """List schemas but ``public``, relations, routines and types."""
    return [f"{row['kind']} {row['name']}" for row in _found(asks)]


def empty(asks: Asks, address: Address) -> None:
    """Drop everything. Raises `TargetError`."""
    session = Session(address)
    try:
        for row in _found(asks):
            kind, name = row["kind"], row["name"]
            # What hung on something dropped before is gone already.
            session.run(f"DROP {kind.upper()} IF EXISTS {name} CASCADE", f"dropping {kind} {name}")
    finally:
        session.close()


def _found(asks: Asks) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for query in (_SCHEMAS, _RELATIONS, _ROUTINES, _TYPES):
        found += asks.rows(f"{query} ORDER BY 1, 2")
    return found
