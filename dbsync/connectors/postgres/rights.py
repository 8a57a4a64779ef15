"""What `dbsync check` says of a target: rights, and what is missing.

What lives here: one line for each right that an import may need. Must not know: any import.
"""

from __future__ import annotations

from dbsync.connectors.base import CheckItem
from dbsync.connectors.postgres.connection import quote_literal, quote_name
from dbsync.connectors.postgres.session import Asks

_QUERY = """
SELECT current_database() AS database, current_user AS role,
    current_setting('server_version') AS version, pg_is_in_recovery() AS standby,
    current_setting('transaction_read_only') = 'on' AS read_only,
    has_database_privilege(current_database(), 'TEMPORARY') AS temporary,
    has_database_privilege(current_database(), 'CREATE') AS create_schema,
    EXISTS (SELECT FROM pg_namespace WHERE nspname = {schema}) AS schema_exists,
    EXISTS (SELECT FROM pg_namespace WHERE nspname = {schema}
        AND has_schema_privilege(oid, 'CREATE')) AS create_table,
    EXISTS (SELECT FROM pg_namespace WHERE nspname IN ('public', current_user)
        AND has_schema_privilege(oid, 'CREATE')) AS ledger,
    EXISTS (SELECT FROM pg_language WHERE lanname = 'plpgsql') AS plpgsql,
    (SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p') AND n.nspname = {schema}) AS tables,
    (SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p') AND n.nspname = {schema}
     AND NOT (has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
              AND has_table_privilege(c.oid, 'UPDATE'))) AS closed,
    (SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p') AND n.nspname = {schema} AND row_security_active(c.oid))
        AS hidden
"""


def check_target(asks: Asks, schema: str | None) -> list[CheckItem]:
    """Answer for `schema`, or ``public``; changes nothing."""
    name = schema or "public"
    found = asks.rows(_QUERY.format(schema=quote_literal(name)))[0]
    database, role = quote_name(found["database"]), quote_name(found["role"])
    make = found["create_table"] or (found["create_schema"] and not found["schema_exists"])
    return [
        CheckItem(item="server", ok=True, found=f"PostgreSQL {found['version']}"),
        _right(
            "writes",
            not (found["standby"] or found["read_only"]),
            "a standby"
            if found["standby"]
            else "transactions are read-only"
            if found["read_only"]
            else f"as role {found['role']}",
            "connect to the primary, as a role whose transactions may write",
        ),
        _right(
            "create tables",
            make,
            f"in schema {name}",
            f"GRANT CREATE ON SCHEMA {quote_name(name)} TO {role} (only for --include-schema)",
        ),
        _right(
            "write existing tables",
            not found["closed"],
            f"{found['tables'] - found['closed']} of {found['tables']} tables in schema {name}",
            f"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA {quote_name(name)} TO {role}",
        ),
        _right(
            "see every row",
            not found["hidden"],
            f"row-level security applies to {found['hidden']} tables in schema {name}",
            f"ALTER ROLE {role} BYPASSRLS, or import as the owner",
        ),
        _right(
            "temporary tables",
            found["temporary"],
            "for upserts and for types that travel as text",
            f"GRANT TEMPORARY ON DATABASE {database} TO {role}",
        ),
        _right(
            "exactly once",
            found["ledger"],
            "an interrupted import can go on where it stopped"
            if found["ledger"]
            else "no schema for the ledger: an interrupted import cannot be resumed",
            f"GRANT CREATE ON SCHEMA public TO {role}",
        ),
        _right(
            "native DDL",
            found["plpgsql"],
            "language plpgsql" + ("" if found["plpgsql"] else " is missing"),
            "CREATE EXTENSION plpgsql",
        ),
    ]


def _right(item: str, ok: bool, found: str, hint: str) -> CheckItem:
    return CheckItem(item=item, ok=ok, found=found, hint=None if ok else hint)
