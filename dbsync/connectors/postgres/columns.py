"""Columns and types of the selected tables.

What lives here: reading ``pg_attribute`` and ``pg_type`` into `Column`. Must not know: keys and
constraints, nor which rows are read. A column of any type whatsoever is carried: see `types`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from dbsync.connectors.postgres.defaults import classify
from dbsync.connectors.postgres.query import Catalog, Row
from dbsync.connectors.postgres.types import Selected, TypeFacts, logical_type, select_column
from dbsync.model.schema import Column, Generated, Identity, Name, exceptions_names
from dbsync.model.types import standard_storage


@dataclass(frozen=True)
class ReadColumn:
    """A column of the model with what only reading it needs."""

    column: Column
    number: int
    """``attnum``."""
    selected: Selected
    may_select: bool


_COLUMNS = """
SELECT a.attrelid::int8 AS relation, a.attnum::int4 AS number, a.attname::text AS name,
    a.atttypid::int8 AS type, a.atttypmod AS typmod,
    format_type(a.atttypid, a.atttypmod) AS native_type,
    a.attnotnull AS not_null, a.attidentity::text AS identity, a.attgenerated::text AS generated,
    pg_get_expr(d.adbin, d.adrelid) AS expression,
    col_description(a.attrelid, a.attnum) AS comment,
    CASE WHEN a.attcollation <> t.typcollation THEN
        CASE WHEN ln.nspname = 'pg_catalog' THEN quote_ident(l.collname)
             ELSE format('%%I.%%I', ln.nspname, l.collname) END END AS collation,
    has_column_privilege(a.attrelid, a.attnum, 'SELECT') AS may_select,
    s.schema AS sequence_schema, s.name AS sequence_name
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
LEFT JOIN pg_collation l ON l.oid = a.attcollation
LEFT JOIN pg_namespace ln ON ln.oid = l.collnamespace
LEFT JOIN LATERAL (
    SELECT n.nspname::text AS schema, c.relname::text AS name
    FROM pg_depend p JOIN pg_class c
      ON c.oid = CASE WHEN p.classid = 'pg_attrdef'::regclass THEN p.refobjid ELSE p.objid END
     AND c.relkind = 'S'
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE (a.attidentity <> '' AND p.classid = 'pg_class'::regclass AND p.deptype = 'i'
           AND p.refclassid = 'pg_class'::regclass AND p.refobjid = a.attrelid
           AND p.refobjsubid = a.attnum)
       OR (p.classid = 'pg_attrdef'::regclass AND p.objid = d.oid
           AND p.refclassid = 'pg_class'::regclass)
    LIMIT 1
) s ON a.attidentity <> '' OR d.oid IS NOT NULL
WHERE a.attrelid = ANY (%(relations)s::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum
"""

_TYPES = """
SELECT t.oid::int8, n.nspname::text AS schema, t.typname::text AS name, t.typtype::text AS kind,
    CASE WHEN e.typarray = t.oid THEN t.typelem ELSE 0 END::int8 AS element,
    t.typbasetype::int8 AS base, t.typtypmod AS base_typmod,
    (SELECT array_agg(enumlabel::text ORDER BY enumsortorder) FROM pg_enum
     WHERE enumtypid = t.oid) AS labels,
    pn.nspname::text AS output_schema, p.proname::text AS output_name,
    EXISTS (SELECT FROM pg_cast c WHERE c.castsource = t.oid AND c.casttarget = 'text'::regtype
            AND c.castmethod = 'f') AS casts_to_text,
    (SELECT x.extname::text FROM pg_depend d JOIN pg_extension x ON x.oid = d.refobjid
     WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e'
       AND d.refclassid = 'pg_extension'::regclass LIMIT 1) AS extension
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
JOIN pg_proc p ON p.oid = t.typoutput JOIN pg_namespace pn ON pn.oid = p.pronamespace
LEFT JOIN pg_type e ON e.oid = t.typelem
WHERE t.oid = ANY (%(types)s::oid[])
"""

_NEXTVAL = re.compile(r"nextval\('(?:[^']|'')*'::regclass\)")


def read_columns(catalog: Catalog, relations: Iterable[int]) -> dict[int, list[ReadColumn]]:
    """Read the columns of the relations with these oids, in their order, by oid."""
    rows = catalog.rows(_COLUMNS, {"relations": list(relations)}, doing="reading columns")
    types = read_types(catalog, {row["type"] for row in rows})
    grouped: dict[int, list[Row]] = {}
    for row in rows:
        grouped.setdefault(row["relation"], []).append(row)
    result: dict[int, list[ReadColumn]] = {}
    for relation, own in grouped.items():
        exceptions = exceptions_names(row["name"] for row in own)
        result[relation] = [_column(row, types, exceptions[row["name"]]) for row in own]
    return result


def read_types(catalog: Catalog, wanted: set[int]) -> dict[int, TypeFacts]:
    """Read types, their elements and their base types, by oid."""
    types: dict[int, TypeFacts] = {}
    while wanted:
        found = catalog.rows(_TYPES, {"types": sorted(wanted)}, doing="reading types")
        for row in found:
            types[row["oid"]] = TypeFacts(
                oid=row["oid"],
                schema=row["schema"],
                name=row["name"],
                kind=row["kind"],
                element=row["element"],
                base=row["base"],
                base_typmod=row["base_typmod"],
                labels=tuple(row["labels"] or ()),
                output=(row["output_schema"], row["output_name"]),
                casts_to_text=row["casts_to_text"],
                extension=row["extension"],
            )
        wanted = {oid for t in types.values() for oid in (t.element, t.base) if oid} - types.keys()
    return types


def _column(row: Row, types: dict[int, TypeFacts], exceptions: str) -> ReadColumn:
    logical = logical_type(row["type"], row["typmod"], types)
    sequence = None
    if row["sequence_name"] is not None:
        sequence = Name(row["sequence_schema"], row["sequence_name"])
    identity: Identity | None = None
    generated: Generated | None = None
    default = None
    expression: str | None = row["expression"]
    if row["identity"]:
        kind = "always" if row["identity"] == "a" else "by default"
        identity = Identity(kind=kind, sequence=sequence)
    elif row["generated"]:
        generated = Generated(expression=expression or "", stored=row["generated"] == "s")
    elif expression is not None:
        if sequence is not None and _NEXTVAL.fullmatch(expression):
            identity = Identity(kind="serial", sequence=sequence)
        else:
            default = classify(expression, logical)
    column = Column(
        name=row["name"],
        type=logical,
        native_type=row["native_type"],
        storage=standard_storage(logical),
        exceptions=exceptions,
        nullable=not row["not_null"],
        default=default,
        generated=generated,
        identity=identity,
        collation=row["collation"],
        comment=row["comment"],
    )
    select = select_column(row["name"], row["type"], row["typmod"], types)
    return ReadColumn(column, row["number"], select, row["may_select"])
