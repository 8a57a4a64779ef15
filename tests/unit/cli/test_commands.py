"""What the commands print, where, and with which exit code."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from dbsync.connectors.base import CheckItem
from dbsync.model.schema import Name
from dbsync.pipeline.results import (
    CloneResult,
    RangeDifference,
    RowDifference,
    TableDifference,
)
from tests.unit.cli.conftest import (
    COMMANDS,
    EXPORTED,
    IMPORTED,
    NAME,
    PLAN,
    VERIFIED,
    Library,
    Run,
)

_DIFFERENCE = TableDifference(
    table=NAME,
    reason="rows differ",
    rows_archive=3,
    rows_database=2,
    only_archive=1,
    differing=1,
    examples=("id=7 only in the archive", "id=9 differs in name"),
    ranges=(
        RangeDifference(
            first={"id": "7"},
            last={"id": "9"},
            rows_archive=3,
            rows_database=2,
            only_archive=1,
            differing=1,
            columns=("name",),
            examples=(
                RowDifference(key={"id": "7"}, difference="only_archive"),
                RowDifference(key={"id": "9"}, difference="differs", columns=("name",)),
            ),
        ),
    ),
    ranges_total=1,
)


def _terminal(monkeypatch: pytest.MonkeyPatch, stream: str) -> None:
    monkeypatch.setattr(getattr(sys, stream), "isatty", lambda: True, raising=False)


def replace(value: Any, **changes: Any) -> Any:
    from msgspec.structs import replace as change

    return change(value, **changes)


@pytest.mark.parametrize("function", COMMANDS)
def test_calls_the_library_once(function: str, dbsync: Run, library: Library) -> None:
    """Each command makes the one call of its library function and prints a summary on stdout."""
    ran = dbsync(*COMMANDS[function])
    assert ran.code == 0, ran.err
    assert [name for name, _ in library.calls] == [function]
    assert ran.out.strip()


@pytest.mark.parametrize("function", COMMANDS)
def test_json_is_alone_on_stdout(function: str, dbsync: Run) -> None:
    """With --json stdout holds exactly one JSON object on one line, and nothing else."""
    ran = dbsync(*COMMANDS[function], "--json", "-v")
    assert ran.code == 0
    assert ran.out.endswith("}\n")
    assert ran.out.count("\n") == 1
    assert isinstance(json.loads(ran.out), dict)


def test_json_content(dbsync: Run, library: Library) -> None:
    """The object is the library's result; a planned table is named, not repeated."""
    exported = json.loads(dbsync(*COMMANDS["export_database"], "--json").out)
    assert exported["rows"] == 1200
    assert exported["tables"][0]["table"] == {"schema": "public", "name": "people"}
    imported = json.loads(dbsync(*COMMANDS["import_archive"], "--json").out)
    assert imported["plan"]["tables"][0]["source"] == {"schema": "public", "name": "people"}
    assert imported["plan"]["losses"][0]["object"] == "view public.v"
    cloned = json.loads(dbsync(*COMMANDS["clone"], "--json").out)
    assert cloned["imported"]["plan"]["tables"][0]["source"]["name"] == "people"
    library.results["verify"] = replace(VERIFIED, against="x", differences=(_DIFFERENCE,))
    verified = json.loads(dbsync(*COMMANDS["verify"], "--json").out)
    assert verified["ok"] is False
    (found,) = verified["differences"][0]["ranges"]
    assert (found["first"], found["last"], found["only_archive"]) == ({"id": "7"}, {"id": "9"}, 1)
    assert found["examples"][1]["columns"] == ["name"]


def test_loss_report_comes_once(dbsync: Run) -> None:
    """Losses are printed on stderr when the plan is made, and not again with the result."""
    for function in ("export_database", "import_archive", "clone"):
        ran = dbsync(*COMMANDS[function])
        assert ran.err.count("view public.v") == 1
        assert "no views there" in ran.err
        assert "view public.v" not in ran.out


