"""Sequence positions after the rows, and statistics.

What lives here: where each sequence of a loaded table has to stand. A table that this import made
gets the archive's position exactly; elsewhere a sequence only ever advances, beyond the archive's
position and beyond the largest number that the table holds. Must not know: transactions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dbsync.connectors.base import TablePlan
from dbsync.connectors.postgres.connection import quote_literal, quote_name
from dbsync.connectors.postgres.positions import (
    Position,
    TargetSequence,
    attached_sequences,
    named_sequences,
    read_positions,
)
from dbsync.connectors.postgres.prepared import Prepared
from dbsync.connectors.postgres.session import Session
from dbsync.model.schema import Name
from dbsync.model.schema import Sequence as ArchiveSequence

_BATCH = 200


def set_positions(session: Session, prepared: Prepared) -> None:
    """Move the sequences of the loaded tables, and those that stand alone.

    May be repeated. Raises `TargetError`.
    """
    plans = {p.target: p for p in prepared.plan.tables if p.action != "skip"}
    archive = {s.name: s for s in prepared.database.sequences}
    own = {prepared.sequence_names[name]: s for name, s in archive.items()}
    attached = [s for s in attached_sequences(session, plans) if s.movable]
    wanted: list[tuple[TargetSequence, ArchiveSequence | None, bool, bool]] = []
    for sequence in attached:
        used = [plans[column.table] for column in sequence.columns]
        made = all(plan.action == "create" for plan in used)
        replaced = all(plan.action in ("create", "overwrite") for plan in used)
        source = own.get(sequence.name) or _by_column(sequence, plans, archive)
        wanted.append((sequence, source, made, replaced))
    wanted += _alone(session, prepared, own, {s.name for s in attached})
    current = read_positions(session, [s for s, _, made, _ in wanted if not made])
    moves: list[tuple[TargetSequence, Position]] = []
    for sequence, source, made, replaced in wanted:
        known = _archived(source)
        candidates = [known, sequence.reached]
        if made and known is not None:
            candidates = [known]
        elif not replaced or known is None:
            candidates.append(current.get(sequence.name))
        furthest = _furthest(sequence, [c for c in candidates if c is not None])
        if furthest is not None and furthest != current.get(sequence.name):
            moves.append((sequence, furthest))
    for start in range(0, len(moves), _BATCH):
        values = ", ".join(
            f"({quote_literal(s.sql)}, {p.last}::bigint, {str(p.called).lower()})"
            for s, p in moves[start : start + _BATCH]
        )
        session.rows(
            "SELECT pg_catalog.setval(v.name::regclass, v.last, v.called) AS at "
            f"FROM (VALUES {values}) v(name, last, called)",
            doing="setting sequence positions",
        )


def analyze_statement(tables: Iterable[Name]) -> str:
    """Write the statement that gathers the planner's statistics of `tables`."""
    return "ANALYZE " + ", ".join(quote_name(name.schema, name.name) for name in tables)


def _archived(source: ArchiveSequence | None) -> Position | None:
    if source is None or source.last_value is None:
        return None
    return Position(last=source.last_value, called=source.is_called)


def _by_column(
    sequence: TargetSequence,
    plans: dict[Name, TablePlan],
    archive: dict[Name, ArchiveSequence],
) -> ArchiveSequence | None:
    """Find the archive's sequence behind the same column, whatever its name there."""
    for column in sequence.columns:
        for candidate in plans[column.table].source.columns:
            identity = candidate.identity
            if candidate.name == column.name and identity is not None and identity.sequence:
                return archive.get(identity.sequence)
    return None


def _alone(
    session: Session, prepared: Prepared, own: dict[Name, ArchiveSequence], done: set[Name]
) -> list[tuple[TargetSequence, ArchiveSequence | None, bool, bool]]:
    """Take the sequences that no loaded column uses, where DDL was asked for."""
    if prepared.options.ddl == "none":
        return []
    made = {step.label for step in prepared.before}
    found = named_sequences(session, [name for name in own if name not in done])
    return [
        (s, own[s.name], f"sequence {s.name}" in made, f"sequence {s.name}" in made)
        for s in found
        if s.movable
    ]


def _furthest(sequence: TargetSequence, positions: Sequence[Position]) -> Position | None:
    """Choose the position whose next value comes last, within the sequence's limits."""
    usable: list[Position] = []
    for position in positions:
        if position.last > sequence.maximum:
            usable.append(Position(last=sequence.maximum, called=sequence.increment > 0))
        elif position.last < sequence.minimum:
            usable.append(Position(last=sequence.minimum, called=sequence.increment < 0))
        else:
            usable.append(position)
    if not usable:
        return None

    def following(position: Position) -> int:
        return position.last + (sequence.increment if position.called else 0)

    choose = max if sequence.increment > 0 else min
    return choose(usable, key=following)
