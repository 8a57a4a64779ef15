"""What is there on the target: tables with their columns, keys, references, sequences and rights.

What lives here: questions to the catalog, answered as plain values. Nothing is changed. Must not
know: what an import makes of the answers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from dbsync.connectors.postgres.connection import quote_literal, quote_name
from dbsync.connectors.postgres.session import Asks
from dbsync.connectors.postgres.types import TypeFacts, logical_type, resolve
from dbsync.model.schema import Name
from dbsync.model.types import LogicalType


class TargetColumn(msgspec.Struct, frozen=True, kw_only=True):
    """One column as it is on the target.

    `base` is the quoted, qualified name of the type under any domain, without modifiers, and
    `full` the same with its modifiers; `kind` is its plain name where it is in pg_catalog, else
    empty. `native` is the declared type as text. `identity` is ``a``, ``d`` or empty.
    """

    name: str
    logical: LogicalType
    base: str
    full: str
    kind: str
    modified: bool
    native: str
    nullable: bool
    fills_itself: bool
    """Has a default, an identity or a domain's default, so an insert may leave it out."""
    generated: bool
    identity: str
    collation: str | None
    """The quoted collation where it is not the type's own."""
    may_insert: bool
    may_update: bool
    version: int
    """Of the server, as in ``server_version_num``."""


