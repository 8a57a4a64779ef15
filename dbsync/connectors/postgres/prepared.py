"""A plan with what carrying it out needs, and its form in the ledger.

What lives here: `Prepared`, and `read_earlier`, which reads back what an earlier run of the same
import had decided. Must not know: how it was decided, how it is carried out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from dbsync.connectors.base import ImportOptions, ImportPlan
from dbsync.connectors.landing import TableLine
from dbsync.connectors.postgres import ledger as ledgers
from dbsync.connectors.postgres.order import LoadOrder
from dbsync.connectors.postgres.session import Asks
from dbsync.connectors.postgres.steps import Step
from dbsync.errors import ConflictError
from dbsync.model.schema import Database, Name


class _StepLine(msgspec.Struct, frozen=True, kw_only=True):
    """A step in the ledger."""

    when: Literal["before", "after"]
    number: int
    step: Step


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A plan with what only this connector needs to carry it out.

    `done` are the labels of steps that an earlier run has committed. `ledger` is None where there
    is none: under a single transaction, or without the right to create it.
    """

    database: Database
    options: ImportOptions
    schema: str | None
    plan: ImportPlan
    order: LoadOrder
    before: tuple[Step, ...]
    after: tuple[Step, ...]
    done: frozenset[str]
    ledger: ledgers.Place | None
    sequence_names: Mapping[Name, Name]

    def lines(self) -> list[ledgers.Line]:
        """Write down the plan, for a later run to go on with."""
        detail = _options_text(self.options, self.schema)
        listed = [ledgers.Line(item="options", kind="options", detail=detail)]
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
        for when, steps in (("before", self.before), ("after", self.after)):
            for number, step in enumerate(steps):
                detail = ledgers.encode({"when": when, "number": number, "step": step})
                listed.append(ledgers.Line(item=step_item(step), kind="step", detail=detail))
        return listed


def step_item(step: Step) -> str:
    """Name the line of a step."""
    return f"step {step.label}"


@dataclass
class Earlier:
    """What the ledger says of an earlier run of the same import."""

    tables: dict[Name, TableLine] = field(default_factory=dict[Name, TableLine])
    before: list[Step] = field(default_factory=list[Step])
    after: list[Step] = field(default_factory=list[Step])
    done: set[str] = field(default_factory=set[str])


def read_earlier(
    asks: Asks,
    place: ledgers.Place | None,
    database: Database,
    options: ImportOptions,
    schema: str | None,
) -> Earlier | None:
    """Read what an earlier run has left in the ledger; None where there was none.

    Raises `ConflictError` where that run had other options or tables: neither its rest nor a new
    plan would be what was asked for.
    """
    if place is None or not options.resume:
        return None
    lines = ledgers.read(asks, place, options.import_id)
    if not lines:
        return None
    earlier = Earlier()
    entries: list[_StepLine] = []
    for line in lines:
        if line.kind == "options" and line.detail != _options_text(options, schema):
            raise ConflictError(
                "an earlier run of this import is not complete and had other options: "
                f"{line.detail}",
                hint="give the same options to go on, or start afresh with --no-resume",
            )
        if line.kind == "table":
            table: TableLine = ledgers.decode(line.detail, TableLine)
            earlier.tables[table.source] = table
        elif line.kind == "step":
            entries.append(ledgers.decode(line.detail, _StepLine))
        if line.done:
            earlier.done.add(line.item.removeprefix("step "))
    for entry in sorted(entries, key=lambda entry: entry.number):
        (earlier.before if entry.when == "before" else earlier.after).append(entry.step)
    if earlier.tables.keys() != {t.name for t in database.tables}:
        raise ConflictError(
            "an earlier run of this import was given other tables and is not complete",
            hint="choose the same tables to go on, or start afresh with --no-resume",
        )
    return earlier


def _options_text(options: ImportOptions, schema: str | None) -> str:
    return ledgers.encode(
        {
            "ddl": options.ddl,
            "existing": options.existing,
            "on_conflict": options.on_conflict,
            "conflict_keys": dict(sorted(options.conflict_keys.items())),
            "schema": schema,
        }
    )
