"""DDL that the server itself writes, as queries: what stands in for pg_dump where there is none.

What lives here: one query for each kind of object. Must not know: order, dependencies, which
tables are chosen. All run under ``search_path = pg_catalog``, so that names come back qualified.
``%`` belongs to format().
"""

from __future__ import annotations

from dbsync.connectors.postgres.native_ddl_parts import (
    SEQUENCE_OPTIONS,
    TABLES,
    DdlQuery,
    of_class,
    of_type,
    on_table,
    own,
)
from dbsync.connectors.postgres.relations import USER_SCHEMA


def _constraint(types: str) -> str:
    return on_table(
        "pg_constraint", "k", "conrelid", name="c.relname || ' ' || k.conname",
        sql="format('ALTER TABLE %s%I.%I ADD CONSTRAINT %I %s;', CASE WHEN k.contype = 'c' OR "
        "c.relkind = 'p' THEN '' ELSE 'ONLY ' END, n.nspname, c.relname, k.conname, "
        "pg_get_constraintdef(k.oid))",
        where=f"k.contype IN ({types}) AND k.conparentid = 0 "
        "AND (k.contype <> 'c' OR k.conislocal)",
    )  # fmt: skip


_EXTENSIONS = """
SELECT 'pg_extension'::regclass::oid::int8 AS catalog, x.oid::int8, NULL AS schema,
    x.extname::text AS name, NULL AS owner,
    format('CREATE EXTENSION IF NOT EXISTS %I WITH SCHEMA %I;', x.extname, n.nspname) AS sql
FROM pg_extension x JOIN pg_namespace n ON n.oid = x.extnamespace
WHERE x.extname <> 'plpgsql' ORDER BY x.oid"""

_SCHEMAS = f"""
SELECT 'pg_namespace'::regclass::oid::int8 AS catalog, n.oid::int8, NULL AS schema,
    n.nspname::text AS name, pg_get_userbyid(n.nspowner)::text AS owner,
    format('CREATE SCHEMA %I;', n.nspname) AS sql
FROM pg_namespace n WHERE {USER_SCHEMA} AND n.nspname <> 'public' AND {own("pg_namespace", "n")}
ORDER BY n.oid"""

_ENUM = of_type(
    "format('CREATE TYPE %I.%I AS ENUM (%s);', n.nspname, t.typname, (SELECT string_agg("
    "quote_literal(enumlabel), ', ' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid))",
    "t.typtype = 'e'",
)
_DOMAIN = of_type(
    "format('CREATE DOMAIN %I.%I AS %s%s%s%s%s;', n.nspname, t.typname, "
    "format_type(t.typbasetype, t.typtypmod), "
    "(SELECT format(' COLLATE %I.%I', ln.nspname, l.collname) FROM pg_collation l "
    " JOIN pg_namespace ln ON ln.oid = l.collnamespace JOIN pg_type b ON b.oid = t.typbasetype "
    " WHERE l.oid = t.typcollation AND t.typcollation <> b.typcollation), "
    "' DEFAULT ' || t.typdefault, CASE WHEN t.typnotnull THEN ' NOT NULL' ELSE '' END, "
    "(SELECT string_agg(format(' CONSTRAINT %I %s', conname, pg_get_constraintdef(oid)), '' "
    " ORDER BY conname) FROM pg_constraint WHERE contypid = t.oid AND contype = 'c'))",
    "t.typtype = 'd'",
)
_COMPOSITE = of_type(
    "format(E'CREATE TYPE %I.%I AS (%s\\n);', n.nspname, t.typname, (SELECT string_agg(format("
    "E'\\n    %I %s', attname, format_type(atttypid, atttypmod)), ',' ORDER BY attnum) "
    "FROM pg_attribute WHERE attrelid = t.typrelid AND attnum > 0 AND NOT attisdropped))",
    "t.typtype = 'c' AND tc.relkind = 'c'",
)
_RANGE = of_type(
    "(SELECT format('CREATE TYPE %I.%I AS RANGE (SUBTYPE = %s);', n.nspname, t.typname, "
    "format_type(r.rngsubtype, NULL)) FROM pg_range r WHERE r.rngtypid = t.oid)",
    "t.typtype = 'r'",
)


def _routine(kinds: str) -> str:
    return f"""
SELECT 'pg_proc'::regclass::oid::int8 AS catalog, p.oid::int8, n.nspname::text AS schema,
    p.proname || '(' || coalesce(pg_get_function_identity_arguments(p.oid), '') || ')' AS name,
    pg_get_userbyid(p.proowner)::text AS owner, pg_get_functiondef(p.oid) || ';' AS sql
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE p.prokind IN ({kinds}) AND {USER_SCHEMA} AND {own("pg_proc", "p")} ORDER BY p.oid"""


