"""Which foreign keys of the portable model InnoDB can have, and what becomes of the others.

Must not know: names, connections. Outside facts:
https://dev.mysql.com/doc/refman/8.0/en/create-table-foreign-keys.html and
https://mariadb.com/kb/en/foreign-keys/.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec.structs import replace

from dbsync.connectors.mysql.flavour import Flavour
from dbsync.connectors.mysql.mapping import column_types
from dbsync.model.schema import ForeignKey, Table

Severity = Literal["lost", "changed"]
_MOST_COLUMNS = 16


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """The foreign key that can be made, None where none can; and what differs or is lost."""

    key: ForeignKey | None
    losses: tuple[tuple[str, Severity], ...] = ()


def possible_reference(
    table: Table, key: ForeignKey, referred: Table | None, flavour: Flavour
) -> Reference:
    """Say what of a foreign key InnoDB can have.

    `referred` is the table that it refers to where this import makes that as well; otherwise the
    table stands on the target, and the server decides.
    """
    reason = _impossible(table, key, referred, flavour)
    if reason is not None:
        return Reference(key=None, losses=((reason, "lost"),))
    losses: list[tuple[str, Severity]] = []
    changed = key
    if key.deferrable:
        losses.append(("is checked at once: it cannot be deferred here", "lost"))
        changed = replace(changed, deferrable=False, initially_deferred=False)
    closed = [name for name in key.columns if not _nullable(table, name)]
    for action, word in (("on_update", "UPDATE"), ("on_delete", "DELETE")):
        wanted = getattr(key, action)
        if wanted == "set default":
            losses.append((f"ON {word} SET DEFAULT is not known to InnoDB", "lost"))
            changed = replace(changed, **{action: "no action"})
        elif wanted == "set null" and closed:
            losses.append(
                (f"ON {word} SET NULL is refused here, as {closed[0]} is NOT NULL", "changed")
            )
            changed = replace(changed, **{action: "no action"})
    return Reference(key=_in_order(changed, referred), losses=tuple(losses))


def _nullable(table: Table, name: str) -> bool:
    key = table.primary_key.columns if table.primary_key else ()
    column = table.column(name)
    return column.nullable and name not in key and column.identity is None


def _impossible(
    table: Table, key: ForeignKey, referred: Table | None, flavour: Flavour
) -> str | None:
    known = {c.name for c in table.columns}
    if not known.issuperset(key.columns):
        return "not all of its columns are in the archive"
    if len(key.columns) > _MOST_COLUMNS:
        return f"has more than {_MOST_COLUMNS} columns"
    if referred is None:
        return None  # on the target already, or reported where the statement is written
    if _key_of(key, referred) is None:
        return f"columns {', '.join(key.referred_columns)} of {referred.name} are not unique"
    own, other = column_types(table, flavour), column_types(referred, flavour)
    for mine, theirs in zip(key.columns, key.referred_columns, strict=True):
        if theirs not in other:
            return "not all of its columns are in the archive"
        pair = (own[mine][0], other[theirs][0])
        if _comparable(pair[0]) != _comparable(pair[1]):
            return f"column {mine} is {pair[0]} and {referred.name}.{theirs} is {pair[1]} here"
    return None


def _key_of(key: ForeignKey, referred: Table) -> tuple[str, ...] | None:
    keys = [k.columns for k in (referred.primary_key, *referred.uniques) if k is not None]
    keys += [
        tuple(part.column or "" for part in index.columns)
        for index in referred.indexes
        if index.unique and index.portable
    ]
    wanted = set(key.referred_columns)
    return next((columns for columns in keys if set(columns) == wanted), None)


def _in_order(key: ForeignKey, referred: Table | None) -> ForeignKey:
    """Put the columns in the order of the key that they refer to, which InnoDB asks for."""
    order = _key_of(key, referred) if referred is not None else None
    if order is None:
        return key
    pairs = dict(zip(key.referred_columns, key.columns, strict=True))
    return replace(key, columns=tuple(pairs[name] for name in order), referred_columns=order)


def _comparable(text: str) -> str:
    """Reduce a type to what has to be equal on both sides: lengths of texts may differ."""
    name, _, _ = text.partition("(")
    if name in ("varchar", "char"):
        return "text"
    return "bytes" if name in ("varbinary", "binary") else text.partition(" DEFAULT")[0]
