"""A plan with what carrying it out needs, and its form in the ledger.

What lives here: `Prepared`, and `read_earlier`, which reads back what an earlier run of the same
import had decided. Must not know: how it was decided, how it is carried out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dbsync.connectors.base import ImportOptions, ImportPlan
from dbsync.connectors.landing import TableLine
from dbsync.connectors.mysql import ledger as ledgers
from dbsync.connectors.mysql.connection import Session
from dbsync.connectors.mysql.existing import TargetTable
from dbsync.connectors.mysql.order import LoadOrder
from dbsync.connectors.mysql.steps import SchemaSteps
from dbsync.errors import ConflictError
from dbsync.model.schema import Database, Name


@dataclass
class Earlier:
    """What the ledger says of an earlier run of the same import. `begun` holds `done` too."""

    tables: dict[Name, TableLine] = field(default_factory=dict[Name, TableLine])
    begun: set[str] = field(default_factory=set[str])
    done: set[str] = field(default_factory=set[str])


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A plan with what only this connector needs to carry it out.

    `existing` are the tables that were there, by their names in the archive. `ledger` says whether
    there is one: not under a single transaction, nor without the rights to it. `unnumbered` are
    the archive's tables whose AUTO_INCREMENT position this user may not set.
    """

    database: Database
    options: ImportOptions
    plan: ImportPlan
    order: LoadOrder
    steps: SchemaSteps
    existing: Mapping[Name, TargetTable]
    earlier: Earlier
    ledger: bool
    unnumbered: frozenset[Name] = frozenset()

    def lines(self) -> list[ledgers.Line]:
        """Write down the plan, for a later run to go on with."""
        text = _options_text(self.options)
        listed = [ledgers.Line(item="options", kind="options", detail=text)]
        for number, table in enumerate(self.plan.tables):
            detail = TableLine(
                source=table.source.name,
                target=table.target,
                action=table.action,
                mode=table.mode,
                key=table.key,
                ordered=table.ordered,
            )
            item = f"table {number:06d}"
            listed.append(ledgers.Line(item=item, kind="table", detail=ledgers.encode(detail)))
        return listed


def read_earlier(session: Session, database: Database, options: ImportOptions) -> Earlier | None:
    """Read what an earlier run has left in the ledger; None where there was none.

    Raises `ConflictError` where that run had other options or tables: neither its rest nor a new
    plan would be what was asked for.
    """
    if options.single_transaction or not options.resume:
        return None
    lines = ledgers.read(session, options.import_id)
    if not lines:
        return None
    earlier = Earlier()
    for line in lines:
        if line.kind == "options" and line.detail != _options_text(options):
            raise ConflictError(
                "an earlier run of this import is not complete and had other options: "
                f"{line.detail}",
                hint="give the same options to go on, or start afresh with --no-resume",
            )
        if line.kind == "table":
            table: TableLine = ledgers.decode(line.detail, TableLine)
            earlier.tables[table.source] = table
        elif line.kind == "step":
            label: str = ledgers.decode(line.detail, str)
            earlier.begun.add(label)
            if line.state == "done":
                earlier.done.add(label)
    if earlier.tables.keys() != {t.name for t in database.tables}:
        raise ConflictError(
            "an earlier run of this import was given other tables and is not complete",
            hint="choose the same tables to go on, or start afresh with --no-resume",
        )
    return earlier


def _options_text(options: ImportOptions) -> str:
    return ledgers.encode(
        {
            "ddl": options.ddl,
            "existing": options.existing,
            "on_conflict": options.on_conflict,
            "conflict_keys": dict(sorted(options.conflict_keys.items())),
        }
    )
