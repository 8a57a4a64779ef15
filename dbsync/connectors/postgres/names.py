"""Names that PostgreSQL can hold: at most 63 bytes, unique among the relations of a schema.

What lives here: choosing a free name, and shortening one that is too long. Must not know: what
the names are for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import sha256

from dbsync.connectors.postgres.connection import quote_literal
from dbsync.connectors.postgres.session import Asks
from dbsync.errors import LossError
from dbsync.model.schema import Name, Table

LONGEST = 63
"""NAMEDATALEN less one. The server would cut a longer name and say so only in a notice."""

_PART = re.compile(r'"((?:[^"]|"")*)"|([^".]+)')


class FreeNames:
    """Hands out names of relations and types that nothing on the target has."""

    def __init__(self, asks: Asks, schemas: Iterable[str], tables: Iterable[Name]):
        listed = ", ".join(quote_literal(schema) for schema in sorted(set(schemas)))
        self._taken: set[tuple[str | None, str]] = {(t.schema, t.name) for t in tables}
        if listed:
            for row in asks.rows(
                "SELECT n.nspname AS schema, x.name FROM pg_namespace n CROSS JOIN LATERAL ("
                "SELECT relname AS name FROM pg_class WHERE relnamespace = n.oid UNION "
                "SELECT typname FROM pg_type WHERE typnamespace = n.oid) x "
                f"WHERE n.nspname IN ({listed})"
            ):
                self._taken.add((row["schema"], row["name"]))

    def take(self, schema: str | None, wanted: str) -> str:
        """Return `wanted`, or a name like it that is short enough and free, and reserve it."""
        name, number = fitting(wanted), 0
        while (schema, name) in self._taken:
            number += 1
            name = fitting(wanted, f"_{number}")
        self._taken.add((schema, name))
        return name


def fitting(wanted: str, suffix: str = "") -> str:
    """Return `wanted` with `suffix`, cut to 63 bytes; cut names end in a hash of the whole."""
    if len((wanted + suffix).encode()) <= LONGEST:
        return wanted + suffix
    tail = f"_{sha256(wanted.encode()).hexdigest()[:8]}{suffix}"
    kept = wanted.encode()[: LONGEST - len(tail.encode())].decode(errors="ignore")
    return kept + tail


def refuse_long_names(table: Table, target: Name) -> None:
    """Raise `LossError` where the table or a column has a name that PostgreSQL would cut."""
    for kind, name in [("table", target.name), *(("column", c.name) for c in table.columns)]:
        refuse_long_name(f"table {table.name}", name, kind)


def refuse_long_name(where: str, name: str, kind: str = "") -> None:
    """Raise `LossError` where PostgreSQL would cut `name`; `where` begins the message."""
    if len(name.encode()) > LONGEST or not name or "\0" in name:
        subject = f"the name of {kind} {name!r}" if kind else f"the name {name!r}"
        raise LossError(
            f"{where}: {subject} is not between 1 and {LONGEST} bytes long, which is what "
            "PostgreSQL can hold",
            hint="rename it in the source, or leave it out with --columns or --exclude-tables",
        )


def last_part(qualified: str) -> str:
    """Take the bare name out of a type's text such as ``app."Mood"``."""
    found = _PART.findall(qualified)
    if not found:
        return qualified
    quoted, plain = found[-1]
    return quoted.replace('""', '"') or plain
