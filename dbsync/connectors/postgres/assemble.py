"""Putting the catalog's facts together into the portable model.

What lives here: `read_schema`, which makes a `Table` of each chosen relation, and the losses that
follow from what was chosen. Must not know: how rows are read, nor native DDL.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence as Sequence_
from dataclasses import dataclass, field

from dbsync.connectors.postgres.columns import ReadColumn, read_columns
from dbsync.connectors.postgres.constraints import Constraints, read_constraints
from dbsync.connectors.postgres.query import Catalog
from dbsync.connectors.postgres.relations import Relation
from dbsync.connectors.postgres.types import Selected
from dbsync.errors import SourceError
from dbsync.model.schema import Loss, Name, Table
from dbsync.model.selection import Selection


@dataclass
class Schema:
    """The chosen tables, and what reading and native DDL need to know about them."""

    tables: list[Table] = field(default_factory=list[Table])
    selected: dict[Name, dict[str, Selected]] = field(
        default_factory=dict[Name, dict[str, Selected]]
    )
    """What is selected by table and column."""
    forbidden: dict[Name, list[str]] = field(default_factory=dict[Name, list[str]])
    """Chosen columns that this role may not read."""
    covered: dict[int, str] = field(default_factory=dict[int, str])
    """Oids of constraints and indexes that the model carries, and as what."""
    losses: list[Loss] = field(default_factory=list[Loss])


def read_schema(
    catalog: Catalog, relations: Sequence_[Relation], selection: Selection, *, include_schema: bool
) -> Schema:
    """Read the definitions of `relations`; raises `SourceError` for a column that is not there."""
    oids = [relation.oid for relation in relations]
    columns = read_columns(catalog, oids)
    constraints, covered = read_constraints(catalog, oids, include_schema=include_schema)
    schema = Schema(covered=covered)
    names = {relation.name for relation in relations}
    for relation in relations:
        own = columns.get(relation.oid, [])
        chosen = _choose(relation.name, own, selection.columns_of(relation.name))
        schema.selected[relation.name] = {c.column.name: c.selected for c in chosen}
        if not relation.may_select:
            hidden = [c.column.name for c in chosen if not c.may_select]
            if hidden or not chosen:
                schema.forbidden[relation.name] = hidden
        table = _table(relation, chosen, constraints[relation.oid], selection)
        kept = _narrow(table, constraints[relation.oid], len(chosen) == len(own), names, schema)
        schema.tables.append(kept)
        schema.losses += constraints[relation.oid].losses
        schema.losses += [
            Loss(object=f"rows of foreign table {leaf.name}", reason="they are on another server")
            for leaf in relation.leaves
            if leaf.foreign
        ]
    return schema


def _choose(
    table: Name, columns: list[ReadColumn], wanted: tuple[str, ...] | None
) -> list[ReadColumn]:
    if wanted is None:
        return columns
    known = [c.column.name for c in columns]
    for name in wanted:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            raise SourceError(
                f"table {table} has no column {name!r}, which --columns names",
                hint=f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known)}",
            )
    # In the table's order, so that chunks do not depend on how the option was written.
    return [c for c in columns if c.column.name in wanted]


def _table(
    relation: Relation, chosen: list[ReadColumn], constraints: Constraints, selection: Selection
) -> Table:
    rows = [leaf.rows for leaf in relation.leaves if not leaf.foreign]
    known = [count for count in rows if count is not None]
    return Table(
        name=relation.name,
        columns=tuple(c.column for c in chosen),
        primary_key=constraints.primary_key,
        uniques=tuple(constraints.uniques),
        foreign_keys=tuple(constraints.foreign_keys),
        checks=tuple(constraints.checks),
        indexes=tuple(constraints.indexes),
        comment=relation.comment,
        where=selection.where_of(relation.name),
        rows_estimate=sum(known) if len(known) == len(rows) else None,
        bytes_estimate=sum(leaf.bytes for leaf in relation.leaves),
        details=relation.details,
    )


def _narrow(
    table: Table, constraints: Constraints, all_columns: bool, names: set[Name], schema: Schema
) -> Table:
    """Drop what names a column or a table that was not chosen, and report it."""
    from msgspec.structs import replace

    present = {column.name for column in table.columns}

    def keep(kind: str, name: str | None, columns: Sequence_[str]) -> bool:
        gone = [column for column in columns if column not in present]
        if gone:
            reason = f"column {', '.join(gone)} was not chosen"
            schema.losses.append(Loss(object=f"{kind} {name} of table {table.name}", reason=reason))
        return not gone

    foreign_keys = [fk for fk in table.foreign_keys if keep("foreign key", fk.name, fk.columns)]
    for fk in [fk for fk in foreign_keys if fk.referred not in names]:
        foreign_keys.remove(fk)
        reason = f"it refers to {fk.referred}, which is not selected"
        schema.losses.append(
            Loss(object=f"foreign key {fk.name} of table {table.name}", reason=reason)
        )
    key = table.primary_key
    return replace(
        table,
        primary_key=key if key and keep("primary key", key.name, key.columns) else None,
        uniques=tuple(u for u in table.uniques if keep("unique key", u.name, u.columns)),
        foreign_keys=tuple(foreign_keys),
        checks=tuple(
            check
            for check, columns in zip(table.checks, constraints.check_columns, strict=True)
            if keep("check", check.name, columns)
        ),
        indexes=tuple(
            index
            for index, columns in zip(table.indexes, constraints.index_columns, strict=True)
            if keep("index", index.name, columns)
        ),
        all_columns=all_columns,
    )
