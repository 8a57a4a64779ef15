"""Databases in memory whose tables nothing connects, behind ``memory://`` URLs.

For tests of what the pipeline does with such a target; what the real ones do is theirs to prove.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from dbsync.connectors.base import (
    Capabilities,
    ChunkId,
    Consistency,
    Counts,
    ImportOptions,
    ImportPlan,
    Partition,
    TablePlan,
)
from dbsync.errors import DbsyncError, TargetError
from dbsync.model.schema import Column, Database, Loss, Name, Table
from dbsync.model.selection import Selection
from dbsync.model.types import LogicalType

CAPABILITIES = Capabilities(
    engine="memory",
    consistent_snapshot=False,
    parallel_read=True,
    parallel_write=True,
    transactions=False,
    transactional_ddl=False,
    upsert=False,
    schemas=False,
    independent_tables=True,
)


@dataclass
class MemoryDatabase:
    """Tables by name, each the numbers in its only column, and what goes wrong with which."""

    tables: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    broken_reads: dict[str, DbsyncError] = field(default_factory=dict[str, DbsyncError])
    broken_writes: dict[str, BaseException] = field(default_factory=dict[str, BaseException])
    refused: dict[str, DbsyncError] = field(default_factory=dict[str, DbsyncError])
    closed_to_all: DbsyncError | None = None
    calls: list[str] = field(default_factory=list[str])
    prepared: list[ImportOptions] = field(default_factory=list[ImportOptions])
    opened: int = 0
    waiting: str | None = None
    """Of a target: the table whose end waits until somebody stops it."""
    stopped: threading.Event = field(default_factory=threading.Event)
    at_once: threading.Barrier | None = None
    """Of a target: writers of different tables wait here for one another."""


DATABASES: dict[str, MemoryDatabase] = {}


def open_source(url: str, *, jobs: int = 1) -> MemorySource:
    return MemorySource(url)


def open_target(url: str, *, jobs: int = 1) -> MemoryTarget:
    return MemoryTarget(_database(url))


def _database(url: str) -> MemoryDatabase:
    return DATABASES[url.partition("://")[2]]


def table_of(name: str, rows: int) -> Table:
    column = Column(
        name="id",
        type=LogicalType(name="integer", bits=64),
        native_type="bigint",
        storage="int64",
        exceptions="id:exceptions",
    )
    return Table(name=Name(None, name), columns=(column,), rows_estimate=rows)


class MemorySource:
    capabilities = CAPABILITIES

    def __init__(self, url: str):
        self._name = url.partition("://")[2]
        self._database = _database(url)

    @contextmanager
    def snapshot(
        self, selection: Selection, *, include_schema: bool = True
    ) -> Iterator[MemorySnapshot]:
        self._database.calls.append("snapshot")
        if self._database.closed_to_all is not None:
            raise self._database.closed_to_all
        yield MemorySnapshot(self._name, self._database, selection)

    def check(self) -> list[Any]:
        return []

    def close(self) -> None:
        pass


class MemorySnapshot:
    consistency = Consistency(level="per_table")

    def __init__(self, name: str, database: MemoryDatabase, selection: Selection):
        self._memory = database
        tables = tuple(
            table_of(table, len(rows))
            for table, rows in database.tables.items()
            if selection.selects(Name(None, table))
        )
        self.database = Database(engine="memory", version="1", name=name, tables=tables)

    def partitions(self, table: Table, target_bytes: int) -> list[Partition]:
        return [Partition(table=table.name, number=0)]

    def read(self, table: Table, partition: Partition) -> Iterator[pa.RecordBatch]:
        rows = self._memory.tables[table.name.name]
        half = len(rows) // 2
        yield _batch(rows[:half])
        if table.name.name in self._memory.broken_reads:
            raise self._memory.broken_reads[table.name.name]
        yield _batch(rows[half:])


def _batch(rows: list[int]) -> pa.RecordBatch:
    return pa.record_batch({"id": pa.array(rows, pa.int64())})


class MemoryTarget:
    """Lower-cases names, and numbers those that are then alike, over all tables of an import."""

    capabilities = CAPABILITIES

    def __init__(self, database: MemoryDatabase):
        self._database = database
        database.opened += 1

    def prepare(self, database: Database, options: ImportOptions) -> ImportPlan:
        if self._database.closed_to_all is not None:
            raise self._database.closed_to_all
        self._database.prepared.append(options)
        names = self._names(options.among or database.tables)
        plans = [self._plan(table, names[table.name], options) for table in database.tables]
        return ImportPlan(
            tables=tuple(plans),
            statements=tuple(f"{plan.action} {plan.target}" for plan in plans),
            losses=(Loss(object="keys", reason="there are none"),),
            max_writers=2,
            table_order=(tuple(plan.source.name for plan in plans),),
        )

    def _names(self, tables: tuple[Table, ...]) -> dict[Name, str]:
        names: dict[Name, str] = {}
        for table in tables:
            wanted = table.name.name.lower()
            taken = sum(name.rstrip("0123456789") == wanted for name in names.values())
            names[table.name] = wanted + (str(taken + 1) if taken else "")
        return names

    def _plan(self, table: Table, target: str, options: ImportOptions) -> TablePlan:
        if target in self._database.refused:
            raise self._database.refused[target]
        action: Any = "create"
        there = self._database.tables.get(target)
        if there is not None:
            if options.existing == "error":
                raise TargetError(f"table {target} exists", hint="overwrite it")
            action = options.existing
        elif options.ddl == "none":
            raise TargetError(f"there is no table {target}", hint="--include-schema")
        return TablePlan(
            source=table,
            target=Name(None, target),
            action=action,
            rows_before=len(there) if there is not None else 0,
        )

    def examiner(self, table: TablePlan) -> None:
        return None

    def load(self, plan: ImportPlan, options: ImportOptions) -> MemoryLoad:
        return MemoryLoad(self._database, plan, options)

    def check(self) -> list[Any]:
        return []

    def stop(self) -> None:
        self._database.stopped.set()

    def close(self) -> None:
        self._database.opened -= 1


class MemoryLoad:
    def __init__(self, database: MemoryDatabase, plan: ImportPlan, options: ImportOptions):
        self._database = database
        self.options = options
        self.plan = plan
        self.rows: dict[str, list[int]] = {}

    def __enter__(self) -> MemoryLoad:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def create(self) -> Iterator[tuple[Any, str]]:
        yield "create", ""

    def committed(self) -> frozenset[tuple[Name, int]]:
        return frozenset()

    def writer(self, table: TablePlan) -> MemoryWriter:
        return MemoryWriter(self, self._database, table)

    def finalize(self) -> Iterator[tuple[Any, str]]:
        yield "publish", ""
        for table in self.plan.tables:
            name = table.target.name
            if name == self._database.waiting:
                assert self._database.stopped.wait(timeout=30)
                raise TargetError("the work was stopped")
            broken = self._database.broken_writes.get(name)
            if broken is not None:
                raise broken
            before = self._database.tables.get(name, []) if table.action == "append" else []
            self._database.tables[name] = [*before, *self.rows.get(name, [])]
            self._database.calls.append(f"publish {name} for {self.options.import_id}")


class MemoryWriter:
    def __init__(self, load: MemoryLoad, database: MemoryDatabase, table: TablePlan):
        self._load, self._database = load, database
        self._name = table.target.name

    def __enter__(self) -> MemoryWriter:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def write(self, batch: pa.RecordBatch) -> None:
        if self._database.at_once is not None:
            self._database.at_once.wait(timeout=30)
        self._load.rows.setdefault(self._name, []).extend(batch.column(0).to_pylist())

    def commit(self, chunk: ChunkId) -> Counts:
        return Counts(inserted=1)


def installed(monkeypatch: Any) -> None:
    """Give ``memory://`` a connector, and forget all databases."""
    from dbsync.connectors import registry

    DATABASES.clear()
    monkeypatch.setitem(registry._PACKAGES, "memory", sys.modules[__name__].__name__)
