"""Which table and which columns of a database an archive's table corresponds to.

What lives here: names across engines that have schemas or none, that heed case or do not. Must
not know: rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from glob import escape

from dbsync.model.schema import Name, Table
from dbsync.model.selection import Selection


class Counterparts(Selection, frozen=True, kw_only=True):
    """Selects the tables of a database that one of an archive may have become, and no others.

    Unlike with other selections, a table that is not there is no mistake: it is a difference.
    """

    names: frozenset[str] = frozenset()

    @classmethod
    def of(cls, wanted: Iterable[Name]) -> Counterparts:
        """Look for tables by their name, without schema or with it, whatever the case."""
        known = list(wanted)
        names = {text.casefold() for name in known for text in (name.name, str(name))}
        return cls(tables=tuple(escape(str(name)) for name in known), names=frozenset(names))

    def selects(self, name: Name) -> bool:
        """Say whether a table of the database may be one of those wanted."""
        return name.name.casefold() in self.names or str(name).casefold() in self.names

    def unmatched(self, names: Iterable[Name]) -> list[str]:
        """Miss nothing."""
        del names
        return []


def counterparts(
    tables: Sequence[Table], wanted: Iterable[Name], schema: str | None
) -> dict[Name, Table | None]:
    """Find the table that each name has become; None where there is none, or no telling which.

    The same name comes first, then the qualified name as the name of a table (engines without
    schemas, where two bare names would clash), then the bare name in whatever schema, or in
    `schema`; each first with its case, then without. No table is found for two names.
    """
    if schema is not None:
        tables = [t for t in tables if t.name.schema in (schema, None)]
    found: dict[Name, Table | None] = dict.fromkeys(wanted)
    for fold in (str, str.casefold):
        for level in range(3):
            taken = {table.name for table in found.values() if table is not None}
            for name in [name for name, table in found.items() if table is None]:
                rule = _rules(name, fold)[level]
                fits = [t for t in tables if t.name not in taken and rule(t.name)]
                if len(fits) == 1:
                    found[name] = fits[0]
    return found


def _rules(name: Name, fold: Callable[[str], str]) -> list[Callable[[Name], bool]]:
    whole, bare = fold(str(name)), fold(name.name)
    return [
        lambda other: fold(str(other)) == whole and other.schema == name.schema,
        lambda other: fold(str(other)) == whole,
        lambda other: fold(other.name) == bare,
    ]


def column_names(archived: Table, found: Table) -> tuple[list[str], list[str]]:
    """Find the archive's columns in a table: their names there, and those that are missing.

    A name is found without its case only where that leaves no doubt.
    """
    exact = {column.name for column in found.columns}
    folded: dict[str, list[str]] = {}
    for column in found.columns:
        folded.setdefault(column.name.casefold(), []).append(column.name)
    names: list[str] = []
    missing: list[str] = []
    for column in archived.columns:
        near = folded.get(column.name.casefold(), [])
        if column.name in exact:
            names.append(column.name)
        elif len(near) == 1 and near[0] not in names:
            names.append(near[0])
        else:
            missing.append(column.name)
    return names, missing
