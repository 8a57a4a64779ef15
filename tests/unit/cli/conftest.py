"""Running commands inside this process, on library functions that are replaced."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from dbsync import api
from dbsync.cli.main import run
from dbsync.connectors.base import CheckItem, Consistency, Counts, ImportPlan, TablePlan
from dbsync.model.schema import Column, Loss, Name, Table
from dbsync.model.types import LogicalType
from dbsync.pipeline.events import ChunkDone, Finished, OnEvent, Planned, StageStarted, TableDone
from dbsync.pipeline.results import (
    ArchiveInfo,
    ArchiveTable,
    CloneResult,
    ExportResult,
    ExtractResult,
    ImportResult,
    ParquetFile,
    ParquetResult,
    TableResult,
    VerifyResult,
)

NAME = Name("public", "people")
LOSS = Loss(object="view public.v", reason="no views there")
TABLE = Table(
    name=NAME,
    columns=(
        Column(
            name="id",
            type=LogicalType(name="integer", bits=64),
            native_type="bigint",
            storage="int64",
            exceptions="id:exceptions",
        ),
    ),
)
CONSISTENCY = Consistency(level="snapshot", token="0001-1")
EXPORTED = ExportResult(
    archive="a.dbsync.tar",
    archive_id="11",
    tables=(TableResult(table=NAME, rows=1200, bytes=5000, chunks=2),),
    consistency=CONSISTENCY,
    losses=(LOSS,),
    warnings=("statistics are old",),
    rows=1200,
    bytes=5000,
    seconds=1.5,
)
PLAN = ImportPlan(
    tables=(TablePlan(source=TABLE, target=NAME, action="append", mode="update", key=("id",)),),
    statements=("CREATE INDEX i",),
    losses=(LOSS,),
    max_writers=2,
    table_order=((NAME,),),
)
IMPORTED = ImportResult(
    archive_id="11",
    plan=PLAN,
    tables=(
        TableResult(
            table=NAME, rows=1200, action="append", counts=Counts(inserted=1190, updated=10)
        ),
    ),
    rows=1200,
    seconds=2.0,
)
INFO = ArchiveInfo(
    archive="a.dbsync.tar",
    archive_id="11",
    format_version="1.0",
    writer="dbsync 0.1.0",
    started="2026-01-01T00:00:00Z",
    finished="2026-01-01T00:00:01Z",
    engine="postgresql",
    engine_version="18.0",
    database="shop",
    consistency=CONSISTENCY,
    size=9000,
    rows=1200,
    tables=(
        ArchiveTable(
            table=NAME,
            rows=1200,
            bytes=5000,
            chunks=2,
            columns=(("id", "integer", "bigint"),),
            primary_key=("id",),
            where="id > 3",
        ),
    ),
    objects=(("view", 3),),
    losses=(LOSS,),
)
VERIFIED = VerifyResult(archive="a", archive_id="11", members=9, chunks=2, rows=1200, bytes=9000)
EXTRACTED = ExtractResult(directory="out", files=((NAME, "out/people/00000001.parquet", 1200),))
PARQUET = ParquetResult(
    table=NAME,
    directory="out/public.people",
    files=(ParquetFile(path="out/public.people/00000001.parquet", rows=1200, bytes=5000),),
    columns=(("id", "integer64", "bigint"),),
    consistency=CONSISTENCY,
    rows=1200,
    bytes=5000,
    seconds=1.0,
)
CHECKED = (CheckItem(item="connect", ok=True, found="PostgreSQL 18"),)


def emit(on_event: OnEvent, command: str) -> None:
    """Send the events of a small run."""
    on_event(Planned(command=command, tables=((NAME, 1200),), losses=(LOSS,)))
    on_event(StageStarted(stage="rows", object="public.people"))
    on_event(ChunkDone(table=NAME, chunk=1, rows=1200, bytes=5000))
    on_event(TableDone(table=NAME, rows=1200))
    on_event(Finished(rows=1200, bytes=5000, seconds=1.0))


RESULTS: dict[str, object] = {
    "export_database": EXPORTED,
    "import_archive": IMPORTED,
    "clone": CloneResult(exported=EXPORTED, imported=IMPORTED),
    "inspect": INFO,
    "verify": VERIFIED,
    "extract": EXTRACTED,
    "table_to_parquet": PARQUET,
    "check": CHECKED,
    "generate_key": "age1public",
}

COMMANDS: dict[str, list[str]] = {
    "export_database": ["export", "a", "--url", "sqlite:///x"],
    "import_archive": ["import", "a", "--url", "sqlite:///x"],
    "clone": ["clone", "--from", "sqlite:///x", "--to", "sqlite:///y"],
    "inspect": ["inspect", "a"],
    "verify": ["verify", "a"],
    "extract": ["extract", "a", "d"],
    "table_to_parquet": ["to-parquet", "sqlite:///x", "people", "d"],
    "check": ["check", "--url", "sqlite:///x"],
    "generate_key": ["keygen", "k"],
}
"""The shortest complete command line for each library function."""


class Ran(NamedTuple):
    """What a command left."""

    code: int
    out: str
    err: str


Run = Callable[..., Ran]


class Library:
    """Library functions that record their arguments and answer or fail as they are told."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.fail: BaseException | None = None
        self.results = dict(RESULTS)

    def function(self, name: str) -> Callable[..., object]:
        def call(**arguments: Any) -> object:
            self.calls.append((name, arguments))
            if self.fail is not None:
                raise self.fail
            if "on_event" in arguments:
                emit(arguments["on_event"], name.partition("_")[0])
            return self.results[name]

        return call

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of the only call."""
        ((_, arguments),) = self.calls
        return arguments


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Library:
    """The library replaced by one that records; no settings from outside the test."""
    replaced = Library()
    for name in RESULTS:
        monkeypatch.setattr(api, name, replaced.function(name))
    monkeypatch.chdir(tmp_path)
    import os

    for variable in list(os.environ):
        if variable.startswith("DBSYNC_"):
            monkeypatch.delenv(variable)
    return replaced


@pytest.fixture
def dbsync(library: Library, capfd: pytest.CaptureFixture[str]) -> Run:
    """A function that runs a command line on the replaced library."""

    def run_command(*args: str) -> Ran:
        capfd.readouterr()
        code = run(list(args))
        captured = capfd.readouterr()
        return Ran(code, captured.out, captured.err)

    return run_command
