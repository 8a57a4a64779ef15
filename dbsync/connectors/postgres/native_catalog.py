"""Native DDL without pg_dump: the server's own definitions, put into a working order.

What lives here: `catalog_objects`, which orders what `native_ddl` asks for by ``pg_depend``, and
`kinds_not_carried`. Must not know: pg_dump.
"""

from __future__ import annotations

import heapq

from dbsync.connectors.postgres.assemble import Schema
from dbsync.connectors.postgres.native_ddl import QUERIES, DdlQuery
from dbsync.connectors.postgres.ownership import Ownership
from dbsync.connectors.postgres.query import Catalog, Row
from dbsync.connectors.postgres.relations import USER_SCHEMA
from dbsync.model.schema import Name, NativeObject

_UNNAMED = {"TABLE ATTACH", "SEQUENCE OWNED BY", "COMMENT", "ROW SECURITY"} | {
    "MATERIALIZED VIEW DATA"
}
"""Kinds that share the catalog row of the object that they are about."""

_PG_CLASS = 1259
"""The oid of pg_class, which is fixed (``src/include/catalog/pg_class.h``)."""

# Every catalog row is first replaced by the object whose DDL brings it along.
_EDGES = """
WITH home(catalog, oid, to_catalog, to_oid) AS (
    SELECT 'pg_attrdef'::regclass, oid, 'pg_class'::regclass, adrelid FROM pg_attrdef
    UNION ALL SELECT 'pg_rewrite'::regclass, oid, 'pg_class'::regclass, ev_class FROM pg_rewrite
        WHERE rulename = '_RETURN'
    UNION ALL SELECT 'pg_type'::regclass, t.oid, 'pg_class'::regclass, t.typrelid FROM pg_type t
        JOIN pg_class c ON c.oid = t.typrelid WHERE c.relkind <> 'c'
    UNION ALL SELECT 'pg_class'::regclass, c.oid, 'pg_type'::regclass, c.reltype FROM pg_class c
        WHERE c.relkind = 'c'
    UNION ALL SELECT 'pg_type'::regclass, t.typarray, coalesce(
            (SELECT 'pg_class'::regclass FROM pg_class c WHERE c.oid = t.typrelid
             AND c.relkind <> 'c'), 'pg_type'::regclass),
        coalesce(
            (SELECT c.oid FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind <> 'c'), t.oid)
        FROM pg_type t WHERE t.typarray <> 0
    UNION ALL SELECT 'pg_constraint'::regclass, oid, 'pg_type'::regclass, contypid
        FROM pg_constraint WHERE contypid <> 0
    UNION ALL SELECT 'pg_type'::regclass, rngmultitypid, 'pg_type'::regclass, rngtypid FROM pg_range
    UNION ALL SELECT classid, objid, 'pg_extension'::regclass, refobjid FROM pg_depend
        WHERE deptype = 'e'
)
SELECT DISTINCT coalesce(h.to_catalog, d.classid)::oid::int8 AS catalog,
    coalesce(h.to_oid, d.objid)::int8 AS oid,
    coalesce(r.to_catalog, d.refclassid)::oid::int8 AS on_catalog,
    coalesce(r.to_oid, d.refobjid)::int8 AS on_oid
FROM pg_depend d LEFT JOIN home h ON h.catalog = d.classid AND h.oid = d.objid
LEFT JOIN home r ON r.catalog = d.refclassid AND r.oid = d.refobjid
WHERE d.deptype <> 'e' AND NOT (d.deptype IN ('a', 'i') AND d.refobjsubid > 0
    AND d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
    AND EXISTS (SELECT FROM pg_sequence s WHERE s.seqrelid = d.objid))
"""

