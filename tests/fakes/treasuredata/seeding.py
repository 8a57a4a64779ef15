"""Tables made in one call, for tests and benchmarks that need rows to begin with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from tests.fakes.treasuredata import types
from tests.fakes.treasuredata.accounts import Refusal
from tests.fakes.treasuredata.catalog import Catalog


def make(
    catalog: Catalog,
    database: str,
    table: str,
    columns: Sequence[Sequence[str]],
    rows: Sequence[Mapping[str, Any]] = (),
    *,
    expire_days: int | None = None,
) -> None:
    """Make a table with rows; a row without `time` gets its number. The counter knows them all."""
    _make(catalog, database, table, columns, expire_days)
    if rows:
        kinds = {"time": "long"} | {column[0]: column[1] for column in columns}
        arrays = {
            name: types.column(
                [
                    row.get(name, place if name == "time" else None)
                    for place, row in enumerate(rows)
                ],
                kind,
            )
            for name, kind in kinds.items()
        }
        catalog.append(database, table, [pa.table(arrays)])
        catalog.refresh_counters()


def fill(
    catalog: Catalog,
    database: str,
    table: str,
    columns: Sequence[Sequence[str]],
    select: str,
    *,
    expire_days: int | None = None,
) -> int:
    """Make a table with the rows of a SELECT of DuckDB, by name; returns how many."""
    _make(catalog, database, table, columns, expire_days)
    return catalog.fill(database, table, select)


def _make(
    catalog: Catalog,
    database: str,
    table: str,
    columns: Sequence[Sequence[str]],
    expire_days: int | None,
) -> None:
    try:
        catalog.database(database)
    except Refusal:
        catalog.create_database(database)
    catalog.create_table(database, table).expire_days = expire_days
    catalog.update_schema(database, table, json.dumps([list(column) for column in columns]))