_AGGREGATE = f"""
SELECT 'pg_proc'::regclass::oid::int8 AS catalog, p.oid::int8, n.nspname::text AS schema,
    p.proname || '(' || coalesce(pg_get_function_identity_arguments(p.oid), '') || ')' AS name,
    pg_get_userbyid(p.proowner)::text AS owner,
    format(E'CREATE AGGREGATE %I.%I(%s) (\\n    SFUNC = %s,\\n    STYPE = %s%s%s%s%s%s%s\\n);',
        n.nspname, p.proname,
        coalesce(nullif(pg_get_function_arguments(p.oid), ''), '*'), a.aggtransfn,
        format_type(a.aggtranstype, NULL), E',\\n    INITCOND = ' || quote_literal(a.agginitval),
        CASE WHEN a.aggfinalfn <> 0 THEN E',\\n    FINALFUNC = ' || a.aggfinalfn::text END,
        CASE WHEN a.aggfinalextra THEN E',\\n    FINALFUNC_EXTRA' END,
        CASE WHEN a.aggcombinefn <> 0 THEN E',\\n    COMBINEFUNC = ' || a.aggcombinefn::text END,
        CASE WHEN a.aggserialfn <> 0 THEN E',\\n    SERIALFUNC = ' || a.aggserialfn::text
             || E',\\n    DESERIALFUNC = ' || a.aggdeserialfn::text END,
        CASE p.proparallel WHEN 's' THEN E',\\n    PARALLEL = safe'
             WHEN 'r' THEN E',\\n    PARALLEL = restricted' END) AS sql
FROM pg_proc p JOIN pg_aggregate a ON a.aggfnoid = p.oid
JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE a.aggkind = 'n' AND a.aggmtransfn = 0 AND a.aggsortop = 0
  AND {USER_SCHEMA} AND {own("pg_proc", "p")} ORDER BY p.oid"""

_OWNED_BY = """
SELECT 0::int8 AS catalog, s.oid::int8, sn.nspname::text AS schema, s.relname::text AS name,
    pg_get_userbyid(s.relowner)::text AS owner,
    format('ALTER SEQUENCE %I.%I OWNED BY %I.%I.%I;', sn.nspname, s.relname, n.nspname, c.relname,
        a.attname) AS sql
FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S' AND s.relpersistence <> 't'
JOIN pg_namespace sn ON sn.oid = s.relnamespace JOIN pg_class c ON c.oid = d.refobjid
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.refobjsubid
WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
  AND d.deptype = 'a' AND d.refobjsubid > 0 ORDER BY s.oid"""

_ATTACH = f"""
SELECT 0::int8 AS catalog, c.oid::int8, n.nspname::text AS schema, c.relname::text AS name,
    pg_get_userbyid(c.relowner)::text AS owner,
    format('ALTER TABLE ONLY %I.%I ATTACH PARTITION %I.%I %s;', pn.nspname, p.relname, n.nspname,
        c.relname, pg_get_expr(c.relpartbound, c.oid)) AS sql
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_inherits i ON i.inhrelid = c.oid JOIN pg_class p ON p.oid = i.inhparent
JOIN pg_namespace pn ON pn.oid = p.relnamespace
WHERE c.relispartition AND c.relkind IN ('r', 'p') AND {USER_SCHEMA} ORDER BY c.oid"""

_POLICY = on_table(
    "pg_policy", "y", "polrelid", name="c.relname || ' ' || y.polname",
    sql="format('CREATE POLICY %I ON %I.%I%s FOR %s TO %s%s%s;', y.polname, n.nspname, c.relname, "
    "CASE WHEN y.polpermissive THEN '' ELSE ' AS RESTRICTIVE' END, "
    "CASE y.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' "
    "WHEN 'd' THEN 'DELETE' ELSE 'ALL' END, "
    "(SELECT string_agg(CASE WHEN r = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(r)) END, "
    "', ') FROM unnest(y.polroles) r), "
    "' USING (' || pg_get_expr(y.polqual, y.polrelid) || ')', "
    "' WITH CHECK (' || pg_get_expr(y.polwithcheck, y.polrelid) || ')')",
    where="true",
)  # fmt: skip

