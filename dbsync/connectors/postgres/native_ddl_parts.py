"""Building blocks of the queries in `native_ddl`, and the longest of them: CREATE TABLE.

What lives here: SQL that gives (catalog, oid, schema, name, sql, owner) for things in a schema,
for types, and for things that hang on a table. Must not know: which kinds there are.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from dbsync.connectors.postgres.relations import USER_SCHEMA


class DdlQuery(NamedTuple):
    """Where the objects of one kind come from, and when they are made."""

    kind: str
    section: Literal["before_rows", "after_rows"]
    sql: str


def own(catalog: str, alias: str) -> str:
    """Leave out what an extension brings along, or a range type as its constructors."""
    kinds = "'e', 'i'" if catalog == "pg_proc" else "'e'"
    return (
        f"NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = '{catalog}'::regclass "
        f"AND e.objid = {alias}.oid AND e.deptype IN ({kinds}))"
    )


SEQUENCE_OPTIONS = """format('START WITH %s INCREMENT BY %s MINVALUE %s MAXVALUE %s CACHE %s%s',
    s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache,
    CASE WHEN s.seqcycle THEN ' CYCLE' ELSE '' END)"""

_COLLATE = """CASE WHEN a.attcollation <> at.typcollation THEN
    (SELECT format(' COLLATE %I.%I', ln.nspname, l.collname) FROM pg_collation l
     JOIN pg_namespace ln ON ln.oid = l.collnamespace WHERE l.oid = a.attcollation) ELSE '' END"""

_VALUE = f"""CASE
    WHEN a.attidentity <> '' AND NOT c.relispartition THEN (
        SELECT format(' GENERATED %s AS IDENTITY (SEQUENCE NAME %I.%I %s)',
            CASE a.attidentity WHEN 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END,
            sn.nspname, sc.relname, {SEQUENCE_OPTIONS})
        FROM pg_depend d JOIN pg_class sc ON sc.oid = d.objid
        JOIN pg_sequence s ON s.seqrelid = sc.oid
        JOIN pg_namespace sn ON sn.oid = sc.relnamespace
        WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
          AND d.refobjid = c.oid AND d.refobjsubid = a.attnum AND d.deptype = 'i')
    WHEN a.attgenerated <> '' THEN format(' GENERATED ALWAYS AS (%s) %s',
        pg_get_expr(ad.adbin, ad.adrelid),
        CASE a.attgenerated WHEN 's' THEN 'STORED' ELSE 'VIRTUAL' END)
    WHEN ad.oid IS NOT NULL THEN format(' DEFAULT %s', pg_get_expr(ad.adbin, ad.adrelid))
    ELSE '' END || CASE WHEN a.attnotnull THEN
        coalesce((SELECT format(' CONSTRAINT %I', k.conname) FROM pg_constraint k
            WHERE k.conrelid = c.oid AND k.contype = 'n' AND k.conkey = ARRAY[a.attnum]), '')
        || ' NOT NULL' ELSE '' END"""

_COLUMNS = f"""(SELECT string_agg(format(E'\\n    %I %s%s%s', a.attname,
        CASE WHEN c.reloftype <> 0 THEN 'WITH OPTIONS'
             ELSE format_type(a.atttypid, a.atttypmod) END,
        CASE WHEN c.reloftype <> 0 THEN '' ELSE {_COLLATE} END, {_VALUE}), ',' ORDER BY a.attnum)
    FROM pg_attribute a JOIN pg_type at ON at.oid = a.atttypid
    LEFT JOIN pg_attrdef ad ON ad.adrelid = a.attrelid AND ad.adnum = a.attnum
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
      AND (a.attislocal OR c.relispartition))"""

TABLES = f"""
SELECT 'pg_class'::regclass::oid::int8 AS catalog, c.oid::int8, n.nspname::text AS schema,
    c.relname::text AS name, pg_get_userbyid(c.relowner)::text AS owner,
    format('CREATE %sTABLE %I.%I%s%s%s%s%s;',
        CASE c.relpersistence WHEN 'u' THEN 'UNLOGGED ' ELSE '' END, n.nspname, c.relname,
        CASE WHEN c.reloftype <> 0 THEN ' OF ' || format_type(c.reloftype, NULL) ELSE '' END,
        CASE WHEN c.reloftype = 0 OR {_COLUMNS} IS NOT NULL
             THEN ' (' || coalesce({_COLUMNS}, '') || E'\\n)' ELSE '' END,
        (SELECT ' INHERITS (' || string_agg(format('%I.%I', pn.nspname, p.relname), ', '
                ORDER BY i.inhseqno) || ')'
         FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent
         JOIN pg_namespace pn ON pn.oid = p.relnamespace
         WHERE i.inhrelid = c.oid AND NOT c.relispartition),
        CASE WHEN c.relkind = 'p' THEN ' PARTITION BY ' || pg_get_partkeydef(c.oid) ELSE '' END,
        ' WITH (' || array_to_string(c.reloptions, ', ') || ')') AS sql
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND {USER_SCHEMA}
  AND {own("pg_class", "c")}
ORDER BY c.oid
"""


def of_class(sql: str, where: str, order: str = "c.oid") -> str:
    """Query things in ``pg_class`` (alias c, namespace n, sequence s)."""
    return f"""
SELECT 'pg_class'::regclass::oid::int8 AS catalog, c.oid::int8, n.nspname::text AS schema,
    c.relname::text AS name, pg_get_userbyid(c.relowner)::text AS owner, {sql} AS sql
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_sequence s ON s.seqrelid = c.oid
WHERE {where} AND c.relpersistence <> 't' AND {USER_SCHEMA} AND {own("pg_class", "c")}
ORDER BY {order}"""


def of_type(sql: str, where: str) -> str:
    """Query things in ``pg_type`` (alias t, namespace n, relation tc)."""
    return f"""
SELECT 'pg_type'::regclass::oid::int8 AS catalog, t.oid::int8, n.nspname::text AS schema,
    t.typname::text AS name, pg_get_userbyid(t.typowner)::text AS owner, {sql} AS sql
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_class tc ON tc.oid = t.typrelid
WHERE {where} AND {USER_SCHEMA} AND {own("pg_type", "t")} ORDER BY t.oid"""


def on_table(catalog: str, alias: str, relation: str, *, name: str, sql: str, where: str) -> str:
    """Objects that hang on a relation; `name` and `sql` are expressions."""
    return f"""
SELECT '{catalog}'::regclass::oid::int8 AS catalog, {alias}.oid::int8, n.nspname::text AS schema,
    ({name})::text AS name, pg_get_userbyid(c.relowner)::text AS owner, {sql} AS sql
FROM {catalog} {alias} JOIN pg_class c ON c.oid = {alias}.{relation}
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE {where} AND c.relpersistence <> 't' AND {USER_SCHEMA} AND {own("pg_class", "c")}
ORDER BY {alias}.oid"""