_NOT_CARRIED = f"""
SELECT * FROM (VALUES
    ('rights (GRANT)', (SELECT count(*) FROM pg_namespace n LEFT JOIN pg_init_privs i
        ON i.classoid = 'pg_namespace'::regclass AND i.objoid = n.oid
        WHERE {USER_SCHEMA} AND n.nspacl IS DISTINCT FROM i.initprivs)
      + (SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relacl IS NOT NULL AND {USER_SCHEMA})
      + (SELECT count(*) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE p.proacl IS NOT NULL AND {USER_SCHEMA})
      + (SELECT count(*) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE a.attacl IS NOT NULL AND {USER_SCHEMA})),
    ('default rights', (SELECT count(*) FROM pg_default_acl)),
    ('casts', (SELECT count(*) FROM pg_cast c WHERE c.oid >= 16384 AND NOT EXISTS (
        SELECT FROM pg_depend e WHERE e.objid = c.oid AND e.deptype IN ('e', 'i')))),
    ('operators', (SELECT count(*) FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace
        WHERE {USER_SCHEMA} AND NOT EXISTS (
        SELECT FROM pg_depend e WHERE e.objid = o.oid AND e.deptype = 'e'))),
    ('operator classes', (SELECT count(*) FROM pg_opclass o
        JOIN pg_namespace n ON n.oid = o.opcnamespace WHERE {USER_SCHEMA} AND NOT EXISTS (
        SELECT FROM pg_depend e WHERE e.objid = o.oid AND e.deptype = 'e'))),
    ('base types', (SELECT count(*) FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
        WHERE t.typtype = 'b' AND t.typelem = 0 AND {USER_SCHEMA} AND NOT EXISTS (
        SELECT FROM pg_depend e WHERE e.objid = t.oid AND e.deptype = 'e'))),
    ('special aggregates', (SELECT count(*) FROM pg_aggregate a JOIN pg_proc p ON p.oid = a.aggfnoid
        JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE (a.aggkind <> 'n' OR a.aggmtransfn <> 0 OR a.aggsortop <> 0) AND {USER_SCHEMA}
        AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.objid = p.oid AND e.deptype = 'e'))),
    ('collations', (SELECT count(*) FROM pg_collation l
        JOIN pg_namespace n ON n.oid = l.collnamespace
        WHERE {USER_SCHEMA})),
    ('text search objects', (SELECT count(*) FROM pg_ts_config t
        JOIN pg_namespace n ON n.oid = t.cfgnamespace WHERE {USER_SCHEMA})
      + (SELECT count(*) FROM pg_ts_dict t
        JOIN pg_namespace n ON n.oid = t.dictnamespace WHERE {USER_SCHEMA})),
    ('foreign servers', (SELECT count(*) FROM pg_foreign_server)),
    ('foreign tables', (SELECT count(*) FROM pg_foreign_table)),
    ('publications', (SELECT count(*) FROM pg_publication)),
    ('event triggers', (SELECT count(*) FROM pg_event_trigger)),
    ('security labels', (SELECT count(*) FROM pg_seclabel)),
    ('replica identities', (SELECT count(*) FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relreplident NOT IN ('d', 'n') AND {USER_SCHEMA})),
    ('column storage and statistics settings', (SELECT count(*) FROM pg_attribute a
        JOIN pg_type t ON t.oid = a.atttypid JOIN pg_class c ON c.oid = a.attrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped AND {USER_SCHEMA}
          AND (a.attstorage <> t.typstorage OR a.attcompression <> ''
               OR coalesce(a.attstattarget, -1) >= 0)))
) k(kind, count) WHERE count > 0
"""


def catalog_objects(catalog: Catalog, ownership: Ownership, schema: Schema) -> list[NativeObject]:
    """Read every object that the server can write DDL for, in a working order."""
    objects: list[NativeObject] = []
    places: dict[tuple[int, int], str] = {}
    for query in QUERIES:
        for row in catalog.rows(query.sql, doing=f"reading DDL of kind {query.kind}"):
            item = _object(query, row, ownership, schema)
            objects.append(item)
            if query.kind not in _UNNAMED:
                places[row["catalog"], row["oid"]] = str(item.provides)
    requires: dict[str, set[str]] = {str(item.provides): set(item.requires) for item in objects}
    for row in catalog.rows(_EDGES, doing="reading dependencies"):
        item = places.get((row["catalog"], row["oid"]))
        on = places.get((row["on_catalog"], row["on_oid"]))
        if item and on and item != on:
            requires[item].add(on)
    return in_working_order(objects, requires)


