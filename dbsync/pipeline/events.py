"""What a long run tells whoever watches it: plain values, handed to a callback.

The callback is called from worker threads, one call at a time, and must return quickly. An
exception that it raises stops the run and reaches the caller.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from dbsync.model.schema import Loss, Name


class Planned(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag=str.lower):
    """The plan is made; nothing is written yet. Rows and bytes are estimates, where known."""

    command: str
    tables: tuple[tuple[Name, int | None], ...]
    losses: tuple[Loss, ...] = ()
    guarantee: Literal["exactly_once", "single_transaction", "none"] | None = None
    """Imports only: as `dbsync.connectors.base.ImportPlan` says, like `resuming`."""
    resuming: bool = False


class PassedOver(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag=str.lower):
    """A folder was named, and its newest archive is not complete; an older one is taken."""

    archive: str
    """Full name of the archive that is not taken."""
    reason: str


class StageStarted(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag=str.lower):
    """A step of an import begins, on the object that it names."""

    stage: str
    object: str = ""


class ChunkWritten(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag=str.lower):
    """The rows of a chunk have been sent to the database and are about to be committed."""

    table: Name
    chunk: int


class ChunkDone(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag=str.lower):
    """A chunk is in the archive, or its rows are committed."""

    table: Name
    chunk: int
    rows: int
    bytes: int
    """Stored bytes of the chunk."""
    resumed: bool = False
    """An earlier run had committed it; it was not loaded again."""


class TableStarted(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag=str.lower):
    """A table that is imported by itself begins."""

    table: Name


class TableFailed(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag=str.lower):
    """A table that is imported by itself has failed; the others go on."""

    table: Name
    message: str
    hint: str | None = None


class TableDone(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag=str.lower):
    """Every row of a table has arrived."""

    table: Name
    rows: int


class Finished(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag=str.lower):
    """The run is complete."""

    rows: int
    bytes: int
    seconds: float


Event = (
    Planned
    | PassedOver
    | StageStarted
    | ChunkWritten
    | ChunkDone
    | TableStarted
    | TableFailed
    | TableDone
    | Finished
)
OnEvent = Callable[[Event], None]


def ignore(_event: Event) -> None:
    """Watch nothing: the default callback."""