_COMMENT = f"""
SELECT 0::int8 AS catalog, o.oid::int8, o.schema, o.name, NULL AS owner,
    format('COMMENT ON %s IS %L;', o.what, o.comment) AS sql, o.on_catalog::oid::int8 AS on_catalog
FROM (
    SELECT c.oid, n.nspname::text AS schema, 'pg_class'::regclass AS on_catalog,
        w.kind || ' ' || c.relname || coalesce('.' || a.attname, '') AS name,
        CASE WHEN d.objsubid > 0 THEN format('COLUMN %I.%I.%I', n.nspname, c.relname, a.attname)
             ELSE format('%s %I.%I', w.kind, n.nspname, c.relname) END AS what,
        d.description AS comment
    FROM pg_description d JOIN pg_class c ON c.oid = d.objoid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.objsubid AND d.objsubid > 0
    CROSS JOIN LATERAL (SELECT CASE c.relkind WHEN 'v' THEN 'VIEW'
        WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE' WHEN 'i' THEN 'INDEX'
        WHEN 'I' THEN 'INDEX' ELSE 'TABLE' END kind) w
    WHERE d.classoid = 'pg_class'::regclass AND {USER_SCHEMA}
      AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'i', 'I')
      AND NOT (c.relkind IN ('i', 'I') AND c.relispartition) AND {own("pg_class", "c")}
    UNION ALL
    SELECT p.oid, n.nspname::text, 'pg_proc'::regclass, 'ROUTINE ' || p.proname,
        format('ROUTINE %I.%I(%s)', n.nspname, p.proname,
            pg_get_function_identity_arguments(p.oid)), d.description
    FROM pg_description d JOIN pg_proc p ON p.oid = d.objoid
    JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE d.classoid = 'pg_proc'::regclass AND {USER_SCHEMA} AND {own("pg_proc", "p")}
    UNION ALL
    SELECT t.oid, n.nspname::text, 'pg_type'::regclass, 'TYPE ' || t.typname,
        format('%s %I.%I', CASE t.typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END, n.nspname,
            t.typname), d.description
    FROM pg_description d JOIN pg_type t ON t.oid = d.objoid
    JOIN pg_namespace n ON n.oid = t.typnamespace
    WHERE d.classoid = 'pg_type'::regclass AND {USER_SCHEMA} AND {own("pg_type", "t")}
    UNION ALL
    SELECT k.oid, n.nspname::text, 'pg_constraint'::regclass, 'CONSTRAINT ' || k.conname,
        format('CONSTRAINT %I ON %I.%I', k.conname, n.nspname, c.relname), d.description
    FROM pg_description d JOIN pg_constraint k ON k.oid = d.objoid
    JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE d.classoid = 'pg_constraint'::regclass AND {USER_SCHEMA} AND k.contype <> 'n'
      AND k.conparentid = 0
    UNION ALL
    SELECT n.oid, NULL, 'pg_namespace'::regclass, 'SCHEMA ' || n.nspname,
        format('SCHEMA %I', n.nspname), d.description
    FROM pg_description d JOIN pg_namespace n ON n.oid = d.objoid
    WHERE d.classoid = 'pg_namespace'::regclass AND {USER_SCHEMA}
      AND (n.nspname <> 'public' OR d.description <> 'standard public schema')
) o ORDER BY o.schema, o.name"""

