"""What the arguments of several functions have in common: their types, and what they mean.

Must not know: which functions there are.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec.structs import replace

from dbsync.connectors.options import TreasureDataOptions
from dbsync.connectors.registry import is_treasure_data, takes_schema
from dbsync.errors import UsageError
from dbsync.model.selection import Selection

Where = str | Mapping[str, str]
Columns = Mapping[str, Sequence[str]]
Ddl = Literal["auto", "native", "portable"]

LEDGER = "dbsync_ledger"
"""The table of an import that was interrupted is no part of the database that it lies in."""


def select(
    tables: Sequence[str],
    exclude: Sequence[str],
    columns: Columns | None,
    where: Where | None,
) -> Selection:
    """Gather what is chosen; a plain string as `where` applies to every table."""
    conditions = {"*": where} if isinstance(where, str) else dict(where or {})
    return Selection(
        tables=tuple(tables),
        exclude=tuple(exclude),
        columns=frozen(columns),
        where=conditions,
    )


def frozen(mapping: Columns | None) -> dict[str, tuple[str, ...]]:
    """Copy a mapping of columns."""
    return {pattern: tuple(names) for pattern, names in (mapping or {}).items()}


def workers(jobs: int | None) -> int:
    """Return how many work at once; raises `UsageError` for none."""
    if jobs is None:
        return max(1, min(4, os.cpu_count() or 1))
    if jobs < 1:
        raise UsageError(f"jobs must be at least 1, not {jobs}")
    return jobs


def readers(url: str, jobs: int | None, treasure_data: TreasureDataOptions | None) -> int:
    """Return how many read `url` at once: of Treasure Data, tables, unless `jobs` is given."""
    if jobs is None and is_treasure_data(url):
        return (treasure_data or TreasureDataOptions()).table_parallelism
    return workers(jobs)


def reading_back(options: TreasureDataOptions | None) -> TreasureDataOptions | None:
    """Return the options for reading what was written: all of it, whatever was taken before."""
    return options and replace(options, time_range=None, keep_time=True)


def schema_for(url: str, schema: str | None) -> str | None:
    """Return `schema` where the engine has schemas."""
    return schema if takes_schema(url) else None
