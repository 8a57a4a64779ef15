"""The catalog of an SQLite file, as the PRAGMAs and `sqlite_master` give it, without meaning.

What lives here: plain rows of the catalog, grouped by table. Must not know: the portable model.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import msgspec

from dbsync.connectors.sqlite.connection import Connection
from dbsync.connectors.sqlite.parse import parse_table

LEDGER = "dbsync_ledger"
"""The table that an unfinished import keeps in the database; never part of an export."""


class RawColumn(msgspec.Struct, frozen=True, kw_only=True):
    """One row of ``PRAGMA table_xinfo``; `hidden` 2 is virtual, 3 is stored generated."""

    name: str
    declared: str
    notnull: bool
    default: str | None
    pk: int
    hidden: int


class RawIndexPart(msgspec.Struct, frozen=True, kw_only=True):
    """One key row of ``PRAGMA index_xinfo``; `column` is None for an expression."""

    column: str | None
    descending: bool
    collation: str


class RawIndex(msgspec.Struct, frozen=True, kw_only=True):
    """One row of ``PRAGMA index_list``; `origin` is c (CREATE INDEX), u (UNIQUE) or pk."""

    name: str
    unique: bool
    origin: str
    partial: bool
    sql: str | None
    parts: tuple[RawIndexPart, ...]


class RawForeignKey(msgspec.Struct, frozen=True, kw_only=True):
    """One row of ``PRAGMA foreign_key_list``; `to` is None for the implied primary key."""

    table: str
    column: str
    to: str | None
    on_update: str
    on_delete: str


class RawTable(msgspec.Struct, frozen=True, kw_only=True):
    """One table; `rowid` is a name under which its rowid can be reached, if any."""

    name: str
    sql: str
    strict: bool
    without_rowid: bool
    columns: tuple[RawColumn, ...]
    indexes: tuple[RawIndex, ...] = ()
    foreign_keys: dict[int, tuple[RawForeignKey, ...]] = {}
    rowid: str | None = None
    rowid_alias: str | None = None
    shadow_of: str | None = None

    @property
    def primary_key(self) -> tuple[str, ...]:
        """List the columns of the primary key in its order."""
        return tuple(c.name for c in sorted(self.columns, key=lambda c: c.pk) if c.pk)


class RawObject(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `sqlite_master` that is no ordinary table."""

    kind: str
    name: str
    table: str
    sql: str


class Catalog(msgspec.Struct, frozen=True, kw_only=True):
    """Everything `sqlite_master` names, in the order of creation."""

    tables: tuple[RawTable, ...]
    virtual: tuple[RawObject, ...]
    others: tuple[RawObject, ...]
    """Indexes, then views, then triggers."""
    order: dict[str, int]
    """Tables and virtual tables to their place in `sqlite_master`."""
    sequence: dict[str, int]
    """Rows of `sqlite_sequence`."""
    statistics: bool
    """ANALYZE has been run."""

    by_name: dict[str, RawTable]
    """Tables by their name in lower case."""

    def find(self, name: str) -> RawTable | None:
        """Find a table as SQLite does, ignoring case."""
        return self.by_name.get(name.lower())


def read_catalog(connection: Connection) -> Catalog:
    """Read the catalog as of the connection's open transaction."""
    master = connection.rows(
        "SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master ORDER BY rowid",
        doing="read the list of tables",
    )
    kinds = {
        str(name): (str(kind), bool(wr), bool(strict))
        for name, kind, wr, strict in connection.rows(
            "SELECT name, type, wr, strict FROM pragma_table_list WHERE schema = 'main'"
        )
    }
    plain = {name for name, (kind, _, _) in kinds.items() if kind in ("table", "shadow")}
    columns = _columns(connection)
    indexes = _indexes(
        connection, {str(row[1]): str(row[3]) for row in master if row[0] == "index"}
    )
    keys = _foreign_keys(connection)
    virtual = tuple(
        RawObject(kind="VIRTUAL TABLE", name=str(n), table=str(n), sql=str(sql))
        for kind, n, _, sql in master
        if kind == "table" and str(sql)[:14].upper().startswith("CREATE VIRTUAL")
    )
    tables: list[RawTable] = []
    order: dict[str, int] = {}
    for place, (kind, name, _, sql) in enumerate(master):
        if kind != "table" or str(name).startswith("sqlite_") or name == LEDGER:
            continue
        order[name] = place
        if name in plain:
            table_kind, wr, strict = kinds[name]
            raw = RawTable(
                name=name,
                sql=sql,
                strict=strict,
                without_rowid=wr,
                columns=tuple(columns.get(name, ())),
                indexes=tuple(indexes.get(name, ())),
                foreign_keys={i: tuple(k) for i, k in keys.get(name, {}).items()},
                shadow_of=_owner(name, virtual) if table_kind == "shadow" else None,
            )
            tables.append(_with_rowid(raw))
    others = [
        RawObject(kind=str(kind).upper(), name=str(n), table=str(t), sql=str(sql))
        for wanted in ("index", "view", "trigger")
        for kind, n, t, sql in master
        if kind == wanted and sql
    ]
    names = {str(row[1]) for row in master}
    return Catalog(
        tables=tuple(tables),
        virtual=virtual,
        others=tuple(others),
        order=order,
        sequence=_sequence(connection) if "sqlite_sequence" in names else {},
        statistics="sqlite_stat1" in names,
        by_name={table.name.lower(): table for table in tables},
    )


