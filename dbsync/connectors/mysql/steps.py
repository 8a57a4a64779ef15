"""Changes of the schema as plain values, and whether one has been made already.

What lives here: `Step`, `SchemaSteps`, and looking for what a step makes. Must not know: what
makes steps, in which order they are run.

DDL of MySQL commits by itself, but each statement is atomic (MySQL 8.0 "Atomic DDL", MariaDB 10.6
"Atomic DDL"): what a step makes is there as a whole or not at all.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from typing import Literal

import msgspec

from dbsync.connectors.base import Stage
from dbsync.connectors.mysql.connection import Session, quote_literal, quote_name
from dbsync.connectors.mysql.native import replayable
from dbsync.errors import DbsyncError
from dbsync.model.schema import Loss, Name

MadeKind = Literal[
    "table", "view", "sequence", "function", "procedure", "package", "package body", "trigger",
    "event", "indexes", "foreign keys",
]  # fmt: skip


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """What a step makes, as the server can be asked for it.

    `names` are those of the object, or of all the indexes or foreign keys that one statement adds
    to `table`.
    """

    kind: MadeKind
    names: tuple[str, ...]
    table: str | None = None


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One statement of DDL. `label` is unique within an import: the ledger's key.

    `settings` are session variables under which the statement has to run. `source` is the table of
    the archive that the step makes, for steps that make one.
    """

    stage: Stage
    label: str
    sql: str
    made: Made
    settings: dict[str, str] = {}
    source: Name | None = None


class SchemaSteps(msgspec.Struct, frozen=True, kw_only=True):
    """What is made before the rows and after them, in order, and what is not made.

    `before` are tables, and what their definitions need. `keys` are the indexes and foreign keys
    of new tables: after the rows, which is faster, or before them where rows and everything that
    can fail have to be one transaction. `routines` need no rows, `after` must wait for them.
    """

    before: tuple[Step, ...] = ()
    keys: tuple[Step, ...] = ()
    routines: tuple[Step, ...] = ()
    after: tuple[Step, ...] = ()
    losses: tuple[Loss, ...] = ()
    faithful: frozenset[Name] = frozenset()
    """Tables of the archive that are made with the very types they had."""


DATABASE_COLLATION = "collation_database"
"""The setting that tells the database's collation when a routine, trigger or event was made."""

_RELATIONS = {
    "table": ("BASE TABLE", "SYSTEM VERSIONED"),
    "view": ("VIEW",),
    "sequence": ("SEQUENCE",),
}
_BY_NAME = {
    "function": "ROUTINES WHERE ROUTINE_SCHEMA = %s AND ROUTINE_TYPE = 'FUNCTION' AND "
    "ROUTINE_NAME = %s",
    "procedure": "ROUTINES WHERE ROUTINE_SCHEMA = %s AND ROUTINE_TYPE = 'PROCEDURE' AND "
    "ROUTINE_NAME = %s",
    "package": "ROUTINES WHERE ROUTINE_SCHEMA = %s AND ROUTINE_TYPE = 'PACKAGE' AND "
    "ROUTINE_NAME = %s",
    "package body": "ROUTINES WHERE ROUTINE_SCHEMA = %s AND "
    "ROUTINE_TYPE = 'PACKAGE BODY' AND ROUTINE_NAME = %s",
    "trigger": "TRIGGERS WHERE TRIGGER_SCHEMA = %s AND TRIGGER_NAME = %s",
    "event": "EVENTS WHERE EVENT_SCHEMA = %s AND EVENT_NAME = %s",
    "indexes": "STATISTICS WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s AND INDEX_NAME = %s",
    "foreign keys": "TABLE_CONSTRAINTS WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s "
    "AND CONSTRAINT_TYPE = 'FOREIGN KEY' AND CONSTRAINT_NAME = %s",
}


def is_there(session: Session, made: Made) -> bool:
    """Say whether the server has what a step makes: the first of its names, as all come at once."""
    doing = f"looking for {made.kind} {made.names[0]}"
    if made.kind in _RELATIONS:
        found = session.value(
            "SELECT TABLE_TYPE FROM information_schema.TABLES "
            "WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s",
            doing,
            (session.database, made.names[0]),
        )
        return found in _RELATIONS[made.kind]
    values = (session.database, *([made.table] if made.table else []), made.names[0])
    query = f"SELECT 1 AS x FROM information_schema.{_BY_NAME[made.kind]} LIMIT 1"
    return session.value(query, doing, values) is not None


@contextmanager
def under(session: Session, settings: Mapping[str, str], doing: str) -> Generator[None]:
    """Run what is inside under other session variables, and put the session's own ones back.

    The database's collation among them is the database's own for that long, as mariadb-dump's
    output has it too: text in a routine that names no character set takes the one that stands
    there when the routine is made, whatever the session's variable says.
    """
    own = {name: session.value(f"SELECT @@SESSION.{name}", doing) for name in settings}
    failed = True
    try:
        for name, value in settings.items():
            if value != own[name]:
                _set(session, name, value, doing)
        yield
        failed = False
    finally:
        # A failure is on its way already; a session that cannot be restored is lost anyway.
        with suppress(DbsyncError) if failed else nullcontext():
            for name, value in own.items():
                if value != settings[name]:
                    _set(session, name, value, doing)


def _set(session: Session, name: str, value: str, doing: str) -> None:
    if name == DATABASE_COLLATION:
        database, collation = quote_name(session.database), quote_literal(value)
        session.run(f"ALTER DATABASE {database} COLLATE {collation}", doing)
    else:
        session.run(f"SET SESSION {name} = %s", doing, (value,))


def run_step(session: Session, step: Step) -> None:
    """Run the statement of a step under its settings."""
    doing = f"creating {step.label}"
    sql, settings = replayable(step.sql, step.settings)
    with under(session, settings, doing):
        session.run(sql, doing)


def drop_statement(made: Made, quoted: str) -> str | None:
    """Write the statement that removes a table, view, routine or sequence that was just made."""
    if made.kind in ("indexes", "foreign keys"):
        return None
    return f"DROP {made.kind.upper()} IF EXISTS {quoted}"
