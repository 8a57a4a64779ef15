"""Names in a MySQL database: one space for tables and views, at most 64 characters each.

What lives here: the names that tables of an archive get, and how a name is folded where case does
not count. Must not know: connections, statements.

Names of columns, indexes and constraints never differ by case alone, whatever
``lower_case_table_names`` says about those of tables. Outside facts:
https://dev.mysql.com/doc/refman/8.0/en/identifiers.html and identifier-case-sensitivity.html.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import sha256

from dbsync.errors import LossError, TargetError
from dbsync.model.schema import Loss, Name, Table

LONGEST = 64
"""Characters, not bytes."""


def target_names(tables: Iterable[Table], *, folds: bool) -> tuple[dict[Name, Name], list[Loss]]:
    """Give each table of the archive its name here: its own, with its schema where two clash.

    `folds`: the server ignores the case of table names. Raises `TargetError` for names that stay
    equal.
    """
    fold = folded if folds else _as_it_is
    wanted = list(tables)
    taken: dict[str, list[Name]] = {}
    for table in wanted:
        taken.setdefault(fold(table.name.name), []).append(table.name)
    names: dict[Name, Name] = {}
    losses: list[Loss] = []
    for table in wanted:
        name = table.name
        clash = len(taken[fold(name.name)]) > 1
        names[name] = Name(None, str(name) if clash else name.name)
        if clash and name.schema:
            losses.append(
                Loss(
                    object=f"table {name}",
                    reason=f'is called "{name}", since MySQL has no schemas inside of a database'
                    " and another table has the same name",
                    severity="changed",
                )
            )
    _require_distinct((n.name for n in names.values()), fold, "tables", "--exclude-tables")
    return names, losses


def require_distinct_columns(table: Table) -> None:
    """Raise `TargetError` where two columns of a table have what is one name here."""
    kind = f"columns of table {table.name}"
    _require_distinct((c.name for c in table.columns), folded, kind, "--columns")


def _require_distinct(
    names: Iterable[str], fold: Callable[[str], str], kind: str, option: str
) -> None:
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(fold(name), name)
        if other is not name:
            raise TargetError(
                f"two {kind} are called {other!r} and {name!r}, which is one name for this server",
                hint=f"leave one of them out with {option}",
            )


def require_possible(table: Table, target: Name) -> None:
    """Raise `LossError` where the table or a column has a name that MySQL cannot hold."""
    for kind, name in [("table", target.name), *(("column", c.name) for c in table.columns)]:
        reason = impossible(name)
        if reason is not None:
            raise LossError(
                f"table {table.name}: the name of {kind} {name!r} {reason}",
                hint="rename it in the source, or leave it out with --columns or --exclude-tables",
            )


def impossible(name: str) -> str | None:
    """Say why a name cannot be one here, or None where it can."""
    if not 1 <= len(name) <= LONGEST:
        return f"is not between 1 and {LONGEST} characters long, which is what MySQL can hold"
    if name.endswith(" "):
        return "ends in a blank, which MySQL does not allow"
    if any(c == "\0" or ord(c) > 0xFFFF or 0xD800 <= ord(c) <= 0xDFFF for c in name):
        return "has a character outside of the Basic Multilingual Plane, which MySQL cannot hold"
    return None


def fitting(wanted: str, suffix: str = "") -> str:
    """Return `wanted` with `suffix` as a name that is allowed here.

    Characters that names may not have become ``_``; a name that is cut or changed ends in a hash
    of the whole, so that two of them stay apart.
    """
    plain = "".join("_" if impossible(c) and c != " " else c for c in wanted).rstrip(" ") or "_"
    if plain == wanted and len(wanted + suffix) <= LONGEST:
        return wanted + suffix
    tail = f"_{sha256(wanted.encode(errors='surrogatepass')).hexdigest()[:8]}{suffix}"
    return plain[: LONGEST - len(tail)] + tail


class FreeNames:
    """Hands out names that are distinct under `fold`."""

    def __init__(self, taken: Iterable[str], fold: Callable[[str], str]):
        self._fold = fold
        self._taken = {fold(name) for name in taken}

    def take(self, wanted: str) -> str:
        """Return `wanted`, or a name like it that is allowed and free, and reserve it."""
        name, number = fitting(wanted), 1
        while self._fold(name) in self._taken:
            number += 1
            name = fitting(wanted, f"_{number}")
        self._taken.add(self._fold(name))
        return name


def folded(name: str) -> str:
    """Fold case as the server does: always in names of columns, indexes and constraints."""
    return name.lower()


def _as_it_is(name: str) -> str:
    return name