def _owner(name: str, virtual: tuple[RawObject, ...]) -> str | None:
    owners = [v.name for v in virtual if name.lower().startswith(v.name.lower() + "_")]
    return max(owners, key=len, default=None)


def _columns(connection: Connection) -> dict[str, list[RawColumn]]:
    found: dict[str, list[RawColumn]] = defaultdict(list)
    # The seed row keeps columns that begin with NULLs typed as text. Joined against
    # table_list rather than sqlite_master: a virtual table whose module is missing would fail.
    rows = connection.rows(
        "SELECT '' AS t, '' AS n, '' AS d, 0 AS nn, '' AS df, 0 AS pk, 0 AS h UNION ALL"
        ' SELECT l.name, x.name, x.type, x."notnull", x.dflt_value, x.pk, x.hidden'
        " FROM pragma_table_list l JOIN pragma_table_xinfo(l.name, 'main') x"
        " WHERE l.schema = 'main' AND l.type IN ('table', 'shadow')",
        doing="read the columns of tables",
    )
    for table, name, declared, notnull, default, pk, hidden in rows[1:]:
        if hidden != 1:
            found[table].append(
                RawColumn(
                    name=name,
                    declared=declared or "",
                    notnull=bool(notnull),
                    default=default,
                    pk=pk,
                    hidden=hidden,
                )
            )
    return found


def _indexes(connection: Connection, sql: dict[str, str]) -> dict[str, list[RawIndex]]:
    parts: dict[tuple[str, str], list[RawIndexPart]] = defaultdict(list)
    heads: dict[tuple[str, str], tuple[Any, ...]] = {}
    rows = connection.rows(
        "SELECT '' AS t, '' AS n, 0 AS u, '' AS o, 0 AS p, '' AS c, 0 AS d, '' AS co UNION ALL"
        ' SELECT l.name, i.name, i."unique", i.origin, i.partial, x.name, x."desc", x.coll'
        " FROM pragma_table_list l JOIN pragma_index_list(l.name, 'main') i"
        " JOIN pragma_index_xinfo(i.name, 'main') x"
        " WHERE l.schema = 'main' AND l.type IN ('table', 'shadow') AND x.key",
        doing="read the indexes of tables",
    )
    for table, name, unique, origin, partial, column, descending, collation in rows[1:]:
        heads[table, name] = (unique, origin, partial)
        parts[table, name].append(
            RawIndexPart(
                column=column, descending=bool(descending), collation=(collation or "").upper()
            )
        )
    found: dict[str, list[RawIndex]] = defaultdict(list)
    for (table, name), (unique, origin, partial) in heads.items():
        found[table].append(
            RawIndex(
                name=name,
                unique=bool(unique),
                origin=origin,
                partial=bool(partial),
                sql=sql.get(name) or None,
                parts=tuple(parts[table, name]),
            )
        )
    return found


def _foreign_keys(connection: Connection) -> dict[str, dict[int, list[RawForeignKey]]]:
    found: dict[str, dict[int, list[RawForeignKey]]] = defaultdict(lambda: defaultdict(list))
    rows = connection.rows(
        "SELECT '' AS t, 0 AS i, '' AS r, '' AS f, '' AS o, '' AS u, '' AS d UNION ALL"
        ' SELECT l.name, k.id, k."table", k."from", k."to", k.on_update, k.on_delete'
        " FROM pragma_table_list l JOIN pragma_foreign_key_list(l.name, 'main') k"
        " WHERE l.schema = 'main' AND l.type = 'table'",
        doing="read the foreign keys of tables",
    )
    for table, number, referred, column, to, on_update, on_delete in rows[1:]:
        found[table][number].append(
            RawForeignKey(
                table=referred, column=column, to=to, on_update=on_update, on_delete=on_delete
            )
        )
    return found


def _with_rowid(raw: RawTable) -> RawTable:
    """Find the column that is the rowid, and a name for the rowid that no column shadows.

    https://sqlite.org/lang_createtable.html#rowids_and_the_integer_primary_key
    """
    if raw.without_rowid:
        return raw
    keys = [c for c in raw.columns if c.pk]
    alias = None
    # INTEGER PRIMARY KEY DESC is the one spelling that makes an index instead.
    has_index = any(index.origin == "pk" for index in raw.indexes)
    if len(keys) == 1 and keys[0].declared.upper() == "INTEGER" and not has_index:
        alias = keys[0].name
    taken = {c.name.lower() for c in raw.columns}
    free = next((n for n in ("rowid", "_rowid_", "oid") if n not in taken), None)
    return msgspec.structs.replace(raw, rowid=alias or free, rowid_alias=alias)


def _sequence(connection: Connection) -> dict[str, int]:
    rows = connection.rows(
        "SELECT name, CAST(seq AS INTEGER) FROM sqlite_sequence WHERE name IS NOT NULL",
        doing="read sqlite_sequence",
    )
    return {str(name): int(seq or 0) for name, seq in rows}


def is_autoincrement(raw: RawTable) -> bool:
    """Say whether the table's rowid column is AUTOINCREMENT."""
    return any(column.autoincrement for column in parse_table(raw.sql).columns.values())
