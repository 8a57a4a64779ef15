"""What the command line says of tables that are imported by themselves."""

from __future__ import annotations

import json

from msgspec.structs import replace

from dbsync.connectors.base import TableFailure, TablePlan
from dbsync.model.schema import Name
from dbsync.pipeline.results import CloneResult
from tests.unit.cli.conftest import EXPORTED, IMPORTED, PLAN, TABLE, Library, Run

CLONE = ["clone", "--from", "sqlite:///x", "--to", "sqlite:///y"]
FAILURE = TableFailure(
    table=Name(None, "orders"),
    rows=2_000_000,
    message="job 5 was killed",
    hint="again",
    exit_code=3,
)
REFUSED = TableFailure(table=Name(None, "late"), message="it exists", exit_code=4)


def _plan(name: str, action: str, before: int | None, rows: int | None) -> TablePlan:
    table = replace(TABLE, name=Name(None, name), rows_estimate=rows)
    target = Name(None, name.lower())
    return TablePlan(source=table, target=target, action=action, rows_before=before)  # type: ignore[arg-type]


def _lines(text: str, word: str) -> list[str]:
    return [line for line in text.splitlines() if word in line]


def test_a_dry_run_lists_every_table(dbsync: Run, library: Library) -> None:
    """CREATE, SKIP, OVERWRITE, APPEND and ERROR, with rows on both sides and a warning."""
    plan = replace(
        PLAN,
        tables=(
            _plan("Made", "create", 0, 1234567),
            _plan("kept", "skip", 5, 9),
            _plan("replaced", "overwrite", 77, 10),
            _plan("added", "append", None, None),
        ),
        refused=(FAILURE,),
    )
    imported = replace(
        IMPORTED, plan=plan, dry_run=True, separately=True, failed=(FAILURE,), tables=()
    )
    library.results["clone"] = CloneResult(
        exported=replace(EXPORTED, dry_run=True), imported=imported
    )
    ran = dbsync(*CLONE, "--dry-run")
    assert ran.code == 3
    assert _lines(ran.out, "CREATE")[0].split() == ["CREATE", "Made", "made", "1,234,567", "0"]
    assert _lines(ran.out, "SKIP")[0].split()[:5] == ["SKIP", "kept", "kept", "9", "5"]
    assert "will be lost" in _lines(ran.out, "OVERWRITE")[0]
    assert _lines(ran.out, "APPEND")[0].split()[:3] == ["APPEND", "added", "added"]
    (error,) = _lines(ran.out, "ERROR")
    assert error.split()[:3] == ["ERROR", "orders", "2,000,000"]
    assert "job 5 was killed" in error
    assert "nothing was changed" in ran.out
    assert "would export" not in ran.out


def test_failed_tables_in_the_summary(dbsync: Run, library: Library) -> None:
    """What arrived and what did not are both listed; the exit code is that of the first failure."""
    imported = replace(IMPORTED, separately=True, failed=(REFUSED, FAILURE))
    for name, result in (
        ("clone", CloneResult(exported=EXPORTED, imported=imported)),
        ("import_archive", imported),
    ):
        library.results[name] = result
        command = CLONE if name == "clone" else ["import", "a", "--url", "sqlite:///x"]
        ran = dbsync(*command)
        assert ran.code == 4
        assert "public.people" in ran.out
        assert "2 tables FAILED" in ran.out
        assert _lines(ran.out, "orders: job 5 was killed")
        assert _lines(ran.out, "next: again")


def test_failed_tables_as_json(dbsync: Run, library: Library) -> None:
    """--json carries each failure with its reason, its next step and its exit code."""
    imported = replace(IMPORTED, separately=True, failed=(FAILURE,))
    library.results["clone"] = CloneResult(exported=EXPORTED, imported=imported)
    ran = dbsync(*CLONE, "--json")
    assert ran.code == 3
    (failed,) = json.loads(ran.out)["imported"]["failed"]
    assert failed["message"] == "job 5 was killed"
    assert (failed["hint"], failed["exit_code"], failed["rows"]) == ("again", 3, 2_000_000)
