"""Which native objects go along with the chosen tables.

What lives here: `select_objects`, over the identifiers by which objects require one another. Must
not know: where the DDL came from.
"""

from __future__ import annotations

from dbsync.connectors.postgres.ownership import Ownership
from dbsync.model.schema import Loss, NativeObject


def select_objects(
    objects: list[NativeObject], ownership: Ownership, only_schema: str | None
) -> tuple[list[NativeObject], list[Loss]]:
    """Keep what goes with the chosen tables and whatever depends on nothing that is missing."""
    by_id = {item.provides: item for item in objects if item.provides}
    wanted = set(by_id) if only_schema is None else _reachable(objects, by_id, only_schema)
    gone: set[str] = set()
    lost: set[str] = set()
    changed = True
    while changed:
        changed = False
        for item in objects:
            key = item.provides or ""
            if key in gone:
                continue
            out = item.table in ownership.left_out
            narrowed = item.table in ownership.narrowed
            if key not in wanted or out or (narrowed and item.covers is not None):
                gone.add(key)
                changed = True
            elif gone.intersection(item.requires):
                gone.add(key)
                lost.add(key)
                changed = True
    losses = [
        Loss(
            object=f"{item.kind.lower()} {item.name}",
            reason="it depends on something that is not exported",
        )
        for item in objects
        if item.provides in lost and item.covers is None
    ]
    return [item for item in objects if item.provides not in gone], losses


def _reachable(
    objects: list[NativeObject], by_id: dict[str, NativeObject], schema: str
) -> set[str]:
    """Find the objects of one schema and what they need, tables of other schemas aside."""
    waiting = [
        item
        for item in objects
        if item.name.schema == schema or (item.kind == "SCHEMA" and item.name.name == schema)
    ]
    # A comment or a right on the schema itself names no schema of its own.
    roots = {item.provides for item in waiting if item.kind == "SCHEMA"}
    waiting += [
        item
        for item in objects
        if item.kind in ("ACL", "COMMENT") and roots.intersection(item.requires)
    ]
    found: set[str] = set()
    while waiting:
        item = waiting.pop()
        if not item.provides or item.provides in found:
            continue
        found.add(item.provides)
        waiting += [by_id[key] for key in item.requires if key in by_id]
    return {
        key
        for key in found
        if by_id[key].kind not in ("TABLE", "VIEW", "MATERIALIZED VIEW")
        or by_id[key].name.schema == schema
    }
