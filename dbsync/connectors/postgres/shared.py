"""The transaction that several tables share: how it begins and how it ends.

What lives here: emptying what is overwritten, putting off foreign keys that close a circle, and
rules, all of it undone or made good before the commit, so that no one else ever sees it. Must not
know: how rows are written, who commits.
"""

from __future__ import annotations

from collections.abc import Iterable

from dbsync.connectors.postgres.connection import quote_name
from dbsync.connectors.postgres.existing import TargetTable
from dbsync.connectors.postgres.order import LoadOrder
from dbsync.connectors.postgres.session import Session


def empty_tables(session: Session, tables: Iterable[TargetTable]) -> None:
    """Remove every row of `tables`, which are all those that refer to one another."""
    # ONLY keeps tables that inherit; a partitioned one has to include its partitions.
    names = ", ".join(t.sql if t.kind == "p" else f"ONLY {t.sql}" for t in tables)
    if names:
        session.run(f"TRUNCATE {names}", "emptying the tables that are overwritten")


def relax(session: Session, order: LoadOrder, tables: Iterable[TargetTable]) -> None:
    """Put off the keys of `order` until the end, and turn off the rules of `tables`."""
    for key in order.late:
        if key.alter:
            session.run(
                f"ALTER TABLE {key.table} ALTER CONSTRAINT {quote_name(key.name)} "
                "DEFERRABLE INITIALLY DEFERRED",
                f"putting off constraint {key.name} of {key.table}",
            )
    if order.late:
        session.run("SET CONSTRAINTS ALL DEFERRED", "putting off constraints")
    _switch_rules(session, tables, on=False)


def tighten(session: Session, order: LoadOrder, tables: Iterable[TargetTable]) -> None:
    """Check what was put off, and leave keys and rules as they were found."""
    # A table with checks yet to come cannot be altered.
    session.run("SET CONSTRAINTS ALL IMMEDIATE", "checking constraints")
    _switch_rules(session, tables, on=True)
    for key in order.late:
        if key.alter:
            session.run(
                f"ALTER TABLE {key.table} ALTER CONSTRAINT {quote_name(key.name)} NOT DEFERRABLE",
                f"restoring constraint {key.name} of {key.table}",
            )


def _switch_rules(session: Session, tables: Iterable[TargetTable], *, on: bool) -> None:
    """Turn rules off while rows arrive: they go into the table that they come from."""
    for table in tables:
        for statement in table.switch_rules(on=on):
            session.run(statement, f"turning rules of {table.name} {'on' if on else 'off'}")
