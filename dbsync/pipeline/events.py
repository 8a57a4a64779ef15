"""What a long run tells whoever watches it: plain values, handed to a callback.

The callback is called from worker threads, one call at a time, and must return quickly. An
exception that it raises stops the run and reaches the caller.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from dbsync.model.schema import Loss, Name


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag=str.lower):
    """Common configuration: every event is one JSON object whose ``event`` names its kind."""


class Planned(_Event):
    """The plan is made; nothing is written yet. Rows and bytes are estimates, where known."""

    command: str
    tables: tuple[tuple[Name, int | None], ...]
    losses: tuple[Loss, ...] = ()
    guarantee: Literal["exactly_once", "single_transaction", "none"] | None = None
    """Imports only: as `dbsync.connectors.base.ImportPlan` says, like `resuming`."""
    resuming: bool = False


class StageStarted(_Event):
    """A step of an import begins, on the object that it names."""

    stage: str
    object: str = ""


class ChunkWritten(_Event):
    """The rows of a chunk have been sent to the database and are about to be committed."""

    table: Name
    chunk: int


class ChunkDone(_Event):
    """A chunk is in the archive, or its rows are committed."""

    table: Name
    chunk: int
    rows: int
    bytes: int
    """Stored bytes of the chunk."""
    resumed: bool = False
    """An earlier run had committed it; it was not loaded again."""


class TableDone(_Event):
    """Every row of a table has arrived."""

    table: Name
    rows: int


class Finished(_Event):
    """The run is complete."""

    rows: int
    bytes: int
    seconds: float


Event = Planned | StageStarted | ChunkWritten | ChunkDone | TableDone | Finished
OnEvent = Callable[[Event], None]


def ignore(_event: Event) -> None:
    """Watch nothing: the default callback."""
