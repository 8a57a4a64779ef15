"""Which tables, columns and rows take part: `--tables`, `--exclude-tables`, `--columns`, `--where`.

What lives here: matching names against globs, and the errors for choices that match nothing.
Must not know: SQL; a condition is an opaque text that the source puts after WHERE.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

import msgspec

from dbsync.model.schema import Name


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """What to read.

    `tables` and `exclude` are globs over ``name`` or ``schema.name``; no `tables` means all.
    `columns` maps a table pattern to the chosen columns. `where` maps a table pattern, or ``*``
    for every selected table, to a condition in the source's dialect.
    """

    tables: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    columns: dict[str, tuple[str, ...]] = {}
    where: dict[str, str] = {}

    def selects(self, name: Name) -> bool:
        """Say whether the table called `name` takes part."""
        if any(matches(pattern, name) for pattern in self.exclude):
            return False
        return not self.tables or any(matches(pattern, name) for pattern in self.tables)

    def columns_of(self, name: Name) -> tuple[str, ...] | None:
        """Return the columns chosen for a table, or None for all of them."""
        for pattern, columns in self.columns.items():
            if matches(pattern, name):
                return columns
        return None

    def where_of(self, name: Name) -> str | None:
        """Return the condition for a table: its own one first, else the one for every table."""
        for pattern, condition in self.where.items():
            if pattern != "*" and matches(pattern, name):
                return condition
        return self.where.get("*")

    def unmatched(self, names: Iterable[Name]) -> list[str]:
        """List patterns of `tables`, `columns` and `where` that match none of `names`.

        A pattern that matches nothing is nearly always a spelling mistake; the caller makes it
        an error that names it.
        """
        known = list(names)
        patterns = [*self.tables, *self.columns, *(p for p in self.where if p != "*")]
        return [p for p in patterns if not any(matches(p, name) for name in known)]


def matches(pattern: str, name: Name) -> bool:
    """Say whether a glob (``*``, ``?``, ``[...]``; with case) fits ``name`` or ``schema.name``."""
    return fnmatchcase(name.name, pattern) or fnmatchcase(str(name), pattern)
