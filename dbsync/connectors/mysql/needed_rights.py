"""Which rights an import needs before it begins, and which of them this user lacks.

What lives here: rights for rows, for steps of the schema, for the ledger and for numbering tables.
Must not know: how steps are planned, how anything is written.

Where the server can be asked by preparing a statement it is, see `target_rights`. Statements of
DDL it prepares without looking at rights, so for those SHOW GRANTS is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dbsync.connectors.base import TablePlan
from dbsync.connectors.mysql import ledger as ledgers
from dbsync.connectors.mysql.connection import Session, quote_name
from dbsync.connectors.mysql.existing import TargetTable
from dbsync.connectors.mysql.fit import written_columns
from dbsync.connectors.mysql.rights import Rights
from dbsync.connectors.mysql.steps import MadeKind, SchemaSteps
from dbsync.connectors.mysql.target_rights import may_create, may_run

_MAKING: dict[MadeKind, str] = {
    "view": "CREATE VIEW",
    "function": "CREATE ROUTINE",
    "procedure": "CREATE ROUTINE",
    "package": "CREATE ROUTINE",
    "package body": "CREATE ROUTINE",
    "trigger": "TRIGGER",
    "event": "EVENT",
    "indexes": "ALTER",
    "foreign keys": "ALTER",
}


def missing_for_schema(session: Session, rights: Rights, steps: SchemaSteps) -> list[str]:
    """List the rights on the whole database that the steps need and this user lacks."""
    kinds = {s.made.kind for s in (*steps.before, *steps.keys, *steps.routines, *steps.after)}
    lacks = [] if not steps.before or may_create(session) else ["CREATE"]
    needed = list(dict.fromkeys(right for kind, right in _MAKING.items() if kind in kinds))
    if any(step.made.kind == "table" for step in steps.before):
        needed = list(dict.fromkeys(["ALTER", *needed]))  # for their numbers too
    if "foreign keys" in kinds and session.flavour.references_right:
        needed.append("REFERENCES")
    return lacks + [right for right in needed if not rights.on_database(session.database, right)]


def missing_for_rows(session: Session, plan: TablePlan, target: TargetTable) -> list[str]:
    """List the rights on one table that is there, or on its columns, that its rows need."""
    table = quote_name(target.name.name)
    pairs = written_columns(plan.source, target)
    names = [quote_name(found.name) for _, found in pairs]
    changed = [quote_name(found.name) for own, found in pairs if own.name not in plan.key]
    statements = {
        "SELECT": f"SELECT {', '.join(names) or '1'} FROM {table}",
        "INSERT": f"INSERT INTO {table} ({', '.join(names)}) VALUES "
        f"({', '.join(['DEFAULT'] * len(names))})",
    }
    if plan.mode in ("update", "merge") and changed:
        assigned = ", ".join(f"{name} = DEFAULT" for name in changed)
        statements["UPDATE"] = f"UPDATE {table} SET {assigned}"
    if plan.action == "overwrite":
        statements["DELETE"] = f"DELETE FROM {table}"
    return [right for right, sql in statements.items() if not may_run(session, sql)]


def missing_for_ledger(session: Session, rights: Rights) -> list[str]:
    """List the rights to the ledger's table that this user lacks."""
    table = quote_name(ledgers.TABLE)
    lacks = [] if may_create(session) else ["CREATE"]
    lacks += [
        right
        for right, statement in (
            ("SELECT", f"SELECT item FROM {table}"),
            ("INSERT", f"INSERT INTO {table} (item) VALUES ('')"),
            ("UPDATE", f"UPDATE {table} SET item = ''"),
            ("DELETE", f"DELETE FROM {table}"),
        )
        if not may_run(session, statement)
    ]
    if not rights.on_table(session.database, ledgers.TABLE, "DROP"):
        lacks.append("DROP")
    return lacks


def not_alterable(session: Session, rights: Rights, tables: Iterable[str]) -> Iterator[str]:
    """List the tables whose definition, and so whose next number, this user may not change."""
    for table in tables:
        if not rights.on_table(session.database, table, "ALTER"):
            yield table
