"""Splitting a table into ranges of pages, and the FROM clause of each range.

What lives here: the meaning of `Partition.bounds` for PostgreSQL. Must not know: columns.

Bounds are a flat sequence of segments of four: schema, name, first page, page after the last. The
last range of a relation has no upper page, so that no row can lie beyond it; a relation that is
not addressed by page has no first one either. No segment at all means the whole table through its
root, which is how leaves are read that this role may not read directly. TID range scans exist
since PostgreSQL 14.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dbsync.connectors.base import Partition
from dbsync.connectors.postgres.connection import quote_name
from dbsync.connectors.postgres.relations import Leaf, Relation
from dbsync.model.schema import Name


@dataclass(frozen=True)
class Segment:
    """A range of pages of one leaf; see the module for what None means."""

    name: Name
    first: int | None
    end: int | None
    bytes: int = 0


def split(relation: Relation, target_bytes: int) -> list[Partition]:
    """Split a table into partitions of about `target_bytes`; small leaves share one."""
    local = [leaf for leaf in relation.leaves if not leaf.foreign]
    if not local or not all(leaf.readable for leaf in local):
        return [Partition(table=relation.name, number=0)]
    groups: list[list[Segment]] = []
    filled = 0
    for leaf in local:
        for segment in _ranges(leaf, max(target_bytes, 1)):
            if not groups or filled + segment.bytes > target_bytes:
                groups.append([])
                filled = 0
            groups[-1].append(segment)
            filled += segment.bytes
    return [
        Partition(table=relation.name, number=number, bounds=_pack(group))
        for number, group in enumerate(groups)
    ]


def from_clauses(relation: Relation, partition: Partition) -> Iterator[str]:
    """Yield what follows FROM for each query of a partition, up to an open WHERE or AND.

    The relation is called like the table, so that a condition may name it.
    """
    alias = quote_name(relation.name.name)
    if not partition.bounds:
        foreign = ", ".join(str(leaf.oid) for leaf in relation.leaves if leaf.foreign)
        unwanted = f"{alias}.tableoid NOT IN ({foreign})" if foreign else "true"
        only = "" if relation.kind == "p" else "ONLY "
        root = quote_name(relation.name.schema, relation.name.name)
        yield f"{only}{root} {alias} WHERE {unwanted}"
    for segment in _unpack(partition.bounds):
        bounds: list[str] = []
        if segment.first:
            bounds.append(f"{alias}.ctid >= '({segment.first},0)'::pg_catalog.tid")
        if segment.end is not None:
            bounds.append(f"{alias}.ctid < '({segment.end},0)'::pg_catalog.tid")
        name = quote_name(segment.name.schema, segment.name.name)
        yield f"ONLY {name} {alias} WHERE {' AND '.join(bounds) or 'true'}"


def _ranges(leaf: Leaf, target_bytes: int) -> Iterator[Segment]:
    count = min(-(-leaf.bytes // target_bytes), leaf.pages) if leaf.paged else 1
    if count <= 1:
        yield Segment(leaf.name, None, None, leaf.bytes)
        return
    share = leaf.bytes // count
    edges = [leaf.pages * i // count for i in range(count)]
    for first, end in zip(edges, [*edges[1:], None], strict=True):
        yield Segment(leaf.name, first, end, share)


def _pack(segments: list[Segment]) -> tuple[str | int | None, ...]:
    return tuple(part for s in segments for part in (s.name.schema, s.name.name, s.first, s.end))


def _unpack(bounds: tuple[str | int | None, ...]) -> Iterator[Segment]:
    for at in range(0, len(bounds), 4):
        schema, name, first, end = bounds[at : at + 4]
        assert isinstance(schema, str)  # noqa: S101  (the type of `Partition.bounds` is wider)
        assert isinstance(name, str)  # noqa: S101
        assert not isinstance(first, str)  # noqa: S101
        assert not isinstance(end, str)  # noqa: S101
        yield Segment(Name(schema, name), first, end)
