"""Plans of imports, and tables that failed, as tables for people.

Must not know: how plans are made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbsync.cli import text
from dbsync.cli.output import Output
from dbsync.pipeline.results import ImportResult

if TYPE_CHECKING:
    from dbsync.connectors.base import ImportPlan, TablePlan

_GUARANTEES = {
    "exactly_once": "each chunk is committed once, and a killed import goes on where it stopped",
    "single_transaction": "everything arrives together, or nothing",
    "none": "rows already committed stay if it fails, and running it again may repeat them",
}
_SEPARATELY = "each table appears at once, with all of its rows; one that fails leaves the others"

_WHY = {
    "skip": "it exists, and is left as it is",
    "overwrite": "the rows there will be lost",
    "append": "to the rows there",
}


def show_plan(output: Output, plan: ImportPlan) -> None:
    """Print what would become of the tables of one import."""
    output.table(
        ["table", "into", "action", "rows that conflict", "key", ("rows there now", "right")],
        [
            (
                t.source.name,
                t.target,
                t.action,
                _on_conflict(t),
                ", ".join(t.key),
                text.count(t.rows_before) if t.rows_before is not None else "",
            )
            for t in plan.tables
        ],
    )
    _show_steps(output, plan)


def show_separate_plan(output: Output, result: ImportResult) -> None:
    """Print what would become of each table that goes by itself, and why some cannot."""
    plan = result.plan
    rows: list[tuple[object, ...]] = [
        (
            t.action.upper(),
            t.source.name,
            t.target,
            _known(t.source.rows_estimate),
            _known(t.rows_before),
            _WHY.get(t.action, ""),
        )
        for t in plan.tables
    ]
    rows += [
        ("ERROR", f.table, f.target or "", _known(f.rows), "", f.message) for f in result.failed
    ]
    output.table(
        ["", "table", "into", ("rows, about", "right"), ("rows there now", "right"), "why"], rows
    )
    _show_steps(output, plan, separately=True)


def show_failed(output: Output, result: ImportResult) -> None:
    """Print the tables that did not arrive, each with the next step."""
    if not result.failed:
        return
    output.line(
        f"{text.plural(len(result.failed), 'table')} FAILED, and none of their rows arrived:"
    )
    for failure in result.failed:
        output.line(f"  {failure.table}: {failure.message}")
        if failure.hint:
            output.line(f"    next: {failure.hint}")


def _show_steps(output: Output, plan: ImportPlan, *, separately: bool = False) -> None:
    if plan.statements:
        output.line()
        output.line("would do:")
        for statement in plan.statements:
            output.line(f"  {statement}")
    output.line()
    guarantee = _SEPARATELY if separately else _GUARANTEES[plan.guarantee]
    output.line(f"guarantee: {guarantee}")
    if plan.resuming:
        output.line("goes on where an earlier run of this import stopped")


def _known(rows: int | None) -> str:
    return text.count(rows) if rows is not None else ""


def _on_conflict(table: TablePlan) -> str:
    """Say what happens to a row whose key exists; nothing where no row can be in the way."""
    if table.action != "append" or table.rows_before == 0:
        return ""
    return "fail" if table.mode == "insert" else table.mode