def test_loss_report_without_an_event(
    dbsync: Run, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Losses that no event announced are printed with the result."""
    monkeypatch.setattr("tests.unit.cli.conftest.emit", lambda *_: None)
    assert dbsync(*COMMANDS["export_database"]).err.count("view public.v") == 1


def test_archive_on_stdout(dbsync: Run) -> None:
    """When the archive goes to stdout, not one other byte goes there."""
    for extra in ([], ["--json"], ["-v"], ["--log-format", "json", "--json"]):
        ran = dbsync("export", "-", "--url", "sqlite:///x", *extra)
        assert ran.code == 0
        assert ran.out == ""
        assert "1,200 rows" in ran.err or '"rows": 1200' in ran.err


def test_no_archive_on_terminals(
    dbsync: Run, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An archive is neither written to a terminal nor read from one: 2, before any call."""
    _terminal(monkeypatch, "stdout")
    assert dbsync("export", "-", "--url", "sqlite:///x").code == 2
    _terminal(monkeypatch, "stdin")
    for args in (["import", "-", "--url", "sqlite:///x"], ["inspect", "-"], ["verify", "-"]):
        ran = dbsync(*args)
        assert ran.code == 2
        assert "terminal" in ran.err
    assert library.calls == []


def test_verify_exit_code(dbsync: Run, library: Library) -> None:
    """Equal data: 0. Different data: 7, with the tables listed on stdout."""
    library.results["verify"] = replace(VERIFIED, against="postgresql shop")
    ran = dbsync("verify", "a", "--against", "postgresql://h/shop")
    assert ran.code == 0
    assert "same rows" in ran.out
    library.results["verify"] = replace(
        VERIFIED, against="postgresql shop", differences=(_DIFFERENCE,)
    )
    ran = dbsync("verify", "a", "--against", "postgresql://h/shop")
    assert ran.code == 7
    assert "people: rows differ; 3 rows in archive, 2 in database" in ran.out
    assert "id=7 to id=9" in ran.out
    assert "id=7 only in archive" in ran.out
    assert "1 table is not the same" in ran.out


def test_check_exit_code(dbsync: Run, library: Library) -> None:
    """One thing that is not ok makes 3; the hint is printed."""
    bad = CheckItem(item="rights", ok=False, found="none", hint="grant SELECT")
    library.results["check"] = (CheckItem(item="connect", ok=True, found="yes"), bad)
    ran = dbsync("check", "--url", "sqlite:///x")
    assert ran.code == 3
    assert "grant SELECT" in ran.out
    assert json.loads(dbsync("check", "--url", "sqlite:///x", "--json").out)["ok"] is False


def test_dry_run_shows_the_plan(dbsync: Run, library: Library) -> None:
    """A dry run prints tables, actions, statements, losses and the guarantee."""
    library.results["import_archive"] = replace(IMPORTED, dry_run=True, tables=())
    ran = dbsync("import", "a", "--url", "sqlite:///x", "--dry-run")
    for word in ("people", "append", "update", "CREATE INDEX i", "guarantee", "nothing was"):
        assert word in ran.out
    assert "view public.v" in ran.err
    library.results["export_database"] = replace(EXPORTED, dry_run=True)
    ran = dbsync("export", "-", "--url", "sqlite:///x", "--dry-run")
    assert "would export 1 table, about 1,200 rows" in ran.out
    library.results["clone"] = CloneResult(
        exported=replace(EXPORTED, dry_run=True), imported=replace(IMPORTED, dry_run=True)
    )
    ran = dbsync(*COMMANDS["clone"], "--dry-run")
    assert "would export" in ran.out
    assert "nothing was changed" in ran.out


def test_summaries(dbsync: Run, library: Library) -> None:
    """Counts, places, consistency and warnings are in the summary."""
    ran = dbsync(*COMMANDS["export_database"])
    assert "exported 1 table, 1,200 rows, 4.9 KiB into a.dbsync.tar in 1.5 s" in ran.out
    assert "one moment for all tables (snapshot 0001-1)" in ran.out
    assert "warning: statistics are old" in ran.err
    library.results["import_archive"] = replace(IMPORTED, resumed_chunks=3)
    ran = dbsync(*COMMANDS["import_archive"])
    assert "1,190" in ran.out
    assert "3 chunks stood from an earlier run" in ran.out


def test_inspect(dbsync: Run) -> None:
    """inspect names source, moment, objects, keys and conditions; columns only with -v."""
    ran = dbsync("inspect", "a")
    for word in ("postgresql 18.0, database shop", "0001-1", "3 view", "id > 3", "view public.v"):
        assert word in ran.out
    assert "bigint" not in ran.out
    assert "bigint" in dbsync("inspect", "a", "-v").out


def test_hostile_names(dbsync: Run, library: Library) -> None:
    """Control characters of names are printed as escapes, so that no name can forge output."""
    hostile = Name(None, "a\x1b[2J\r\u202eb")
    library.results["export_database"] = replace(
        EXPORTED, tables=(replace(EXPORTED.tables[0], table=hostile),), warnings=("\x1b]0;x",)
    )
    ran = dbsync(*COMMANDS["export_database"])
    assert "a\\x1b[2J\\r\\u202eb" in ran.out
    assert "\x1b" not in ran.out + ran.err


def test_names_the_encoding_lacks(dbsync: Run, library: Library) -> None:
    """A name with a lone surrogate, from bytes that are no UTF-8, does not break the output."""
    odd = Name(None, "caf\udce9")
    library.results["export_database"] = replace(
        EXPORTED, tables=(replace(EXPORTED.tables[0], table=odd),)
    )
    assert dbsync(*COMMANDS["export_database"]).code == 0
    ran = dbsync(*COMMANDS["export_database"], "--json")
    assert ran.code == 0
    json.loads(ran.out)


def test_wide_tables_are_not_folded(dbsync: Run, library: Library) -> None:
    """In a file or a pipe, a row of a table stays one line however long it is."""
    statement = "x" * 500
    wide = replace(PLAN.tables[0], target=Name("s" * 300, "t"))
    library.results["import_archive"] = replace(
        IMPORTED,
        dry_run=True,
        plan=replace(PLAN, tables=(wide,), statements=(statement,)),
    )
    ran = dbsync("import", "a", "--url", "sqlite:///x", "--dry-run")
    assert "s" * 300 + ".t" in ran.out
    assert statement in ran.out


def test_help_and_version(dbsync: Run) -> None:
    """dbsync alone shows help; --version prints one line; both end with 0."""
    assert dbsync().out == dbsync("--help").out
    assert dbsync("--version").out.startswith("dbsync ")
    assert "Exit codes" in dbsync("--help").out
