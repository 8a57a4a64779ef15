"""What `dbsync check` says of a database that is to be read.

Must not know: rows, schema.
"""

from __future__ import annotations

import uuid
from typing import Any

from dbsync.connectors.base import CheckItem
from dbsync.connectors.treasuredata.client import Api
from dbsync.connectors.treasuredata.jobs import run_query
from dbsync.connectors.treasuredata.names import is_temporary
from dbsync.connectors.treasuredata.table_calls import list_tables
from dbsync.errors import SourceError

_LIST = "/v3/database/list"
_READING = ("administrator", "full_access", "owner", "query_only")


def check_items(api: Api) -> list[CheckItem]:
    """Look at the endpoint, the database, and the rights of the key; a query is run that reads
    no table.

    Raises `SourceError` where the key is rejected or the endpoint cannot be reached.
    """
    address = api.address
    region = f"region {address.region}, " if address.region else "no region of the service's own, "
    items = [
        CheckItem(
            item="connection",
            ok=True,
            found=f"{region}{address.endpoint}"
            + ("" if address.scheme == "https" else " (without TLS: the key travels unprotected)"),
        )
    ]
    listed = api.run("list the databases", lambda wire: wire.get_json(_LIST, ["databases"]))
    databases: dict[str, dict[str, Any]] = {str(d["name"]): d for d in listed["databases"]}
    tables = list_tables(api)
    if address.database not in databases or tables is None:
        refused = api.refused(404, "be read")
        items.append(CheckItem(item="database", ok=False, found=refused.message, hint=refused.hint))
        return items
    kept = [table for table in tables.values() if not is_temporary(table.name)]
    rows = sum(table.counted for table in kept)
    found = f"{address.database}, {len(kept)} tables, about {rows:,} rows"
    items.append(CheckItem(item="database", ok=True, found=found))
    items += [_right(api, databases[address.database]), _query(api)]
    items.append(
        CheckItem(
            item="consistency",
            ok=True,
            found="per table: each is read by one query, as of the moment of that query",
        )
    )
    return items


def _right(api: Api, database: dict[str, Any]) -> CheckItem:
    right = str(database.get("permission") or "unknown")
    if right in _READING or right == "unknown":
        return CheckItem(item="rights", ok=True, found=right)
    return CheckItem(
        item="rights",
        ok=False,
        found=f"{right}: the key may not query",
        hint=f"ask for query_only or full_access to database {api.address.database}, or use "
        "another key",
    )


def _query(api: Api) -> CheckItem:
    began = api.clock()
    try:
        run_query(api, "run a query", "SELECT 1 AS one", f"dbsync-{uuid.uuid4().hex}")
    except SourceError as error:
        return CheckItem(item="queries", ok=False, found=error.message, hint=error.hint)
    return CheckItem(
        item="queries", ok=True, found=f"run with Trino in {api.clock() - began:.1f} s"
    )
