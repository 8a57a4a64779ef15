"""Which catalog object belongs to which table.

What lives here: `Ownership`, read once under the snapshot, for deciding which native DDL goes
with the chosen tables. Must not know: where the DDL comes from.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dbsync.connectors.postgres.holder import Holder
from dbsync.connectors.postgres.query import Catalog
from dbsync.model.schema import Name

_OWNERS = """
WITH RECURSIVE part(oid, root) AS (
    SELECT oid, oid FROM pg_class WHERE relkind IN ('r', 'p', 'f') AND NOT relispartition
    UNION ALL
    SELECT i.inhrelid, p.root FROM part p JOIN pg_inherits i ON i.inhparent = p.oid
    JOIN pg_class c ON c.oid = i.inhrelid AND c.relispartition
), owned(catalog, oid, relation) AS (
    SELECT 'pg_class'::regclass, oid, oid FROM part
    UNION ALL SELECT 'pg_class'::regclass, indexrelid, indrelid FROM pg_index
    UNION ALL SELECT 'pg_class'::regclass, d.objid, d.refobjid FROM pg_depend d
        JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
        WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
          AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
    UNION ALL SELECT 'pg_constraint'::regclass, oid, conrelid FROM pg_constraint WHERE conrelid <> 0
    UNION ALL SELECT 'pg_trigger'::regclass, oid, tgrelid FROM pg_trigger
    UNION ALL SELECT 'pg_rewrite'::regclass, oid, ev_class FROM pg_rewrite
    UNION ALL SELECT 'pg_policy'::regclass, oid, polrelid FROM pg_policy
    UNION ALL SELECT 'pg_attrdef'::regclass, oid, adrelid FROM pg_attrdef
    UNION ALL SELECT 'pg_publication_rel'::regclass, oid, prrelid FROM pg_publication_rel
    UNION ALL SELECT 'pg_statistic_ext'::regclass, oid, stxrelid FROM pg_statistic_ext
    UNION ALL SELECT 0, polrelid, polrelid FROM pg_policy
)
SELECT o.catalog::oid::int8 AS catalog, o.oid::int8, n.nspname::text AS schema,
    c.relname::text AS name, s.relname::text AS sequence, sn.nspname::text AS sequence_schema
FROM owned o JOIN part p ON p.oid = o.relation JOIN pg_class c ON c.oid = p.root
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_class s ON s.oid = o.oid AND s.relkind = 'S' AND o.catalog = 'pg_class'::regclass
LEFT JOIN pg_namespace sn ON sn.oid = s.relnamespace
"""

# Constraints and indexes of partitions that their root's bring along.
_SHADOWS = """
SELECT c.oid::int8, CASE c.contype WHEN 'p' THEN 'primary_key' WHEN 'u' THEN 'unique'
    WHEN 'f' THEN 'foreign_key' ELSE 'check' END AS covers
FROM pg_constraint c WHERE c.conparentid <> 0 AND c.contype IN ('p', 'u', 'f', 'c')
UNION ALL
SELECT i.inhrelid::int8, 'index' FROM pg_inherits i
JOIN pg_class c ON c.oid = i.inhrelid AND c.relkind IN ('i', 'I')
"""


@dataclass(frozen=True)
class Ownership:
    """Which table each catalog row belongs to, and which tables take part."""

    owners: dict[tuple[int, int], Name]
    """By catalog oid and row oid; a partition counts as its root. Only tables that have rows to
    export own anything: what belongs to a foreign table, say, stands alone."""
    chosen: dict[int, Name]
    """Chosen roots by oid."""
    left_out: frozenset[Name]
    narrowed: frozenset[Name]
    """Chosen tables of which some columns are left out."""
    shadows: dict[int, str]
    """Constraints and indexes of partitions, by oid, and what of the root's they repeat."""

    @property
    def schemas(self) -> set[str | None]:
        """The schemas of chosen tables."""
        return {name.schema for name in self.chosen.values()}

    def table_of(self, catalog: int, oid: int) -> Name | None:
        """Return the table that an object belongs to, or None for one that stands alone."""
        return self.owners.get((catalog, oid))

    def is_chosen_root(self, oid: int) -> bool:
        """Say whether a relation is a chosen table itself, not a partition of one."""
        return oid in self.chosen


def read_ownership(
    catalog: Catalog, holder: Holder, narrowed: Iterable[Name], sequences: Iterable[Name]
) -> Ownership:
    """Read which object belongs to which table; `sequences` are those that are exported."""
    chosen = {relation.oid: relation.name for relation in holder.chosen}
    names = {relation.name for relation in holder.relations}
    left_out = names - set(chosen.values())
    kept = set(sequences)
    owners: dict[tuple[int, int], Name] = {}
    for row in catalog.rows(_OWNERS, doing="reading what belongs to which table"):
        owner = Name(row["schema"], row["name"])
        if owner not in names:
            continue
        if row["sequence"] is not None:
            # A sequence that a chosen table draws from goes along, whoever owns it.
            sequence = Name(row["sequence_schema"], row["sequence"])
            if owner in left_out and sequence in kept:
                continue
        owners[row["catalog"], row["oid"]] = owner
    shadows = {row["oid"]: row["covers"] for row in catalog.rows(_SHADOWS)}
    return Ownership(owners, chosen, frozenset(left_out), frozenset(narrowed), shadows)
