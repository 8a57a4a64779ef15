"""What `dbsync check` says of a database that is to be written.

Must not know: plans, rows.
"""

from __future__ import annotations

from typing import Any

from dbsync.connectors.base import CheckItem
from dbsync.connectors.treasuredata import table_calls as tables
from dbsync.connectors.treasuredata.bulk_calls import list_sessions
from dbsync.connectors.treasuredata.client import Api
from dbsync.connectors.treasuredata.names import is_temporary

_WRITING = ("administrator", "full_access", "owner")
_RIGHTS = {
    "query_only": "may only query",
    "import_only": "may only import, and neither make tables nor count rows",
}


def check_items(api: Api) -> list[CheckItem]:
    """Look at the account, the database, the rights of the key, and what imports left behind.

    Raises `TargetError` where the key is rejected or the endpoint cannot be reached.
    """
    address = api.address
    listed = api.run("list the databases", lambda wire: wire.list_databases())
    region = f"region {address.region}, " if address.region else ""
    items = [CheckItem(item="connection", ok=True, found=f"{region}{address.endpoint}")]
    found: dict[str, Any] | None = listed.get(address.database)
    if found is None:
        items.append(
            CheckItem(
                item="database",
                ok=True,
                found=f"{address.database} does not exist, or this key does not see it; an import "
                "would create it",
                hint="if it should exist, check its name and the region",
            )
        )
        return items
    right = str(found.get("permission") or "")
    may = right in _WRITING
    if not may:
        items += [
            CheckItem(item="database", ok=True, found=address.database),
            CheckItem(
                item="rights",
                ok=False,
                found=f"{right or 'none'}: the key {_RIGHTS.get(right, 'has no right to write')}",
                hint=f"ask for full_access to database {address.database}, or use another key",
            ),
        ]
        return items
    there = tables.list_tables(api) or {}
    final = [name for name in there if not is_temporary(name)]
    items += [
        CheckItem(item="database", ok=True, found=f"{address.database}, {len(final)} tables"),
        CheckItem(item="rights", ok=True, found=right),
        _unfinished(api, there),
    ]
    return items


def require_right(api: Api) -> None:
    """Raise `TargetError` where the service says that the key may not write the database."""
    listed = api.run("list the databases", lambda wire: wire.list_databases())
    found: dict[str, Any] | None = listed.get(api.address.database)
    right = found.get("permission") if found is not None else None
    if right is not None and right not in _WRITING:
        raise api.refused(403, f"write database {api.address.database}")


def _unfinished(api: Api, there: dict[str, tables.TableState]) -> CheckItem:
    database = api.address.database
    left = sum(is_temporary(name) for name in there)
    sessions = sum(
        session.name.startswith("dbsync_") and session.database == database
        for session in list_sessions(api)
    )
    return CheckItem(
        item="unfinished imports",
        ok=not (left or sessions),
        found=f"{left} temporary tables, {sessions} bulk imports" if left or sessions else "none",
        hint="run the import again: it goes on, or removes what was left"
        if left or sessions
        else None,
    )