def kinds_not_carried(catalog: Catalog) -> list[str]:
    """Name what this database has and the server writes no DDL for, with counts."""
    rows = catalog.rows(_NOT_CARRIED, doing="counting objects")
    return [f"{row['count']} {row['kind']}" for row in rows]


def _object(query: DdlQuery, row: Row, ownership: Ownership, schema: Schema) -> NativeObject:
    catalog: int = row["catalog"]
    key = f"{catalog}:{row['oid']}"
    requires: tuple[str, ...] = ()
    table = ownership.table_of(catalog, row["oid"])
    if query.kind in _UNNAMED:
        of = row.get("on_catalog") or _PG_CLASS
        key = f"{query.kind} {of}:{row['oid']} {row['name']}"
        requires = (f"{of}:{row['oid']}",)
        table = ownership.table_of(of, row["oid"])
    return NativeObject(
        kind=query.kind,
        name=Name(row["schema"], row["name"]),
        sql=row["sql"].strip(),
        section=query.section,
        table=table,
        provides=key,
        requires=requires,
        covers=_covers(query.kind, row, ownership, schema),
        owner=row["owner"],
    )


def _covers(kind: str, row: Row, ownership: Ownership, schema: Schema) -> str | None:
    match kind:
        case "TABLE":
            return "table" if ownership.is_chosen_root(row["oid"]) else None
        case "CONSTRAINT" | "CHECK CONSTRAINT" | "FK CONSTRAINT" | "INDEX":
            return schema.covered.get(row["oid"])
        case "TABLE ATTACH":
            return "table"
        case "SEQUENCE" | "SEQUENCE OWNED BY":
            return "sequence"
        case "SCHEMA":
            return "table" if row["name"] in ownership.schemas else None
        case "COMMENT":
            return "table" if ownership.is_chosen_root(row["oid"]) else None
        case _:
            return None


def in_working_order(
    objects: list[NativeObject], requires: dict[str, set[str]]
) -> list[NativeObject]:
    """Sort so that everything comes after what it requires, otherwise as it was.

    What requires something made after the rows is itself made then. A cycle, as two functions
    that name each other may form, is broken at its first member.
    """
    from msgspec.structs import replace

    position = {str(item.provides): n for n, item in enumerate(objects)}
    waiting = {key: {r for r in needs if r in position} for key, needs in requires.items()}
    users: dict[str, list[str]] = {}
    for key, needs in waiting.items():
        for need in needs:
            users.setdefault(need, []).append(key)
    ready = [position[key] for key, needs in waiting.items() if not needs]
    heapq.heapify(ready)
    done: dict[str, NativeObject] = {}
    left = iter([str(item.provides) for item in objects])
    while len(done) < len(objects):
        if ready:
            item = objects[heapq.heappop(ready)]
        else:
            item = objects[position[next(key for key in left if key not in done)]]
        key = str(item.provides)
        if key in done:
            continue
        needs = tuple(sorted(requires[key] & position.keys(), key=position.__getitem__))
        late = any(need in done and done[need].section == "after_rows" for need in needs)
        section = "after_rows" if late else item.section
        done[key] = replace(item, requires=needs, section=section)
        for user in users.get(key, ()):
            waiting[user].discard(key)
            if not waiting[user]:
                heapq.heappush(ready, position[user])
    # All of the first section before any of the second; each keeps its own order.
    return sorted(done.values(), key=lambda item: item.section != "before_rows")
