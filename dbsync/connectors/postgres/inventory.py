"""What else a database holds: facts for the archive, and things that no archive carries.

What lives here: `server_details` and `general_losses`. Must not know: tables that are exported.
"""

from __future__ import annotations

from dbsync.connectors.postgres.query import Catalog
from dbsync.connectors.postgres.relations import USER_SCHEMA
from dbsync.model.schema import Loss, Name

_FOREIGN = f"""
SELECT n.nspname::text AS schema, c.relname::text AS name
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'f' AND NOT c.relispartition AND {USER_SCHEMA}
  AND (%(schema)s::text IS NULL OR n.nspname = %(schema)s)
ORDER BY 1, 2
"""
_CONFIGURATION = f"""
SELECT n.nspname::text AS schema, c.relname::text AS name, x.extname::text AS extension
FROM pg_extension x CROSS JOIN unnest(x.extconfig) t(config)
JOIN pg_class c ON c.oid = t.config JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND {USER_SCHEMA} AND (%(schema)s::text IS NULL OR n.nspname = %(schema)s)
ORDER BY 1, 2
"""


def server_details(catalog: Catalog) -> dict[str, str]:
    """Read encoding, collation and time zone of the database, as they were configured."""
    (row,) = catalog.rows(
        """
        SELECT pg_encoding_to_char(encoding)::text AS encoding, datcollate::text AS collate,
            datctype::text AS ctype,
            coalesce(to_jsonb(d)->>'datlocale', to_jsonb(d)->>'daticulocale', '') AS locale,
            (SELECT reset_val FROM pg_settings WHERE name = 'TimeZone') AS timezone,
            (SELECT reset_val FROM pg_settings WHERE name = 'lc_monetary') AS lc_monetary,
            pg_is_in_recovery() AS standby
        FROM pg_database d WHERE datname = current_database()
        """
    )
    details = {key: str(value) for key, value in row.items() if value and key != "standby"}
    if row["standby"]:
        details["standby"] = "true"
    return details


def general_losses(catalog: Catalog, schema: str | None) -> list[Loss]:
    """List what the database holds and no archive carries, whatever tables are chosen."""
    parameters = {"schema": schema}
    losses = [
        Loss(
            object=f"rows of foreign table {Name(row['schema'], row['name'])}",
            reason="they are on another server",
        )
        for row in catalog.rows(_FOREIGN, parameters)
    ]
    losses += [
        Loss(
            object=f"rows of table {Name(row['schema'], row['name'])}",
            reason=f"it belongs to extension {row['extension']}, which fills it anew",
        )
        for row in catalog.rows(_CONFIGURATION, parameters)
    ]
    if schema is None:
        count = catalog.value("SELECT count(*) FROM pg_largeobject_metadata")
        if count:
            losses.append(
                Loss(object=f"{count} large objects", reason="only rows of tables are exported")
            )
        losses += [
            Loss(object=f"subscription {row['name']}", reason="it holds credentials")
            for row in catalog.rows(
                "SELECT subname::text AS name FROM pg_subscription WHERE subdbid = "
                "(SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY 1"
            )
        ]
        losses += [
            Loss(
                object=f"user mapping of {row['name']} for server {row['server']}",
                reason="it holds credentials",
            )
            for row in catalog.rows(
                "SELECT usename::text AS name, srvname::text AS server FROM pg_user_mappings "
                "ORDER BY 1, 2"
            )
        ]
    return losses
