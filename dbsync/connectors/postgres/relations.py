"""Which tables a database has, and what this role may do with each.

What lives here: `Relation` and `Leaf`, read from ``pg_class`` and ``pg_inherits`` under the
snapshot of the connection (catalog functions would see the latest state instead). Must not know:
columns and constraints (`columns`, `constraints`).

A partitioned table is one relation, whatever its depth; its rows are in its leaves. A table of an
extension is left out, because CREATE EXTENSION makes it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from dbsync.connectors.postgres.query import Catalog, Row
from dbsync.model.schema import Name

USER_SCHEMA = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
"""Names that start with pg_ are reserved for the system, temporary schemas included."""

_USUAL_PAGE_BYTES = 8192


@dataclass(frozen=True)
class Leaf:
    """A relation that holds rows itself: an ordinary table, or a leaf of a partitioned one."""

    oid: int
    name: Name
    foreign: bool
    paged: bool
    """Rows can be addressed by page (access method heap)."""
    readable: bool
    """This role may read it directly, and no row-level security applies."""
    pages: int
    bytes: int
    """With TOAST and without indexes."""
    rows: int | None


@dataclass(frozen=True)
class Relation:
    """One table as a user sees it."""

    oid: int
    name: Name
    kind: str
    """``relkind``: r ordinary, p partitioned."""
    leaves: tuple[Leaf, ...]
    may_select: bool
    may_select_columns: bool
    may_use_schema: bool
    hides_rows: bool
    """Row-level security would apply to this role."""
    comment: str | None
    details: dict[str, str]

    @property
    def identity(self) -> tuple[object, ...]:
        """What must not change between two looks at the schema."""
        return (
            self.oid,
            self.name,
            self.kind,
            tuple((leaf.oid, leaf.name) for leaf in self.leaves),
        )


_RELATIONS = f"""
WITH RECURSIVE roots AS (
    SELECT c.oid, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
      AND {USER_SCHEMA} AND (%(schema)s::text IS NULL OR n.nspname = %(schema)s)
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
                      AND d.objid = c.oid AND d.deptype = 'e')
), tree(root, oid) AS (
    SELECT r.oid, r.oid FROM roots r
    UNION ALL
    SELECT t.root, i.inhrelid FROM tree t JOIN roots r ON r.oid = t.root AND r.relkind = 'p'
    JOIN pg_inherits i ON i.inhparent = t.oid
)
SELECT t.root::int8, c.oid::int8, n.nspname::text AS schema, c.relname::text AS name,
    c.relkind::text AS kind, c.relpersistence::text AS persistence, a.amname::text AS method,
    c.reltuples::float8 AS rows, coalesce(s.spcname::text, '') AS tablespace,
    c.relpages AS pages,
    has_table_privilege(c.oid, 'SELECT') AS may_select,
    has_any_column_privilege(c.oid, 'SELECT') AS may_select_columns,
    has_schema_privilege(n.oid, 'USAGE') AS may_use_schema,
    row_security_active(c.oid) AS hides_rows,
    obj_description(c.oid, 'pg_class') AS comment,
    CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END AS partition_key,
    CASE WHEN c.reloftype <> 0 THEN format_type(c.reloftype, NULL) END AS of_type,
    (SELECT string_agg(format('%%I.%%I', pn.nspname, p.relname), ', ' ORDER BY i.inhseqno)
     FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent
     JOIN pg_namespace pn ON pn.oid = p.relnamespace
     WHERE i.inhrelid = c.oid AND NOT c.relispartition) AS inherits
FROM tree t JOIN pg_class c ON c.oid = t.oid JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_am a ON a.oid = c.relam LEFT JOIN pg_tablespace s ON s.oid = c.reltablespace
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
"""


def list_relations(catalog: Catalog, schema: str | None) -> list[Relation]:
    """List the tables of a database, or of one schema, in order of their names.

    Waits for no lock, and so gives sizes as the last ANALYZE saw them; see `measure`.
    """
    rows = catalog.rows(_RELATIONS, {"schema": schema}, doing="listing tables")
    leaves: dict[int, list[Leaf]] = {}
    for row in rows:
        if row["kind"] in ("r", "f"):
            leaves.setdefault(row["root"], []).append(_leaf(row))
    return [_relation(row, leaves.get(row["oid"], [])) for row in rows if row["root"] == row["oid"]]


def measure(catalog: Catalog, relations: Iterable[Relation]) -> list[Relation]:
    """Give the same relations with their true sizes; waits for whoever locks one exclusively."""
    block = int(catalog.value("SELECT current_setting('block_size')"))
    found = list(relations)
    oids = [leaf.oid for relation in found for leaf in relation.leaves if not leaf.foreign]
    rows = catalog.rows(
        "SELECT o::int8 AS oid, pg_relation_size(o::oid) AS main, pg_table_size(o::oid) AS bytes "
        "FROM unnest(%(oids)s::int8[]) o",
        {"oids": oids},
        doing="measuring tables",
    )
    sizes = {row["oid"]: (row["main"] or 0, row["bytes"] or 0) for row in rows}

    def sized(leaf: Leaf) -> Leaf:
        main, total = sizes.get(leaf.oid, (0, 0))
        return replace(leaf, pages=main // block, bytes=total)

    return [replace(r, leaves=tuple(sized(leaf) for leaf in r.leaves)) for r in found]


def _leaf(row: Row) -> Leaf:
    foreign = row["kind"] == "f"
    return Leaf(
        oid=row["oid"],
        name=Name(row["schema"], row["name"]),
        foreign=foreign,
        paged=row["method"] == "heap",
        readable=row["may_select"] and row["may_use_schema"] and not row["hides_rows"],
        pages=row["pages"],
        bytes=row["pages"] * _USUAL_PAGE_BYTES,
        # -1: never analyzed.
        rows=int(row["rows"]) if row["rows"] >= 0 and not foreign else None,
    )


def _relation(row: Row, leaves: list[Leaf]) -> Relation:
    details = {
        key: row[key] for key in ("partition_key", "of_type", "inherits", "tablespace") if row[key]
    }
    if row["persistence"] == "u":
        details["persistence"] = "unlogged"
    if row["method"] not in (None, "heap"):
        details["access_method"] = row["method"]
    return Relation(
        oid=row["oid"],
        name=Name(row["schema"], row["name"]),
        kind=row["kind"],
        leaves=tuple(leaves),
        may_select=row["may_select"],
        may_select_columns=row["may_select_columns"],
        may_use_schema=row["may_use_schema"],
        hides_rows=row["hides_rows"],
        comment=row["comment"],
        details=details,
    )


def other_relations(catalog: Catalog, schema: str | None) -> dict[Name, str]:
    """Name what looks like a table and is not exported as one, with its kind for messages."""
    rows = catalog.rows(
        f"""
        SELECT n.nspname::text AS schema, c.relname::text AS name, CASE
            WHEN c.relispartition THEN 'partition' WHEN c.relkind = 'v' THEN 'view'
            WHEN c.relkind = 'm' THEN 'materialized view' WHEN c.relkind = 'f' THEN 'foreign table'
            ELSE 'table of an extension' END AS kind
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't' AND {USER_SCHEMA}
          AND (%(schema)s::text IS NULL OR n.nspname = %(schema)s)
          AND (c.relispartition OR c.relkind IN ('v', 'm', 'f') OR EXISTS (
               SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
               AND d.objid = c.oid AND d.deptype = 'e'))
        """,
        {"schema": schema},
    )
    return {Name(row["schema"], row["name"]): row["kind"] for row in rows}
