"""In which order tables are loaded, and which of them share one transaction.

What lives here: foreign keys of tables that exist, as a graph. Rows of a table may arrive only
after the rows that they refer to; where tables refer to one another in a circle, or to
themselves, their keys are checked at the end of one transaction instead. Tables that are
overwritten share a transaction too, and everything that a lock of it would block joins them.
Must not know: how rows are written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from dbsync.connectors.base import foreign_key_groups
from dbsync.connectors.postgres.existing import Reference, TargetTable
from dbsync.errors import TargetError
from dbsync.model.schema import ForeignKey, Name, Table


class LateKey(msgspec.Struct, frozen=True, kw_only=True):
    """A foreign key that is checked at the end of the shared transaction."""

    table: str
    """Quoted and qualified."""
    name: str
    alter: bool
    """It must be made deferrable first, and back afterwards."""


class LoadOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Names are those of the archive.

    `groups` as `ImportPlan.table_order`; `shared` are loaded in one transaction by one connection;
    `overwritten` are emptied at its start.
    """

    groups: tuple[tuple[Name, ...], ...]
    shared: frozenset[Name] = frozenset()
    overwritten: frozenset[Name] = frozenset()
    late: tuple[LateKey, ...] = ()


def order_tables(
    names: Iterable[Name],
    used: Mapping[Name, TargetTable],
    references: Iterable[Reference],
    overwritten: Iterable[Name],
    *,
    everything: bool,
) -> LoadOrder:
    """Order `names`, of which `used` exist on the target and are appended to or overwritten.

    Raises `TargetError` where a table cannot be emptied because one outside of the import refers
    to it, and where a circle of keys cannot be deferred by this role.
    """
    by_oid = {table.oid: name for name, table in used.items()}
    known = list(references)
    inside = [r for r in known if r.table in by_oid and r.referred in by_oid]
    edges = [(by_oid[r.table], by_oid[r.referred], r) for r in inside]
    emptied = _with_referring(set(overwritten), edges)
    _refuse_outside(emptied, used, known, by_oid)
    groups = foreign_key_groups(
        Table(
            name=name,
            columns=(),
            foreign_keys=tuple(
                ForeignKey(columns=(), referred=referred, referred_columns=())
                for own, referred, _ in edges
                if own == name
            ),
        )
        for name in names
    )
    place = {name: number for number, group in enumerate(groups) for name in group}
    late = [(own, r) for own, referred, r in edges if place[own] <= place[referred]]
    shared = set(names) if everything else _closed(emptied | {own for own, _ in late}, edges)
    if shared:
        # Triggers may touch tables that the shared transaction has locked.
        shared |= {name for name, table in used.items() if table.has_triggers}
        shared = shared if everything else _closed(shared, edges)
    return LoadOrder(
        groups=tuple(tuple(group) for group in groups),
        shared=frozenset(shared),
        overwritten=frozenset(emptied),
        late=tuple(_late(used[own], r) for own, r in late),
    )


_Edges = list[tuple[Name, Name, Reference]]


def _with_referring(chosen: set[Name], edges: _Edges) -> set[Name]:
    """Add tables that refer to a chosen one: they can only be emptied together."""
    while more := {own for own, referred, _ in edges if referred in chosen} - chosen:
        chosen |= more
    return chosen


def _closed(chosen: set[Name], edges: _Edges) -> set[Name]:
    """Add every table that is connected with a chosen one by foreign keys."""
    chosen = set(chosen)
    while more := {
        name
        for own, referred, _ in edges
        for name in (own, referred)
        if (own in chosen or referred in chosen) and name not in chosen
    }:
        chosen |= more
    return chosen


def _refuse_outside(
    emptied: set[Name],
    used: Mapping[Name, TargetTable],
    references: list[Reference],
    by_oid: Mapping[int, Name],
) -> None:
    oids = {used[name].oid: name for name in emptied}
    for reference in references:
        if reference.referred in oids and reference.table not in by_oid:
            raise TargetError(
                f"table {used[oids[reference.referred]].name} cannot be overwritten: constraint "
                f"{reference.name} of a table outside of this import refers to it",
                hint="import that table as well, drop its foreign key first, or use "
                "--existing append",
            )
    for name in emptied:
        table = used[name]
        if not table.may_truncate:
            raise TargetError(
                f"table {table.name} cannot be overwritten: this role lacks TRUNCATE on it",
                hint=f"GRANT TRUNCATE ON {table.sql} to it",
            )


def _late(table: TargetTable, reference: Reference) -> LateKey:
    if not reference.deferrable and not table.owned:
        raise TargetError(
            f"constraint {reference.name} of table {table.name} closes a circle of foreign keys "
            "and is not deferrable, and this role does not own the table",
            hint="import as the owner, or make the constraint DEFERRABLE",
        )
    return LateKey(table=table.sql, name=reference.name, alter=not reference.deferrable)
