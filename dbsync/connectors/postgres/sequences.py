"""Sequences and where they stand.

What lives here: reading ``pg_sequence`` and the position of each sequence that this role may
read. Must not know: columns. A position is read after the snapshot is fixed and may lie a little
beyond it, which is harmless: numbers are skipped, never given twice.
"""

from __future__ import annotations

from itertools import islice

from dbsync.connectors.postgres.connection import quote_literal, quote_name
from dbsync.connectors.postgres.query import Catalog, Row
from dbsync.connectors.postgres.relations import USER_SCHEMA
from dbsync.model.schema import Loss, Name, Sequence

_SEQUENCES = f"""
SELECT c.oid::int8, n.nspname::text AS schema, c.relname::text AS name,
    format_type(s.seqtypid, NULL) AS data_type, s.seqstart AS start, s.seqincrement AS increment,
    s.seqmin AS minimum, s.seqmax AS maximum, s.seqcycle AS cycle, s.seqcache AS cache,
    has_sequence_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE') AS may_select,
    tn.nspname::text AS owner_schema, t.relname::text AS owner_table,
    a.attname::text AS owner_column
FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0
    AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
LEFT JOIN pg_class t ON t.oid = d.refobjid LEFT JOIN pg_namespace tn ON tn.oid = t.relnamespace
LEFT JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
WHERE c.relpersistence <> 't' AND {USER_SCHEMA}
  AND (%(schema)s::text IS NULL OR n.nspname = %(schema)s)
  AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass
                  AND e.objid = c.oid AND e.deptype = 'e')
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
"""
_BATCH = 500


def read_sequences(catalog: Catalog, schema: str | None) -> tuple[list[Sequence], list[Loss]]:
    """Read every sequence; a hidden position becomes None and a `Loss`."""
    rows = catalog.rows(_SEQUENCES, {"schema": schema}, doing="reading sequences")
    positions = _positions(catalog, [row for row in rows if row["may_select"]])
    sequences: list[Sequence] = []
    losses: list[Loss] = []
    for row in rows:
        name = Name(row["schema"], row["name"])
        position = positions.get(row["oid"])
        if position is None:
            losses.append(
                Loss(
                    object=f"position of sequence {name}",
                    reason="this role lacks SELECT on it; it would start from its beginning",
                )
            )
        sequences.append(_sequence(row, name, position))
    return sequences, losses


def _sequence(row: Row, name: Name, position: tuple[int, bool] | None) -> Sequence:
    owner = Name(row["owner_schema"], row["owner_table"]) if row["owner_table"] else None
    return Sequence(
        name=name,
        data_type=row["data_type"],
        start=row["start"],
        increment=row["increment"],
        minimum=row["minimum"],
        maximum=row["maximum"],
        cycle=row["cycle"],
        cache=row["cache"],
        last_value=position[0] if position else None,
        is_called=position[1] if position else False,
        owner_table=owner,
        owner_column=row["owner_column"],
    )


def _positions(catalog: Catalog, rows: list[Row]) -> dict[int, tuple[int, bool]]:
    found: dict[int, tuple[int, bool]] = {}
    waiting = iter(rows)
    while batch := list(islice(waiting, _BATCH)):
        # The view pg_sequences knows no is_called, so each sequence is read as the table it is.
        query = " UNION ALL ".join(
            f"SELECT {quote_literal(str(row['oid']))}::int8 AS oid, last_value, is_called "
            f"FROM {quote_name(row['schema'], row['name'])}"
            for row in batch
        )
        for row in catalog.rows(query, doing="reading the positions of sequences"):
            found[row["oid"]] = (row["last_value"], row["is_called"])
    return found
