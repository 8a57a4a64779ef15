"""Names in Treasure Data: those that tables and columns of an archive get, and those of dbsync.

What lives here: which names are allowed, what becomes of others, and what is called after an
import while it lasts. Must not know: types, calls.

Tables have 3 to 128 of the characters a-z, 0-9 and ``_``; columns begin with no digit. ``time`` is
the column by which the service partitions, ``v`` the one that holds a whole row:
https://docs.treasuredata.com/products/my-settings/naming-requirements-and-restrictions-for-treasure-data-entities
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from hashlib import sha256

import msgspec

from dbsync.model.schema import Loss, Name, Table

TIME = "time"
_RESERVED = frozenset({TIME, "v"})
_SHORTEST, _LONGEST = 3, 128
_RULE = "columns have names of a-z, 0-9 and _, and not time or v"
_FORBIDDEN = re.compile(r"[^a-z0-9_]")
_TEMPORARY = re.compile(r"dbsync_[0-9a-f]{8}_[0-9a-f]{12}")


class Marks(msgspec.Struct, frozen=True, kw_only=True):
    """What is called after one import of one table while it lasts.

    `table` is the temporary table; `session` begins the name of the bulk import, to which the id
    of the temporary table is added. `family` begins what any import into the same final table
    calls its own.
    """

    table: str
    session: str
    family: str


def is_temporary(table: str) -> bool:
    """Say whether a table is one that an import fills before it takes its place."""
    return _TEMPORARY.fullmatch(table) is not None


def marks(import_id: str, database: str, table: str, layout: str) -> Marks:
    """Name what an import into `table` uses; `layout` differs where its rows would differ.

    Sessions belong to the account and not to a database, so its name counts.
    """
    place = f"{database}.{table}"
    family = f"dbsync_{_hash(place)[:8]}_"
    own = family + _hash(f"{import_id}\n{place}\n{layout}")[:12]
    return Marks(table=own, session=own, family=family)


def completion_mark(import_id: str, database: str) -> str:
    """Name the session that says that every table of an import is in its place."""
    whole = _hash(f"{import_id}\n{database}")
    return f"dbsync_done_{whole[:12]}"


def table_names(tables: Iterable[Table]) -> tuple[dict[Name, str], list[Loss]]:
    """Give each table of an archive its name here, and say which are changed.

    Where two would be called the same, those in schemas get theirs in front; what still clashes
    gets a number, a name that is allowed as it stands first. The same tables get the same names.
    """
    names = [table.name for table in tables]
    wanted = {name: _table(name.name) for name in names}
    shared = list(wanted.values())
    for name in names:
        if name.schema and shared.count(_table(name.name)) > 1:
            wanted[name] = _table(f"{name.schema}_{name.name}")
    chosen: dict[Name, str] = {}
    taken: set[str] = set()
    for name in sorted(names, key=lambda n: (wanted[n] != n.name, str(n))):
        chosen[name] = _free(wanted[name], taken)
        taken.add(chosen[name])
    losses = [
        Loss(
            object=f"table {name}",
            reason=f"is called {chosen[name]}: tables have names of 3 to 128 of a-z, 0-9 and _",
            severity="changed",
        )
        for name in names
        if chosen[name] != name.name
    ]
    return {name: chosen[name] for name in names}, losses


def column_names(table: Table, time_column: str | None) -> tuple[dict[str, str], list[Loss]]:
    """Give each column of a table its name here, and say which are changed.

    `time_column` is the column that is stored as ``time``, and therefore called so.
    """
    names = [column.name for column in table.columns if column.name != time_column]
    chosen: dict[str, str] = {}
    taken: set[str] = set(_RESERVED)
    for name in sorted(names, key=lambda n: (_column(n) != n, n)):
        chosen[name] = _free(_column(name), taken)
        taken.add(chosen[name])
    if time_column is not None:
        chosen[time_column] = TIME
    losses = [
        Loss(
            object=f"column {table.name}.{column.name}",
            reason=f"is called {chosen[column.name]}: {_RULE}",
            severity="changed",
        )
        for column in table.columns
        if chosen[column.name] != column.name
    ]
    return chosen, losses


def _table(name: str) -> str:
    plain = _FORBIDDEN.sub("_", name.lower()).ljust(_SHORTEST, "_")
    # A table with such a name would be taken for one of an import that was left behind.
    return _cut(f"{plain}_" if is_temporary(plain) else plain, name)


def _column(name: str) -> str:
    plain = _FORBIDDEN.sub("_", name.lower()) or "_"
    return _cut(f"_{plain}" if plain[0].isdigit() else plain, name)


def _cut(plain: str, name: str) -> str:
    """Shorten a name that is too long, so that two of them stay apart."""
    if len(plain) <= _LONGEST:
        return plain
    return f"{plain[: _LONGEST - 9]}_{_hash(name)[:8]}"


def _free(wanted: str, taken: Collection[str]) -> str:
    name, number = wanted, 1
    while name in taken:
        number += 1
        suffix = f"_{number}"
        name = wanted[: _LONGEST - len(suffix)] + suffix
    return name


def _hash(text: str) -> str:
    return sha256(text.encode(errors="surrogatepass")).hexdigest()
