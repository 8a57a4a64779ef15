"""The conflict key of a table that holds rows already.

Must not know: how rows are merged.
"""

from __future__ import annotations

from dbsync.connectors.base import ImportOptions
from dbsync.connectors.sqlite.catalog import RawTable
from dbsync.connectors.sqlite.naming import folded
from dbsync.errors import LossError
from dbsync.model.schema import Name, Table
from dbsync.model.selection import matches

_CHOICES = (
    "choose --on-conflict error to append the rows as they are, or --existing overwrite to replace"
    " those that are there"
)


def conflict_key(table: Table, raw: RawTable, options: ImportOptions) -> tuple[str, ...]:
    """Name the columns by which incoming rows meet existing ones, as the target spells them.

    That is the target's primary key, or the unique key that `options` name. Raises `LossError`
    where there is none, or where the archive lacks one of its columns.
    """
    asked = next(
        (
            columns
            for pattern, columns in options.conflict_keys.items()
            if matches(pattern, table.name) or matches(pattern, Name(None, raw.name))
        ),
        None,
    )
    if asked is not None:
        return _asked(raw, asked, table)
    key = raw.primary_key
    if not key:
        raise LossError(
            f"table {raw.name} holds rows and has no primary key to update them by",
            hint=f"{_CHOICES}, or name a not-null unique key",
        )
    _require_given(key, table, raw)
    return key


def _asked(raw: RawTable, asked: tuple[str, ...], table: Table) -> tuple[str, ...]:
    actual = {folded(c.name): c for c in raw.columns}
    wanted = {folded(name) for name in asked}
    keys = [raw.primary_key, *(_columns(raw, number) for number in range(len(raw.indexes)))]
    found = next((k for k in keys if k and {folded(c) for c in k} == wanted), None)
    named = ", ".join(asked)
    if found is None:
        raise LossError(
            f"table {raw.name} has no unique key over {named}",
            hint=f"create a unique index over these columns; or {_CHOICES}",
        )
    empty = [c for c in found if not actual[folded(c)].notnull and c != raw.rowid_alias]
    if empty and found != raw.primary_key:
        raise LossError(
            f"the unique key over {named} of table {raw.name} lets {', '.join(empty)} be NULL, and"
            " rows with NULL never meet",
            hint=f"declare these columns NOT NULL; or {_CHOICES}",
        )
    _require_given(found, table, raw)
    return found


def _columns(raw: RawTable, number: int) -> tuple[str, ...]:
    index = raw.indexes[number]
    columns = tuple(part.column for part in index.parts if part.column is not None)
    usable = index.unique and not index.partial and len(columns) == len(index.parts)
    return columns if usable else ()


def _require_given(key: tuple[str, ...], table: Table, raw: RawTable) -> None:
    given = {folded(c.name) for c in table.columns}
    missing = [c for c in key if folded(c) not in given]
    if missing:
        raise LossError(
            f"table {raw.name} holds rows, and the archive lacks {', '.join(missing)} of the key to"
            " update them by",
            hint=_CHOICES,
        )


def collations(raw: RawTable, key: tuple[str, ...]) -> dict[str, str]:
    """Give the collation under which each column of a key is unique; empty for a rowid."""
    wanted = {folded(c) for c in key}
    for index in raw.indexes:
        columns = {folded(part.column) for part in index.parts if part.column is not None}
        if index.unique and not index.partial and columns == wanted:
            return {p.column: p.collation for p in index.parts if p.column is not None}
    return {}
