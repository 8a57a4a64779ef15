"""Changes of the schema as plain values, and the first of them: schemas that are missing.

What lives here: `Step` and `SchemaSteps`. Must not know: what makes steps, how they are run.
"""

from __future__ import annotations

import msgspec

from dbsync.connectors.base import Stage
from dbsync.connectors.postgres.connection import quote_literal, quote_name
from dbsync.connectors.postgres.session import Asks
from dbsync.errors import TargetError
from dbsync.model.schema import Loss


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One change of the schema. `label` is unique within an import: the ledger's key.

    `keeps_existing`: where the object is there already, it stays as it is and the step is done.
    """

    stage: Stage
    label: str
    sql: str
    keeps_existing: bool = False


class SchemaSteps(msgspec.Struct, frozen=True, kw_only=True):
    """What is made before the rows and after them, in order, and what is not made."""

    before: tuple[Step, ...] = ()
    after: tuple[Step, ...] = ()
    losses: tuple[Loss, ...] = ()


def schema_steps(asks: Asks, schemas: set[str]) -> list[Step]:
    """Plan the schemas that are not there yet. Raises `TargetError` without the right to."""
    listed = ", ".join(quote_literal(schema) for schema in sorted(schemas))
    found = {
        row["name"]: row["may_create"]
        for row in asks.rows(
            "SELECT nspname AS name, has_schema_privilege(oid, 'CREATE') AS may_create "
            f"FROM pg_namespace WHERE nspname IN ({listed or 'NULL'})"
        )
    }
    for name, may_create in found.items():
        if not may_create:
            raise TargetError(
                f"this role may not create tables in schema {name}",
                hint=f"GRANT CREATE ON SCHEMA {quote_name(name)} to it, or choose another --schema",
            )
    missing = sorted(schemas - found.keys())
    if missing and not asks.rows(
        "SELECT 1 AS ok WHERE has_database_privilege(current_database(), 'CREATE')"
    ):
        raise TargetError(
            f"schema {missing[0]} does not exist and this role may not create schemas",
            hint="GRANT CREATE ON DATABASE to it, or choose an existing one with --schema",
        )
    return [
        Step(stage="create", label=f"schema {name}", sql=f"CREATE SCHEMA {quote_name(name)}")
        for name in missing
    ]
