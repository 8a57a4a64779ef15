"""Sequences on the target: which columns draw from them and where they stand.

What lives here: questions only. Must not know: where a sequence should stand.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from dbsync.connectors.postgres.connection import quote_literal, quote_name
from dbsync.connectors.postgres.session import Asks
from dbsync.model.schema import Name

_BATCH = 200


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """Where a sequence stands, as ``last_value`` and ``is_called`` say it."""

    last: int
    called: bool


class UsingColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A column that draws from a sequence; `counted` where it holds the sequence's numbers."""

    table: Name
    name: str
    counted: bool


class TargetSequence(msgspec.Struct, frozen=True, kw_only=True):
    """One sequence. `reached` is the furthest number that its columns hold, None where empty.

    `movable`: this role may read and set it.
    """

    name: Name
    increment: int
    minimum: int
    maximum: int
    movable: bool
    columns: tuple[UsingColumn, ...] = ()
    reached: Position | None = None

    @property
    def sql(self) -> str:
        """The quoted, qualified name."""
        return quote_name(self.name.schema, self.name.name)


_FACTS = """n.nspname AS schema, s.relname AS name, q.seqincrement AS increment,
    q.seqmin AS minimum, q.seqmax AS maximum,
    has_sequence_privilege(s.oid, 'UPDATE') AND has_sequence_privilege(s.oid, 'SELECT') AS movable
"""

_ATTACHED = f"""
SELECT {_FACTS}, tn.nspname AS table_schema, t.relname AS table_name, a.attname AS column_name,
    a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
        AND (a.attidentity <> '' OR e.text ~ '^nextval\\(') AS counted
FROM json_to_recordset({{names}}::json) w(s text, n text)
JOIN pg_namespace tn ON tn.nspname = w.s
JOIN pg_class t ON t.relnamespace = tn.oid AND t.relname = w.n
JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef f ON f.adrelid = t.oid AND f.adnum = a.attnum
CROSS JOIN LATERAL (SELECT pg_get_expr(f.adbin, f.adrelid) AS text) e
JOIN pg_depend d ON (d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
        AND d.refobjid = t.oid AND d.refobjsubid = a.attnum AND d.deptype = 'i')
    OR (d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid
        AND d.refclassid = 'pg_class'::regclass)
JOIN pg_class s ON s.relkind = 'S'
    AND s.oid = CASE WHEN d.classid = 'pg_class'::regclass THEN d.objid ELSE d.refobjid END
JOIN pg_namespace n ON n.oid = s.relnamespace
JOIN pg_sequence q ON q.seqrelid = s.oid
WHERE a.attidentity <> '' OR f.oid IS NOT NULL
"""

_NAMED = f"""
SELECT {_FACTS} FROM json_to_recordset({{names}}::json) w(s text, n text)
JOIN pg_namespace n ON n.nspname = w.s
JOIN pg_class s ON s.relnamespace = n.oid AND s.relname = w.n AND s.relkind = 'S'
JOIN pg_sequence q ON q.seqrelid = s.oid
"""


def attached_sequences(
    asks: Asks, tables: Iterable[Name], *, reached: bool = True
) -> list[TargetSequence]:
    """Find the sequences that columns of `tables` draw from, and how far those columns are."""
    found: dict[Name, TargetSequence] = {}
    for row in asks.rows(_ATTACHED.format(names=_names(tables))):
        column = UsingColumn(
            table=Name(row.pop("table_schema"), row.pop("table_name")),
            name=row.pop("column_name"),
            counted=bool(row.pop("counted")),
        )
        name = Name(row.pop("schema"), row.pop("name"))
        known = found.get(name, TargetSequence(name=name, **row))
        found[name] = msgspec.structs.replace(known, columns=(*known.columns, column))
    if not reached:
        return list(found.values())
    return [
        _reached(asks, sequence) if sequence.movable else sequence for sequence in found.values()
    ]


def named_sequences(asks: Asks, names: Iterable[Name]) -> list[TargetSequence]:
    """Find the sequences called `names` that exist."""
    return [
        TargetSequence(name=Name(row.pop("schema"), row.pop("name")), **row)
        for row in asks.rows(_NAMED.format(names=_names(names)))
    ]


def read_positions(asks: Asks, sequences: Sequence[TargetSequence]) -> dict[Name, Position]:
    """Read where `sequences` stand."""
    found: dict[Name, Position] = {}
    for start in range(0, len(sequences), _BATCH):
        some = sequences[start : start + _BATCH]
        query = " UNION ALL ".join(
            f"SELECT {i} AS i, last_value, is_called FROM {s.sql}" for i, s in enumerate(some)
        )
        for row in asks.rows(query):
            position = Position(last=row["last_value"], called=row["is_called"])
            found[some[row["i"]].name] = position
    return found


def _reached(asks: Asks, sequence: TargetSequence) -> TargetSequence:
    parts = [
        f"SELECT {'max' if sequence.increment > 0 else 'min'}({quote_name(column.name)}) AS x "
        f"FROM {quote_name(column.table.schema, column.table.name)}"
        for column in sequence.columns
        if column.counted
    ]
    values = [row["x"] for row in asks.rows(" UNION ALL ".join(parts))] if parts else []
    known = [value for value in values if value is not None]
    if not known:
        return sequence
    furthest = max(known) if sequence.increment > 0 else min(known)
    return msgspec.structs.replace(sequence, reached=Position(last=furthest, called=True))


def _names(names: Iterable[Name]) -> str:
    listed = [{"s": n.schema, "n": n.name} for n in names]
    return quote_literal(msgspec.json.encode(listed).decode())
