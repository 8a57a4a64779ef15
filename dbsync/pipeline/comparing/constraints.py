"""Which keys of an archive a database lacks: primary, unique and foreign ones.

Must not know: engines. What a key is called and whether an index enforces it does not matter;
which columns it speaks of does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from dbsync.model.schema import Loss, Name, Table
from dbsync.pipeline.comparing.match import counterparts


def missing_keys(
    archived: Sequence[Table], there: Sequence[Table], losses: Iterable[Loss]
) -> list[str]:
    """List keys of the `archived` tables that `there` does not have, a line each.

    What the loss report has told beforehand is no surprise, and left out.
    """
    told = [loss.object for loss in losses]
    found = counterparts(there, [table.name for table in archived], None)
    lines: list[str] = []
    for table in archived:
        other = found[table.name]
        if other is None:
            lines.append(f"table {table.name} is not there")
            continue
        lines += (
            f"table {table.name} has lost its {kind} ({', '.join(columns)})"
            for kind, columns in _missing(table, other, found)
            if not any(kind in one and str(table.name) in one for one in told)
        )
    return lines


def _missing(
    table: Table, other: Table, found: dict[Name, Table | None]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    key = table.primary_key
    unique = _unique(other)
    if key is not None and (
        other.primary_key is None or _folded(key.columns) != _folded(other.primary_key.columns)
    ):
        yield "primary key", key.columns
    for one in table.uniques:
        if frozenset(_folded(one.columns)) not in unique:
            yield "unique key", one.columns
    references = {
        (
            frozenset(zip(_folded(fk.columns), _folded(fk.referred_columns), strict=False)),
            fk.referred,
        )
        for fk in other.foreign_keys
    }
    for fk in table.foreign_keys:
        referred = found.get(fk.referred)
        pairs = frozenset(zip(_folded(fk.columns), _folded(fk.referred_columns), strict=False))
        if referred is not None and (pairs, referred.name) not in references:
            yield "foreign key", fk.columns


def _unique(table: Table) -> set[frozenset[str]]:
    keys = [key.columns for key in table.uniques]
    keys += [table.primary_key.columns] if table.primary_key else []
    indexes = [
        tuple(part.column or "" for part in index.columns)
        for index in table.indexes
        if index.unique
    ]
    return {frozenset(_folded(columns)) for columns in (*keys, *indexes)}


def _folded(columns: Iterable[str]) -> tuple[str, ...]:
    return tuple(column.casefold() for column in columns)
