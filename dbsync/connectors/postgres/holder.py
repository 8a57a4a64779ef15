"""Fixing one moment for all tables: locks first, then the snapshot, then a second look.

What lives here: `Holder`, the session that keeps locks and snapshot while rows are read. Must not
know: columns, rows, native DDL.

A snapshot alone is not enough: TRUNCATE and a rewriting ALTER are not undone by it, and a later
read would silently find nothing. LOCK TABLE takes no snapshot, so the locks are there first; what
changed between the first look and the locks shows in the second look, and then all starts over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psycopg2

from dbsync.connectors.base import Consistency
from dbsync.connectors.postgres.connection import Address, open_session, quote_name
from dbsync.connectors.postgres.failures import cause, sqlstate, translate
from dbsync.connectors.postgres.query import Catalog
from dbsync.connectors.postgres.relations import Relation, list_relations, measure
from dbsync.errors import ConflictError, DbsyncError, SourceError
from dbsync.model.schema import Name

_TRIES = 10
_LOCKS_PER_STATEMENT = 500
_UNDEFINED_TABLE = "42P01"
_LOCK_NOT_AVAILABLE = "55P03"


@dataclass
class Holder:
    """An open transaction with ACCESS SHARE on `relations` and an exported snapshot."""

    catalog: Catalog
    token: str
    relations: list[Relation]
    """All tables of the database or schema, as of the snapshot."""
    chosen: list[Relation]
    unlocked: list[Name]
    """Of `chosen`, what this role may read only by column, and so not lock."""
    consistency: Consistency

    @property
    def locks(self) -> list[str]:
        """What each worker locks too: all that is locked, unless these would be very many locks.

        The lock table of a server has room for about 6,400 in its default configuration.
        """
        names = [_lockable(r) for r in self.chosen if r.may_select]
        return names if len(names) <= _LOCKS_PER_STATEMENT else []

    def ensure_alive(self) -> None:
        """Raise `SourceError` unless the locks have been held without a gap until now."""
        self.catalog.rows(
            "SELECT 1",
            doing="holding the snapshot",
            hint="the session that held the locks has ended, so rows may be missing: run it again",
        )

    def close(self) -> None:
        """End the transaction; may be repeated."""
        self.catalog.connection.close()


def hold(
    address: Address,
    schema: str | None,
    choose: Callable[[Sequence[Relation]], list[Relation]],
    *,
    lock_timeout_s: int,
) -> Holder:
    """Open the holder for the tables that `choose` picks; the caller closes it.

    `choose` raises for a selection that does not fit. Raises `ConflictError` for a lock that was
    not free in time, or a schema that does not stand still.
    """
    settings = {"lock_timeout": str(lock_timeout_s * 1000)}
    session = open_session(address, SourceError, settings=settings)
    catalog = Catalog(session, SourceError, address.secrets)
    try:
        relations = list_relations(catalog, schema)
        for _ in range(_TRIES):
            chosen = choose(relations)
            catalog.run(
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", doing="opening the snapshot"
            )
            if _lock(catalog, [r for r in chosen if r.may_select], lock_timeout_s):
                token = str(catalog.value("SELECT pg_export_snapshot()"))
                relations = list_relations(catalog, schema)
                again = choose(relations)
                if [r.identity for r in again] == [r.identity for r in chosen]:
                    return _holder(catalog, token, relations, again)
                catalog.run("ROLLBACK", doing="starting over")
            else:
                catalog.run("ROLLBACK", doing="starting over")
                relations = list_relations(catalog, schema)
    except BaseException:
        session.close()
        raise
    session.close()
    raise ConflictError(
        f"tables were created, dropped or renamed during each of {_TRIES} attempts to fix a moment",
        hint="export when no migration is running",
        retryable=True,
    )


def _holder(
    catalog: Catalog, token: str, relations: list[Relation], chosen: list[Relation]
) -> Holder:
    unlocked = [r.name for r in chosen if not r.may_select]
    sizes = {r.oid: r for r in measure(catalog, [r for r in chosen if r.may_select])}
    chosen = [sizes.get(r.oid, r) for r in chosen]
    notes: list[str] = []
    if catalog.value("SELECT pg_is_in_recovery()"):
        notes.append("read from a hot standby, which may cancel the export to keep up")
    if unlocked:
        names = ", ".join(map(str, unlocked))
        notes.append(f"not locked, for lack of SELECT on the whole table: {names}")
    consistency = Consistency(level="snapshot", token=token, note="; ".join(notes) or None)
    return Holder(catalog, token, relations, chosen, unlocked, consistency)


def _lock(catalog: Catalog, relations: Sequence[Relation], lock_timeout_s: int) -> bool:
    """Lock all; False where one of them has disappeared, so that the list must be made anew."""
    names = [_lockable(relation) for relation in relations]
    for at in range(0, len(names), _LOCKS_PER_STATEMENT):
        batch = names[at : at + _LOCKS_PER_STATEMENT]
        try:
            with catalog.connection.cursor() as cursor:
                cursor.execute(f"LOCK TABLE {', '.join(batch)} IN ACCESS SHARE MODE")
        except psycopg2.Error as failure:
            code = sqlstate(failure)
            if code == _UNDEFINED_TABLE:
                return False
            if code == _LOCK_NOT_AVAILABLE:
                raise _locked(catalog, batch, lock_timeout_s) from failure
            raise translate(failure, SourceError, "locking the tables") from failure
    return True


def _lockable(relation: Relation) -> str:
    # A child of a plain inheritance parent is a table of its own and locked for itself.
    only = "" if relation.kind == "p" else "ONLY "
    return only + quote_name(relation.name.schema, relation.name.name)


def _locked(catalog: Catalog, batch: Sequence[str], lock_timeout_s: int) -> DbsyncError:
    """Find out which table of a batch is held by someone else."""
    held: list[str] = []
    for name in batch:
        try:
            with catalog.connection.cursor() as cursor:
                cursor.execute("ROLLBACK")
                cursor.execute("BEGIN")
                cursor.execute(f"LOCK TABLE {name} IN ACCESS SHARE MODE NOWAIT")
        except psycopg2.Error as failure:
            if sqlstate(failure) == _LOCK_NOT_AVAILABLE:
                held.append(name.removeprefix("ONLY "))
            elif sqlstate(failure) is None:
                return SourceError(f"locking the tables failed: {cause(failure)}", retryable=True)
    what = f"table {', '.join(held[:5])}" if held else "one of the tables"
    return ConflictError(
        f"another session holds an exclusive lock on {what}; waited {lock_timeout_s} s",
        hint="wait until that ALTER, TRUNCATE, VACUUM FULL or LOCK has ended, then run it again",
        retryable=True,
    )
