"""What a run says about itself when it ends, and the places that are told.

Must not know: how a run is made, or how a webhook or a metrics file works.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Protocol

import msgspec

from dbsync.service.state import State


class RunError(msgspec.Struct, frozen=True, kw_only=True):
    """Why a run failed."""

    stage: str
    """check, export, prune or rehearse."""
    message: str
    hint: str | None
    exit_code: int
    retryable: bool


class RunReport(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt of a run that ended; what `--json` prints and a webhook receives."""

    event: Literal["success", "failure"]
    kind: Literal["backup", "rehearsal"]
    final: bool
    """False for a failed attempt that will be repeated."""
    attempt: int
    """From 1 on."""
    due: datetime
    started: datetime
    finished: datetime
    location: str
    archive: str | None = None
    tables: int = 0
    rows: int = 0
    bytes: int = 0
    seconds: float = 0.0
    """Of the export."""
    warnings: tuple[str, ...] = ()
    pruned: int | None = None
    """Archives removed; None where there is no policy, or the run did not come that far."""
    rehearsal: Literal["passed", "failed"] | None = None
    error: RunError | None = None
    retry_at: datetime | None = None
    next_run: datetime | None = None


class Waiting(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="waiting"):
    """Nothing to do until the next run."""

    until: datetime
    kind: Literal["backup", "rehearsal"]


class Started(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="run_started"):
    """A run begins."""

    kind: Literal["backup", "rehearsal"]
    due: datetime
    late_s: float
    """Seconds since it was due; more than jitter where the service was not running then."""


class Warned(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="warning"):
    """Something that may need attention and ends nothing."""

    message: str


ServiceEvent = Waiting | Started | Warned | RunReport


class Listener(Protocol):
    """Someone who is told of every event; what it raises ends the service."""

    def __call__(self, event: ServiceEvent) -> None:
        """Take note of one event."""
        ...


class Recipient(Protocol):
    """A place that is told how runs went. Its failure is a warning and never more."""

    name: str

    def tell(self, report: RunReport | None, state: State) -> None:
        """Pass on a report, or None when the service begins; raises `DbsyncError`."""
        ...
