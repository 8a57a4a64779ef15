"""Keys, foreign keys, checks and indexes of the selected tables.

What lives here: reading ``pg_constraint`` and ``pg_index`` into the portable model. Must not
know: native DDL. What the model cannot say (exclusion, NOT VALID, NOT ENFORCED, temporal keys) is
left to native DDL; `Constraints.covered` lists what the model does say, so that both agree.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from dbsync.connectors.postgres.query import Catalog, Row
from dbsync.model.schema import (
    Action,
    Check,
    ForeignKey,
    Index,
    IndexColumn,
    Key,
    Loss,
    Name,
)

_ACTIONS: dict[str, Action] = {
    "a": "no action",
    "r": "restrict",
    "c": "cascade",
    "n": "set null",
    "d": "set default",
}


@dataclass
class Constraints:
    """What constrains one table."""

    primary_key: Key | None = None
    uniques: list[Key] = field(default_factory=list[Key])
    foreign_keys: list[ForeignKey] = field(default_factory=list[ForeignKey])
    checks: list[Check] = field(default_factory=list[Check])
    check_columns: list[tuple[str, ...]] = field(default_factory=list[tuple[str, ...]])
    """Columns that each of `checks` looks at."""
    indexes: list[Index] = field(default_factory=list[Index])
    index_columns: list[tuple[str, ...]] = field(default_factory=list[tuple[str, ...]])
    """Columns that each of `indexes` depends on."""
    losses: list[Loss] = field(default_factory=list[Loss])


# Columns that only some versions have are read through to_jsonb: indnullsnotdistinct (15),
# conperiod and conenforced (18).
_CONSTRAINTS = """
SELECT c.oid::int8, c.conrelid::int8 AS relation, c.conname::text AS name,
    c.contype::text AS type, c.condeferrable, c.condeferred, c.convalidated,
    (SELECT array_agg(a.attname::text ORDER BY k.n) FROM unnest(c.conkey) WITH ORDINALITY k(num, n)
     JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.num) AS columns,
    (SELECT array_agg(a.attname::text ORDER BY k.n) FROM unnest(c.confkey) WITH ORDINALITY k(num, n)
     JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.num) AS referred_columns,
    fn.nspname::text AS referred_schema, f.relname::text AS referred,
    c.confupdtype::text AS on_update, c.confdeltype::text AS on_delete,
    c.confmatchtype::text AS match, pg_get_expr(c.conbin, c.conrelid) AS expression,
    coalesce(to_jsonb(i)->>'indnullsnotdistinct', 'false') = 'true' AS nulls_not_distinct,
    coalesce(to_jsonb(c)->>'conperiod', 'false') = 'true' AS period,
    coalesce(to_jsonb(c)->>'conenforced', 'true') = 'true' AS enforced,
    coalesce(to_jsonb(c)->>'confdelsetcols', '') <> '' AS deletes_some
FROM pg_constraint c
LEFT JOIN pg_class f ON f.oid = c.confrelid LEFT JOIN pg_namespace fn ON fn.oid = f.relnamespace
LEFT JOIN pg_index i ON i.indexrelid = c.conindid AND c.contype IN ('p', 'u')
WHERE c.conrelid = ANY (%(relations)s::oid[]) AND c.contype IN ('p', 'u', 'f', 'c')
  AND c.conparentid = 0 AND (%(all)s OR c.contype = 'p')
