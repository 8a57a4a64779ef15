"""What an export from this database may do, for ``dbsync check``.

What lives here: `check_source`. Must not know: how anything is exported. Changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from dbsync.connectors.base import CheckItem
from dbsync.connectors.postgres.pg_dump import find_pg_dump
from dbsync.connectors.postgres.query import Catalog
from dbsync.connectors.postgres.relations import Relation
from dbsync.errors import SourceError

OLDEST = 14
NEWEST = 18


def check_source(catalog: Catalog, relations: Sequence[Relation], jobs: int) -> list[CheckItem]:
    """Look at version, rights, snapshot, connections and pg_dump, in this order."""
    return [
        _version(catalog),
        _rights(catalog, relations),
        _hidden_rows(relations),
        _sequences(catalog),
        _snapshot(catalog),
        _connections(catalog, jobs),
        _pg_dump(catalog),
    ]


def _version(catalog: Catalog) -> CheckItem:
    major = catalog.version // 10_000
    return CheckItem(
        item="server version",
        ok=OLDEST <= major <= NEWEST,
        found=str(catalog.value("SELECT current_setting('server_version')")),
        hint=None if OLDEST <= major <= NEWEST else f"tested with {OLDEST} to {NEWEST}",
    )


def _rights(catalog: Catalog, relations: Sequence[Relation]) -> CheckItem:
    closed = [r.name for r in relations if not (r.may_select and r.may_use_schema)]
    if not closed:
        return CheckItem(item="read tables", ok=True, found=f"all {len(relations)} tables")
    role = catalog.value("SELECT quote_ident(current_user)")
    schemas = sorted({str(name.schema) for name in closed})
    return CheckItem(
        item="read tables",
        ok=False,
        found=f"{len(closed)} of {len(relations)} tables may not be read: "
        + ", ".join(map(str, closed)),
        hint=f"GRANT USAGE ON SCHEMA {', '.join(schemas)} TO {role}; "
        f"GRANT SELECT ON ALL TABLES IN SCHEMA {', '.join(schemas)} TO {role}",
    )


def _hidden_rows(relations: Sequence[Relation]) -> CheckItem:
    hidden = [str(r.name) for r in relations if r.hides_rows]
    return CheckItem(
        item="row-level security",
        ok=not hidden,
        found=f"hides rows of {', '.join(hidden)}" if hidden else "hides nothing from this role",
        hint="use the tables' owner or a role with BYPASSRLS" if hidden else None,
    )


def _sequences(catalog: Catalog) -> CheckItem:
    count = catalog.value(
        "SELECT count(*) FROM pg_sequences s JOIN pg_namespace n ON n.nspname = s.schemaname "
        "JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = s.sequencename "
        "WHERE c.relpersistence <> 't' AND NOT has_sequence_privilege(c.oid, 'SELECT')"
    )
    return CheckItem(
        item="read sequences",
        ok=count == 0,
        found=f"{count} positions are hidden" if count else "all positions",
        hint="GRANT SELECT ON ALL SEQUENCES IN SCHEMA ... TO this role" if count else None,
    )


def _snapshot(catalog: Catalog) -> CheckItem:
    standby = catalog.value("SELECT pg_is_in_recovery()")
    try:
        catalog.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", doing="opening a snapshot")
        catalog.value("SELECT pg_export_snapshot()")
        catalog.run("ROLLBACK", doing="closing the snapshot")
    except SourceError as failure:
        return CheckItem(
            item="consistent snapshot",
            ok=False,
            found=failure.message,
            hint="connect to the server itself, not through a pooler in transaction mode",
        )
    found = "can be shared by all workers"
    return CheckItem(
        item="consistent snapshot",
        ok=True,
        found=f"{found}, on a hot standby, which may cancel long exports" if standby else found,
        hint="raise max_standby_streaming_delay for long exports" if standby else None,
    )


def _connections(catalog: Catalog, jobs: int) -> CheckItem:
    free = catalog.value(
        "SELECT current_setting('max_connections')::int "
        "- current_setting('superuser_reserved_connections')::int - count(*) "
        "FROM pg_stat_activity WHERE backend_type = 'client backend'"
    )
    needed = jobs + 2
    return CheckItem(
        item="connections",
        ok=free >= needed,
        found=f"{free} free, {needed} needed for {jobs} jobs",
        hint=None if free >= needed else "lower --jobs or raise max_connections",
    )


def _pg_dump(catalog: Catalog) -> CheckItem:
    found, why = find_pg_dump(catalog.version // 10_000)
    if found is not None:
        return CheckItem(item="pg_dump", ok=True, found=f"{found.version} at {found.path}")
    return CheckItem(
        item="pg_dump",
        ok=False,
        found=why,
        hint=f"install the PostgreSQL client {catalog.version // 10_000} or newer, or name it in "
        "DBSYNC_PG_DUMP; without it some kinds of objects are reported as lost",
    )
