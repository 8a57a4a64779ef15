"""Names in a database whose tables, indexes and views share one name space without case.

Must not know: connections, statements.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from dbsync.errors import TargetError
from dbsync.model.schema import Database, Loss, Name, Table


def target_names(tables: Iterable[Table]) -> tuple[dict[Name, Name], list[Loss]]:
    """Give each table of the archive its name here: its own, with its schema where two clash.

    SQLite has no schemas and ignores the case of ASCII letters. Raises `TargetError` for names
    that stay equal, and for those that SQLite keeps for itself.
    """
    wanted = list(tables)
    taken: dict[str, list[Name]] = {}
    for table in wanted:
        taken.setdefault(folded(table.name.name), []).append(table.name)
    names: dict[Name, Name] = {}
    losses: list[Loss] = []
    for table in wanted:
        name = table.name
        if name.name.lower().startswith("sqlite_"):
            raise TargetError(
                f"table {name} cannot be made in SQLite, which keeps names with sqlite_ for itself",
                hint="leave it out with --exclude-tables",
            )
        clash = len(taken[folded(name.name)]) > 1
        names[name] = Name(None, str(name) if clash else name.name)
        if clash and name.schema:
            losses.append(
                Loss(
                    object=f"table {name}",
                    reason=f'is called "{name}", since SQLite has no schemas and another table has'
                    " the same name",
                    severity="changed",
                )
            )
    _require_distinct((n.name for n in names.values()), "tables", "--exclude-tables")
    for table in wanted:
        kind = f"columns of table {table.name}"
        _require_distinct((c.name for c in table.columns), kind, "--columns")
    return names, losses


def _require_distinct(names: Iterable[str], kind: str, option: str) -> None:
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(folded(name), name)
        if other is not name:
            raise TargetError(
                f"two {kind} are called {other!r} and {name!r}, which is one name for SQLite",
                hint=f"leave one of them out with {option}",
            )


def folded(name: str) -> str:
    """Fold the case of ASCII letters only, as SQLite does."""
    return "".join(chr(ord(c) + 32) if "A" <= c <= "Z" else c for c in name)


def with_free_index_names(
    database: Database, names: dict[Name, Name], taken: Iterable[str]
) -> tuple[dict[Name, Table], list[Loss]]:
    """Rename indexes whose name a table or another index has, by putting the table's name first."""
    used = {folded(name) for name in taken} | {folded(n.name) for n in names.values()}
    tables: dict[Name, Table] = {}
    losses: list[Loss] = []
    for table in database.tables:
        indexes = list(table.indexes)
        for position, index in enumerate(indexes):
            choice = next(
                n for n in _choices(index.name, names[table.name]) if folded(n) not in used
            )
            used.add(folded(choice))
            if choice != index.name:
                indexes[position] = msgspec.structs.replace(index, name=choice)
                reason = f'is called "{choice}", since its name is taken'
                losses.append(Loss(object=f"index {index.name}", reason=reason, severity="changed"))
        tables[table.name] = msgspec.structs.replace(table, indexes=tuple(indexes))
    return tables, losses


def _choices(name: str, table: Name) -> Iterator[str]:
    if not name.lower().startswith("sqlite_"):
        yield name
    yield f"{table.name}_{name}"
    number = 2
    while True:
        yield f"{table.name}_{name}_{number}"
        number += 1
