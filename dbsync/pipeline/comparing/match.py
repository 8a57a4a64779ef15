"""Which table and which columns of a database an archive's table corresponds to.

What lives here: names across engines that have schemas or none, that heed case or do not. Must
not know: rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from glob import escape

from dbsync.connectors.base import Snapshot, Source
from dbsync.model.schema import Name, Table
from dbsync.model.selection import Selection

_ODD = re.compile(r"[^a-z0-9_]")
"""Characters that not every engine allows in names."""


class Counterparts(Selection, frozen=True, kw_only=True):
    """Selects the tables of a database that some of an archive may have become, and no others.

    Unlike with other selections, a table that is not there is no mistake: it is a difference.
    """

    whole: frozenset[str] = frozenset()
    """Qualified names, plain like the others: without case, and without what few engines allow."""
    bare: frozenset[str] = frozenset()
    """Names on engines without schemas."""
    anywhere: frozenset[str] = frozenset()
    """Names in whatever schema."""

    @classmethod
    def of(cls, wanted: Iterable[Name], *, anywhere: Iterable[Name] = ()) -> Counterparts:
        """Look for tables under their own names; for those `anywhere` in every schema, too."""
        known = list(wanted)
        loose = [*anywhere, *(name for name in known if name.schema is None)]
        return cls(
            tables=tuple(escape(str(name)) for name in known),
            whole=frozenset(_plain(str(name)) for name in known),
            bare=frozenset(_plain(name.name) for name in known),
            anywhere=frozenset(_plain(name.name) for name in loose),
        )

    def selects(self, name: Name) -> bool:
        """Say whether a table of the database may be one of those wanted."""
        bare = _plain(name.name)
        if _plain(str(name)) in self.whole or bare in self.anywhere:
            return True
        return name.schema is None and bare in self.bare

    def unmatched(self, names: Iterable[Name]) -> list[str]:
        """Miss nothing."""
        del names
        return []


@contextmanager
def matched_snapshot(
    source: Source, wanted: Sequence[Name], schema: str | None
) -> Generator[tuple[Snapshot, dict[Name, Table | None]]]:
    """Open a snapshot of those tables only that `wanted` have become, and say which is which.

    A name that its own schema does not have is looked for in the others, by a second snapshot.
    """
    with source.snapshot(Counterparts.of(wanted), include_schema=False) as snapshot:
        found = counterparts(snapshot.database.tables, wanted, schema)
        if all(found.values()) or not source.capabilities.schemas:
            yield snapshot, found
            return
    missing = [name for name, table in found.items() if table is None]
    chosen = Counterparts.of(wanted, anywhere=missing)
    with source.snapshot(chosen, include_schema=False) as snapshot:
        yield snapshot, counterparts(snapshot.database.tables, wanted, schema)


def counterparts(
    tables: Sequence[Table], wanted: Iterable[Name], schema: str | None
) -> dict[Name, Table | None]:
    """Find the table that each name has become; None where there is none, or no telling which.

    The same name comes first, then the qualified name as the name of a table (engines without
    schemas, where two bare names would clash), then the bare name in whatever schema, or in
    `schema`; each first with its case, then without, then as engines that allow few characters
    write it. No table is found for two names.
    """
    if schema is not None:
        tables = [t for t in tables if t.name.schema in (schema, None)]
    found: dict[Name, Table | None] = dict.fromkeys(wanted)
    for fold in (str, str.casefold, _plain):
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


def column_names(
    archived: Table, found: Table, renamed: Mapping[str, str]
) -> tuple[list[str], list[str]]:
    """Find the archive's columns in a table: their names there, and those that are missing.

    A name is found without its case, or as engines that allow few characters write it, only where
    that leaves no doubt. `renamed` are those of which it is known what they are called there.
    """
    exact = {column.name for column in found.columns}
    folded, plain = _by(str.casefold, exact), _by(_plain, exact)
    names: list[str] = []
    missing: list[str] = []
    for column in archived.columns:
        name = renamed.get(column.name, column.name)
        near = folded.get(name.casefold()) or plain.get(_plain(name), [])
        if name in exact:
            names.append(name)
        elif len(near) == 1 and near[0] not in names:
            names.append(near[0])
        else:
            missing.append(column.name)
    return names, missing


def _by(fold: Callable[[str], str], names: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(fold(name), []).append(name)
    return found


def _plain(name: str) -> str:
    return _ODD.sub("_", name.lower())