class UniqueKey(msgspec.Struct, frozen=True, kw_only=True):
    """A unique index that an upsert can use: immediate, valid, whole, over plain columns."""

    columns: tuple[str, ...]
    primary: bool
    not_null: bool


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """A foreign key between two tables of the target."""

    name: str
    table: int
    referred: int
    deferrable: bool
    match: str


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that would rewrite an INSERT or UPDATE; `always` as in ENABLE ALWAYS."""

    name: str
    always: bool


class TargetTable(msgspec.Struct, frozen=True, kw_only=True):
    """One table as it is on the target. `kind` is ``relkind``: r, p, f, v, m, S, ..."""

    oid: int
    name: Name
    kind: str
    columns: tuple[TargetColumn, ...]
    keys: tuple[UniqueKey, ...]
    owned: bool
    row_security: bool
    may_select: bool
    may_insert: bool
    may_update: bool
    may_truncate: bool
    has_triggers: bool
    rules: tuple[Rule, ...]
    has_children: bool
    estimate: int

    def column(self, name: str) -> TargetColumn | None:
        """Return the column called `name`, or None."""
        return next((c for c in self.columns if c.name == name), None)

    @property
    def sql(self) -> str:
        """The quoted, qualified name."""
        return quote_name(self.name.schema, self.name.name)

    def switch_rules(self, *, on: bool) -> list[str]:
        """Write the statements that turn its rules off, or back to what they were."""
        return [
            f"ALTER TABLE {self.sql} "
            + ("DISABLE" if not on else "ENABLE ALWAYS" if rule.always else "ENABLE")
            + f" RULE {quote_name(rule.name)}"
            for rule in self.rules
        ]


_TABLES = """
SELECT c.oid::int8 AS oid, n.nspname AS schema, c.relname AS name, c.relkind AS kind,
    pg_has_role(c.relowner, 'USAGE') AS owned, row_security_active(c.oid) AS row_security,
    has_table_privilege(c.oid, 'SELECT') AS may_select,
    has_any_column_privilege(c.oid, 'INSERT') AS may_insert,
    has_any_column_privilege(c.oid, 'UPDATE') AS may_update,
    has_table_privilege(c.oid, 'TRUNCATE') AS may_truncate,
    EXISTS (SELECT 1 FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal
        AND t.tgenabled <> 'D') AS has_triggers,
    (SELECT json_agg(json_build_object('name', r.rulename, 'always', r.ev_enabled = 'A')
         ORDER BY r.rulename)
     FROM pg_rewrite r WHERE r.ev_class = c.oid AND r.ev_type IN ('2', '3')
     AND r.ev_enabled IN ('O', 'A')) AS rules,
    c.relhassubclass AS has_children, greatest(c.reltuples, 0)::int8 AS estimate
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN json_to_recordset({names}::json) w(s text, n text) ON w.s = n.nspname AND w.n = c.relname
WHERE c.relkind NOT IN ('i', 'I', 't', 'c')
"""

_COLUMNS = """
SELECT a.attrelid::int8 AS oid, a.attname AS name, a.atttypid::int8 AS type,
    a.atttypmod AS typmod, format_type(a.atttypid, a.atttypmod) AS native,
    NOT a.attnotnull AND NOT coalesce(t.typnotnull, false) AS nullable,
    a.atthasdef OR a.attidentity <> '' OR t.typdefault IS NOT NULL AS fills_itself,
    a.attgenerated <> '' AS generated, a.attidentity AS identity,
    CASE WHEN a.attcollation <> t.typcollation THEN
        (SELECT quote_ident(cn.nspname) || '.' || quote_ident(co.collname) FROM pg_collation co
         JOIN pg_namespace cn ON cn.oid = co.collnamespace WHERE co.oid = a.attcollation)
    END AS collation,
    has_column_privilege(a.attrelid, a.attnum, 'INSERT') AS may_insert,
    has_column_privilege(a.attrelid, a.attnum, 'UPDATE') AS may_update,
    current_setting('server_version_num')::int AS version
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
WHERE a.attrelid = ANY ('{{{oids}}}'::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum
"""

_TYPES = """
WITH RECURSIVE used(oid) AS (
    SELECT DISTINCT atttypid FROM pg_attribute
    WHERE attrelid = ANY ('{{{oids}}}'::oid[]) AND attnum > 0 AND NOT attisdropped
  UNION
    SELECT x.oid FROM used u JOIN pg_type t ON t.oid = u.oid
    CROSS JOIN LATERAL (VALUES (t.typbasetype), (t.typelem)) x(oid) WHERE x.oid <> 0
)
SELECT t.oid::int8 AS oid, n.nspname AS schema, t.typname AS name, t.typtype AS kind,
    CASE WHEN t.typcategory = 'A' THEN t.typelem::int8 ELSE 0 END AS element,
    t.typbasetype::int8 AS base, t.typtypmod AS base_typmod,
    (SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e
     WHERE e.enumtypid = t.oid) AS labels,
    (SELECT x.extname FROM pg_depend d JOIN pg_extension x ON x.oid = d.refobjid
     WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e'
     AND d.refclassid = 'pg_extension'::regclass LIMIT 1) AS extension
FROM used u JOIN pg_type t ON t.oid = u.oid JOIN pg_namespace n ON n.oid = t.typnamespace
"""

_KEYS = """
SELECT i.indrelid::int8 AS oid, i.indisprimary AS primary,
    json_agg(a.attname ORDER BY k.position) AS columns,
    bool_and(a.attnotnull) AS not_null
FROM pg_index i
CROSS JOIN LATERAL unnest(i.indkey[0:i.indnkeyatts - 1]) WITH ORDINALITY k(attnum, position)
LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum AND a.attnum > 0
WHERE i.indrelid = ANY ('{{{oids}}}'::oid[]) AND i.indisunique AND i.indimmediate
    AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
GROUP BY i.indexrelid, i.indrelid, i.indisprimary
ORDER BY i.indisprimary DESC, i.indexrelid
"""

_REFERENCES = """
SELECT k.conname AS name, k.conrelid::int8 AS table, k.confrelid::int8 AS referred,
    k.condeferrable AS deferrable, k.confmatchtype AS match
FROM pg_constraint k
WHERE k.contype = 'f' AND k.conparentid = 0
    AND (k.conrelid = ANY ('{{{oids}}}'::oid[]) OR k.confrelid = ANY ('{{{oids}}}'::oid[]))
ORDER BY k.conrelid, k.conname
"""


def read_tables(asks: Asks, names: Iterable[Name]) -> dict[Name, TargetTable]:
    """Read the relations called `names` that exist, of whatever kind."""
    wanted = [{"s": n.schema, "n": n.name} for n in names]
    found = asks.rows(_TABLES.format(names=quote_literal(msgspec.json.encode(wanted).decode())))
    oids = ",".join(str(row["oid"]) for row in found)
    types = _types(asks.rows(_TYPES.format(oids=oids)))
    columns: dict[int, list[TargetColumn]] = {}
    rows = asks.rows(_COLUMNS.format(oids=oids))
    full = _full_names(asks, rows, types)
    for row in rows:
        columns.setdefault(row.pop("oid"), []).append(_column(row, types, full))
    keys: dict[int, list[UniqueKey]] = {}
    for row in asks.rows(_KEYS.format(oids=oids)):
        parts: list[str | None] = row["columns"]
        if None not in parts:  # an expression, or a column of the system
            names_of = tuple(part for part in parts if part is not None)
            key = UniqueKey(columns=names_of, primary=row["primary"], not_null=row["not_null"])
            keys.setdefault(row["oid"], []).append(key)
    tables: dict[Name, TargetTable] = {}
    for row in found:
        name = Name(row.pop("schema"), row.pop("name"))
        rules: list[dict[str, Any]] = row.pop("rules") or []
        tables[name] = TargetTable(
            name=name,
            rules=tuple(Rule(**rule) for rule in rules),
            columns=tuple(columns.get(row["oid"], ())),
            keys=tuple(keys.get(row["oid"], ())),
            **row,
        )
    return tables


def read_references(asks: Asks, tables: Iterable[TargetTable]) -> list[Reference]:
    """Read the foreign keys that start or end at one of `tables`."""
    oids = ",".join(str(t.oid) for t in tables)
    return [Reference(**row) for row in asks.rows(_REFERENCES.format(oids=oids))]


def read_empty(asks: Asks, tables: Iterable[TargetTable], batch: int = 200) -> dict[Name, bool]:
    """Say for each table whether it holds no row at all."""
    pending, empty = list(tables), dict[Name, bool]()
    for start in range(0, len(pending), batch):
        some = pending[start : start + batch]
        query = " UNION ALL ".join(
            f"SELECT {i} AS i, NOT EXISTS (SELECT 1 FROM {t.sql}) AS empty"
            for i, t in enumerate(some)
        )
        for row in asks.rows(query):
            empty[some[row["i"]].name] = row["empty"]
    return empty


def _types(rows: list[dict[str, Any]]) -> dict[int, TypeFacts]:
    return {
        row["oid"]: TypeFacts(
            oid=row["oid"],
            schema=row["schema"],
            name=row["name"],
            kind=row["kind"],
            element=row["element"],
            base=row["base"],
            base_typmod=row["base_typmod"],
            labels=tuple(row["labels"] or ()),
            extension=row["extension"],
        )
        for row in rows
    }


def _full_names(
    asks: Asks, rows: list[dict[str, Any]], types: dict[int, TypeFacts]
) -> dict[tuple[int, int], str]:
    """Write the stored types that have modifiers, such as ``numeric(10,2)``."""
    pairs: set[tuple[int, int]] = set()
    for row in rows:
        facts, typmod = resolve(row["type"], row["typmod"], types)
        if typmod >= 0:
            pairs.add((facts.oid, typmod))
    if not pairs:
        return {}
    values = ", ".join(f"({oid}, {typmod})" for oid, typmod in sorted(pairs))
    found = asks.rows(
        "SELECT v.oid, v.typmod, format_type(v.oid::oid, v.typmod) AS text "
        f"FROM (VALUES {values}) v(oid, typmod)"
    )
    return {(row["oid"], row["typmod"]): row["text"] for row in found}


def _column(
    row: dict[str, Any], types: dict[int, TypeFacts], full: dict[tuple[int, int], str]
) -> TargetColumn:
    oid, typmod = row.pop("type"), row.pop("typmod")
    facts, stored_typmod = resolve(oid, typmod, types)
    base = quote_name(facts.schema, facts.name)
    return TargetColumn(
        **row,
        logical=logical_type(oid, typmod, types),
        base=base,
        full=full.get((facts.oid, stored_typmod), base),
        kind=facts.name if facts.schema == "pg_catalog" and facts.kind == "b" else "",
        modified=stored_typmod >= 0,
    )
