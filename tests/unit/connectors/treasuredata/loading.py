"""Imports into the fake Treasure Data, chunk by chunk, and runs that end at a chosen request."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import pyarrow as pa

from dbsync.connectors.base import ChunkId, ImportOptions, ImportPlan
from dbsync.connectors.options import TreasureDataOptions
from dbsync.connectors.treasuredata.address import parse_url
from dbsync.connectors.treasuredata.client import Api
from dbsync.connectors.treasuredata.target import TreasureDataTarget
from dbsync.errors import TargetError
from dbsync.model.schema import Column, Database, Name, Table
from dbsync.model.types import LogicalType, integer, standard_storage
from tests.fakes.treasuredata import FakeTreasureData

T = TypeVar("T")
MADE_AT = 1_700_000_000
DATABASE = "shop"
STRING = LogicalType(name="string")


class Killed(BaseException):
    """The process ends here."""


class Mortal(Api):
    """An account whose user dies before one of its requests.

    Not counting looks at what is done, of which nobody knows how many it takes.
    """

    requests = 0
    lives: int | None = None

    def run(self, doing: str, call: Callable[..., T], **options: Any) -> T:
        if not doing.startswith(("look at", "count", "stop", "load table")):
            if self.requests == self.lives:
                raise Killed
            self.requests += 1
        return super().run(doing, call, **options)


def connect(fake: FakeTreasureData, database: str = DATABASE, *, key: str = "1/writer") -> Mortal:
    """Give the account a key of its own, and connect without ever waiting."""
    fake.add_key(key)
    address = parse_url(fake.url(key, database))
    return Mortal(address, TargetError, wait=lambda _seconds, _stop: None)


def target(api: Api, **options: Any) -> TreasureDataTarget:
    """Open the database of an account as a target."""
    return TreasureDataTarget(api, TreasureDataOptions(**options))


def column(name: str, logical: LogicalType = STRING, **more: Any) -> Column:
    """Make a column in its standard storage."""
    settings = {"native_type": str(logical), "storage": standard_storage(logical)} | more
    return Column(name=name, type=logical, exceptions=f"{name}:x", **settings)


def table(name: str, *columns: Column, **more: Any) -> Table:
    """Make a table without a schema."""
    return Table(name=Name(None, name), columns=columns, **more)


def database(*tables: Table, engine: str = "sqlite", **more: Any) -> Database:
    """Make a database."""
    return Database(engine=engine, version="1", name="source", tables=tables, **more)


def options(import_id: str = "first", **more: Any) -> ImportOptions:
    """Make the options of an import that may create tables."""
    settings: dict[str, Any] = {"ddl": "portable", "existing": "error", "made_at": MADE_AT} | more
    return ImportOptions(import_id=import_id, **settings)


NUMBERS = table("numbers", column("id", integer(64)), column("name"))
Chunks = Mapping[str, Sequence[pa.RecordBatch]]


def numbers(*starts: int, rows: int = 100) -> list[pa.RecordBatch]:
    """Make chunks of `NUMBERS`, each with `rows` from a number on."""
    return [
        pa.record_batch(
            {
                "id": pa.array(range(start, start + rows), pa.int64()),
                "name": pa.array(
                    [f"row {n}" if n % 3 else None for n in range(start, start + rows)]
                ),
            }
        )
        for start in starts
    ]


def load(
    api: Api,
    source: Database,
    chunks: Chunks,
    chosen: ImportOptions | None = None,
    **settings: Any,
) -> ImportPlan:
    """Import chunks of some tables, as the importer does; returns the plan."""
    chosen = chosen or options()
    opened = target(api, **settings)
    plan = opened.prepare(source, chosen)
    with opened.load(plan, chosen) as running:
        list(running.create())
        done = running.committed()
        for one in plan.tables:
            if one.action == "skip":
                continue
            for number, batch in enumerate(chunks[one.source.name.name], 1):
                if (one.source.name, number) in done:
                    continue
                with running.writer(one) as writer:
                    writer.write(batch)
                    digest = hashlib.sha256(str(batch.to_pydict()).encode()).hexdigest()
                    writer.commit(ChunkId(table=one.source.name, number=number, digest=digest))
        list(running.finalize())
    return plan


def rows(
    fake: FakeTreasureData, name: str, select: str = "id, name", *, place: str = DATABASE
) -> Any:
    """Read a table of the fake, in order."""
    return fake.account().query(f'SELECT {select} FROM "{place}"."{name}" ORDER BY ALL')


def expected(*starts: int, rows: int = 100) -> list[tuple[Any, ...]]:
    """Give the rows that `numbers` makes, in order."""
    found = [
        (row["id"], row["name"])
        for batch in numbers(*starts, rows=rows)
        for row in batch.to_pylist()
    ]
    return sorted(found)


def remains(fake: FakeTreasureData, place: str = DATABASE) -> list[str]:
    """List what imports have left behind: temporary tables and sessions."""
    tables = fake.account().databases[place].tables
    return sorted(
        [name for name in tables if name.startswith("dbsync_")]
        + [s.name for s in fake.imports.sessions.values() if s.database == place]
    )