ORDER BY c.conrelid, c.conname COLLATE "C"
"""

_INDEXES = """
SELECT i.indexrelid::int8 AS oid, i.indrelid::int8 AS relation, c.relname::text AS name,
    i.indisunique AS is_unique, i.indisvalid AS valid, pg_get_indexdef(i.indexrelid) AS definition,
    m.amname = 'btree' AND i.indpred IS NULL AND i.indnatts = i.indnkeyatts
      AND 0 <> ALL (i.indkey::int2[]) AND c.reloptions IS NULL
      AND coalesce(to_jsonb(i)->>'indnullsnotdistinct', 'false') = 'false'
      AND NOT EXISTS (SELECT FROM unnest(i.indclass::oid[]) k(oid) JOIN pg_opclass o USING (oid)
                      WHERE NOT o.opcdefault)
      AND NOT EXISTS (
        SELECT FROM unnest(i.indkey::int2[], i.indcollation::oid[], i.indoption::int2[])
          k(num, collated, opt)
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.num
        WHERE k.collated <> a.attcollation OR k.opt NOT IN (0, 3)) AS portable,
    (SELECT array_agg(a.attname::text ORDER BY k.n)
     FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(num, n)
     LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.num AND k.num <> 0
     WHERE k.n <= i.indnkeyatts) AS columns,
    (SELECT array_agg(pg_get_indexdef(i.indexrelid, n, true) ORDER BY n)
     FROM generate_series(1, i.indnkeyatts::int4) n) AS parts,
    (SELECT array_agg(o & 1 = 1 ORDER BY n) FROM unnest(i.indoption::int2[]) WITH ORDINALITY k(o, n)
    ) AS descending,
    (SELECT array_agg(DISTINCT a.attname::text) FROM pg_depend d JOIN pg_attribute a
       ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
     WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid
       AND d.refclassid = 'pg_class'::regclass AND d.refobjid = i.indrelid) AS uses
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam
WHERE i.indrelid = ANY (%(relations)s::oid[])
  AND NOT EXISTS (SELECT FROM pg_constraint x WHERE x.conindid = i.indexrelid
                  AND x.contype IN ('p', 'u', 'x'))
ORDER BY i.indrelid, c.relname COLLATE "C"
"""


def read_constraints(
    catalog: Catalog, relations: Iterable[int], *, include_schema: bool
) -> tuple[dict[int, Constraints], dict[int, str]]:
    """Read what constrains the relations with these oids, by oid; primary keys alone without
    `include_schema`.

    Also returns which oids of ``pg_constraint`` and ``pg_class`` (indexes) the model covers, and
    as what (`NativeObject.covers`).
    """
    oids = list(relations)
    found: dict[int, Constraints] = {oid: Constraints() for oid in oids}
    covered: dict[int, str] = {}
    parameters = {"relations": oids, "all": include_schema}
    for row in catalog.rows(_CONSTRAINTS, parameters, doing="reading constraints"):
        kind = _add_constraint(found[row["relation"]], row)
        if kind:
            covered[row["oid"]] = kind
    if include_schema:
        for row in catalog.rows(_INDEXES, parameters, doing="reading indexes"):
            _add_index(found[row["relation"]], row)
            covered[row["oid"]] = "index"
    return found, covered


def _add_constraint(into: Constraints, row: Row) -> str | None:
    """Add one constraint and say what it is, or None where the model has no words for it."""
    columns = tuple(row["columns"] or ())
    if row["period"] or not row["enforced"] or row["deletes_some"]:
        return None
    if row["type"] in ("p", "u"):
        key = Key(
            columns=columns,
            name=row["name"],
            deferrable=row["condeferrable"],
            initially_deferred=row["condeferred"],
            nulls_distinct=not row["nulls_not_distinct"],
        )
        if row["type"] == "p":
            into.primary_key = key
            return "primary_key"
        into.uniques.append(key)
        return "unique"
    if not row["convalidated"]:
        return None
    if row["type"] == "c":
        into.checks.append(Check(expression=row["expression"], name=row["name"]))
        into.check_columns.append(columns)
        return "check"
    into.foreign_keys.append(
        ForeignKey(
            columns=columns,
            referred=Name(row["referred_schema"], row["referred"]),
            referred_columns=tuple(row["referred_columns"]),
            name=row["name"],
            on_update=_ACTIONS[row["on_update"]],
            on_delete=_ACTIONS[row["on_delete"]],
            deferrable=row["condeferrable"],
            initially_deferred=row["condeferred"],
            match_full=row["match"] == "f",
        )
    )
    return "foreign_key"


def _add_index(into: Constraints, row: Row) -> None:
    if not row["valid"]:
        into.losses.append(
            Loss(
                object=f"index {row['name']}",
                reason="it is invalid (a failed CREATE INDEX CONCURRENTLY); pg_dump leaves it too",
            )
        )
        return
    parts = tuple(
        IndexColumn(column=column, expression=None if column else part, descending=bool(descending))
        for column, part, descending in zip(
            row["columns"], row["parts"], row["descending"], strict=True
        )
    )
    into.indexes.append(
        Index(
            name=row["name"],
            columns=parts,
            unique=row["is_unique"],
            portable=row["portable"],
            definition=None if row["portable"] else row["definition"],
        )
    )
    into.index_columns.append(tuple(row["uses"] or ()))