QUERIES: tuple[DdlQuery, ...] = (
    DdlQuery("SCHEMA", "before_rows", _SCHEMAS),
    DdlQuery("EXTENSION", "before_rows", _EXTENSIONS),
    DdlQuery("TYPE", "before_rows", _ENUM),
    DdlQuery("TYPE", "before_rows", _COMPOSITE),
    DdlQuery("TYPE", "before_rows", _RANGE),
    DdlQuery("DOMAIN", "before_rows", _DOMAIN),
    DdlQuery("FUNCTION", "before_rows", _routine("'f', 'w'")),
    DdlQuery("PROCEDURE", "before_rows", _routine("'p'")),
    DdlQuery("AGGREGATE", "before_rows", _AGGREGATE),
    DdlQuery("SEQUENCE", "before_rows", of_class(
        "format('CREATE %sSEQUENCE %I.%I AS %s %s;', CASE c.relpersistence WHEN 'u' THEN "
        "'UNLOGGED ' ELSE '' END, n.nspname, c.relname, format_type(s.seqtypid, NULL), "
        + SEQUENCE_OPTIONS + ")",
        "c.relkind = 'S' AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = "
        "'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'i')",
    )),
    DdlQuery("TABLE", "before_rows", TABLES),
    DdlQuery("TABLE ATTACH", "before_rows", _ATTACH),
    DdlQuery("SEQUENCE OWNED BY", "before_rows", _OWNED_BY),
    DdlQuery("VIEW", "before_rows", of_class(
        "format(E'CREATE VIEW %I.%I%s AS\\n%s', n.nspname, c.relname, "
        "' WITH (' || array_to_string(c.reloptions, ', ') || ')', pg_get_viewdef(c.oid))",
        "c.relkind = 'v'",
    )),
    DdlQuery("MATERIALIZED VIEW", "before_rows", of_class(
        "format(E'CREATE MATERIALIZED VIEW %I.%I%s AS\\n%s\\n  WITH NO DATA;', n.nspname, "
        "c.relname, ' WITH (' || array_to_string(c.reloptions, ', ') || ')', "
        "rtrim(pg_get_viewdef(c.oid), ';'))",
        "c.relkind = 'm'",
    )),
    DdlQuery("CONSTRAINT", "after_rows", _constraint("'p', 'u', 'x'")),
    DdlQuery("INDEX", "after_rows", f"""
SELECT 'pg_class'::regclass::oid::int8 AS catalog, x.oid::int8, n.nspname::text AS schema,
    x.relname::text AS name, pg_get_userbyid(x.relowner)::text AS owner,
    -- ONLY would leave the index of a partitioned table without those of its partitions.
    CASE WHEN x.relkind = 'I' THEN format('CREATE %sINDEX %I ON %s;',
        CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END, x.relname,
        substr(pg_get_indexdef(x.oid), 1 + length(format('CREATE %sINDEX %I ON ONLY ',
            CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END, x.relname))))
    ELSE pg_get_indexdef(x.oid) || ';' END AS sql
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid
JOIN pg_namespace n ON n.oid = x.relnamespace
WHERE i.indisvalid AND NOT x.relispartition AND c.relpersistence <> 't' AND {USER_SCHEMA}
  AND {own("pg_class", "c")} AND NOT EXISTS (SELECT FROM pg_constraint k
    WHERE k.conindid = x.oid AND k.contype IN ('p', 'u', 'x'))
ORDER BY x.oid"""),
    DdlQuery("CHECK CONSTRAINT", "after_rows", _constraint("'c'")),
    DdlQuery("FK CONSTRAINT", "after_rows", _constraint("'f'")),
    DdlQuery("STATISTICS", "after_rows", on_table(
        "pg_statistic_ext", "x", "stxrelid", name="x.stxname",
        sql="pg_get_statisticsobjdef(x.oid) || ';'", where="true")),
    DdlQuery("RULE", "after_rows", on_table(
        "pg_rewrite", "w", "ev_class", name="c.relname || ' ' || w.rulename",
        sql="pg_get_ruledef(w.oid)", where="w.rulename <> '_RETURN'")),
    DdlQuery("TRIGGER", "after_rows", on_table(
        "pg_trigger", "g", "tgrelid", name="c.relname || ' ' || g.tgname",
        sql="pg_get_triggerdef(g.oid) || ';' || CASE g.tgenabled WHEN 'O' THEN '' ELSE format("
        "E'\\nALTER TABLE %I.%I %s TRIGGER %I;', n.nspname, c.relname, CASE g.tgenabled "
        "WHEN 'D' THEN 'DISABLE' WHEN 'A' THEN 'ENABLE ALWAYS' ELSE 'ENABLE REPLICA' END, "
        "g.tgname) END",
        where="NOT g.tgisinternal AND g.tgparentid = 0")),
    DdlQuery("POLICY", "after_rows", _POLICY),
    DdlQuery("ROW SECURITY", "after_rows", of_class(
        "format('ALTER TABLE %I.%I ENABLE ROW LEVEL SECURITY;', n.nspname, c.relname) || "
        "CASE WHEN c.relforcerowsecurity THEN format(E'\\nALTER TABLE ONLY %I.%I FORCE ROW LEVEL "
        "SECURITY;', n.nspname, c.relname) ELSE '' END",
        "c.relrowsecurity AND c.relkind IN ('r', 'p')",
    )),
    DdlQuery("COMMENT", "after_rows", _COMMENT),
    DdlQuery("MATERIALIZED VIEW DATA", "after_rows", of_class(
        "format('REFRESH MATERIALIZED VIEW %I.%I;', n.nspname, c.relname)",
        "c.relkind = 'm' AND c.relispopulated",
    )),
)  # fmt: skip
