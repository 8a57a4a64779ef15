"""In which order tables are loaded, and which of them share one transaction.

What lives here: foreign keys of tables that exist, as a graph. InnoDB checks a key row by row and
cannot put that off, so rows of a table may arrive only after the rows that they refer to. Where
tables refer to one another in a circle, or to themselves, they are loaded in one transaction with
the checks off, and looked at before it is committed. Tables that are overwritten share that
transaction too, and everything that its locks would block joins them. Must not know: how rows are
written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from dbsync.connectors.base import foreign_key_groups
from dbsync.connectors.mysql.existing import TargetForeignKey, TargetTable
from dbsync.model.schema import ForeignKey, Name, Table


class LoadOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Names are those of the archive.

    `groups` as `ImportPlan.table_order`; `shared` are loaded in one transaction by one connection
    without checks of foreign keys; `overwritten` are emptied at its start; `late` are the foreign
    keys that have to hold at its end, tables outside of the import among them.
    """

    groups: tuple[tuple[Name, ...], ...]
    shared: frozenset[Name] = frozenset()
    overwritten: frozenset[Name] = frozenset()
    late: tuple[TargetForeignKey, ...] = ()


_Edges = list[tuple[Name, Name]]


def order_tables(
    names: Iterable[Name],
    used: Mapping[Name, TargetTable],
    overwritten: Iterable[Name],
    *,
    everything: bool,
) -> LoadOrder:
    """Order `names`, of which `used` exist on the target and are appended to or overwritten."""
    wanted = list(names)
    by_name = {table.name.name: name for name, table in used.items()}
    edges: _Edges = [
        (name, by_name[key.referred])
        for name, table in used.items()
        for key in table.foreign_keys
        if key.schema is None and key.referred in by_name
    ]
    groups = foreign_key_groups(
        Table(
            name=name,
            columns=(),
            foreign_keys=tuple(
                ForeignKey(columns=(), referred=referred, referred_columns=())
                for own, referred in edges
                if own == name
            ),
        )
        for name in wanted
    )
    place = {name: number for number, group in enumerate(groups) for name in group}
    emptied = set(overwritten)
    if everything:
        shared = set(wanted)
    else:
        circling = {own for own, referred in edges if place[own] <= place[referred]}
        shared = _closed(emptied | circling, edges)
        if shared:
            # Triggers may touch tables that the shared transaction has locked.
            shared = _closed(shared | {n for n, t in used.items() if t.triggers}, edges)
    return LoadOrder(
        groups=tuple(tuple(group) for group in groups),
        shared=frozenset(shared),
        overwritten=frozenset(emptied),
        late=_late([used[n] for n in wanted if n in shared and n in used], emptied, used),
    )


def _closed(chosen: set[Name], edges: _Edges) -> set[Name]:
    """Add every table that is connected with a chosen one by foreign keys."""
    chosen = set(chosen)
    while more := {
        name
        for pair in edges
        for name in pair
        if name not in chosen and (pair[0] in chosen or pair[1] in chosen)
    }:
        chosen |= more
    return chosen


def _late(
    tables: Iterable[TargetTable], emptied: Iterable[Name], used: Mapping[Name, TargetTable]
) -> tuple[TargetForeignKey, ...]:
    """List the keys of the shared tables, and those that lead to tables that are emptied."""
    keys = {(key.table, key.name): key for table in tables for key in table.foreign_keys}
    for name in emptied:
        keys |= {(key.table, key.name): key for key in used[name].referenced_by}
    return tuple(keys[place] for place in sorted(keys))
