"""Columns of an archive's table beside those of a table that exists.

What lives here: which column goes into which, and what is lost where the table is replaced. Must
not know: options, names that are not there, calls.
"""

from __future__ import annotations

from msgspec.structs import replace

from dbsync.connectors.treasuredata.mapping import Layout, Sink
from dbsync.connectors.treasuredata.table_calls import TableState
from dbsync.connectors.treasuredata.types import parse_type
from dbsync.connectors.treasuredata.values import possible
from dbsync.errors import LossError, TargetError
from dbsync.model.schema import Loss


def into_existing(layout: Layout, there: TableState) -> Layout:
    """Map the columns of `layout` to those of a table that exists.

    Raises `TargetError` where it lacks one, or has one of an unknown type, and `LossError` where no
    value of the archive's column could be one of its column.
    """
    kinds = dict(there.columns)
    sinks: list[Sink] = []
    missing = [sink.name for sink in layout.sinks if sink.name not in kinds]
    if missing:
        raise TargetError(
            f"table {there.name} of the target has no column {', '.join(missing)}",
            hint="add the column, or leave it out with --columns when exporting",
        )
    for sink in layout.sinks:
        try:
            kind = parse_type(kinds[sink.name])
        except ValueError as error:
            raise TargetError(
                f"column {sink.name} of table {there.name} is {kinds[sink.name]}, which dbsync "
                "does not know",
                hint="leave the column out with --columns when exporting",
            ) from error
        if not possible(sink.column, kind):
            raise LossError(
                f"column {sink.name} of table {there.name} is {kind}, and the archive's column "
                f"{sink.column.name} is {sink.column.type}",
                hint="leave the column out with --columns, or replace the table with --existing "
                "overwrite",
            )
        sinks.append(replace(sink, type=kind))
    given = {sink.name for sink in sinks}
    # What the archive lacks stays in the schema, and NULL.
    aliases = dict(there.aliases)
    others = tuple(
        (name, kind, aliases[name]) if name in aliases else (name, kind)
        for name, kind in there.columns
        if name not in given
    )
    sinks = [replace(sink, alias=aliases.get(sink.name, sink.alias)) for sink in sinks]
    return replace(layout, sinks=tuple(sinks), others=others)


def lost_columns(layout: Layout, there: TableState) -> list[Loss]:
    """List the columns of a table that go, or change their type, where it is replaced."""
    wanted = {sink.name: str(sink.type) for sink in layout.sinks}
    losses: list[Loss] = []
    for name, kind in there.columns:
        label = f"column {there.name}.{name} of the table that is there"
        if name not in wanted:
            losses.append(Loss(object=label, reason="goes: the archive has no such column"))
        elif wanted[name] != kind:
            reason = f"{kind} becomes {wanted[name]}"
            losses.append(Loss(object=label, reason=reason, severity="changed"))
    return losses
