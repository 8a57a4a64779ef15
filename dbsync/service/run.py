"""One run: export, then prune, then rehearse, each at most once however often it is tried.

What lives here: the order of the stages and what an attempt of them found. Must not know: when
runs are due, or what the stages do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from dbsync.errors import DbsyncError, LossError

if TYPE_CHECKING:
    from dbsync.api import ExportResult

Stage = Literal["check", "export", "prune", "rehearse"]
Kind = Literal["backup", "rehearsal"]


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """How a rehearsal ended."""

    archive: str
    """Its full name: of a folder, the archive that was taken."""
    archive_time: datetime
    """When its export began."""
    passed: bool
    differences: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Steps:
    """What the stages of a run do; each raises the errors of `dbsync.errors`."""

    check: Callable[[], None]
    """Look at everything that runs need, and change nothing."""
    export: Callable[[], ExportResult]
    prune: Callable[[str], int] | None = None
    """Remove what no rule keeps of a database; returns the number of archives."""
    rehearse: Callable[[str | None], Rehearsal] | None = None
    """Restore an archive, or None for the newest there is, into a throwaway database."""


@dataclass(frozen=True, kw_only=True)
class Broken:
    """Where an attempt ended, and the exception."""

    stage: Stage
    error: Exception

    @property
    def retryable(self) -> bool:
        """Say whether the same attempt may succeed later."""
        return isinstance(self.error, DbsyncError) and self.error.retryable

    @property
    def message(self) -> str:
        """Say what failed, in the words of the error."""
        if isinstance(self.error, DbsyncError):
            return self.error.message
        return f"this is a bug in dbsync: {type(self.error).__name__}: {self.error}"

    @property
    def exit_code(self) -> int:
        """Return the exit code that the error stands for."""
        return self.error.exit_code if isinstance(self.error, DbsyncError) else 1

    @property
    def hint(self) -> str | None:
        """Return the next step, where the error knows one."""
        return self.error.hint if isinstance(self.error, DbsyncError) else None

    @property
    def outside(self) -> bool:
        """Say whether a database or a store failed, which others may repair meanwhile."""
        return isinstance(self.error, DbsyncError) and self.error.exit_code in (3, 4, 5, 8)


@dataclass(kw_only=True)
class Run:
    """A run under way. An attempt goes on at the stage that failed before."""

    kind: Kind
    steps: Steps
    with_rehearsal: bool
    newest: str | None = None
    """What to rehearse where nothing is exported; None for the newest that is found."""
    exported: ExportResult | None = None
    pruned: int | None = None
    rehearsal: Rehearsal | None = None
    _done: set[Stage] = field(default_factory=set[Stage])

    def attempt(self) -> Broken | None:
        """Go through the stages that are not done; None where all are."""
        for stage in self._stages():
            if stage in self._done:
                continue
            try:
                self._perform(stage)
            except Exception as error:  # a bug in one run is no reason to make no more backups
                return Broken(stage=stage, error=error)
            self._done.add(stage)
        return None

    def _stages(self) -> list[Stage]:
        stages: list[Stage] = []
        if self.kind == "backup":
            stages.append("export")
            if self.steps.prune is not None:
                stages.append("prune")
        if self.with_rehearsal and self.steps.rehearse is not None:
            stages.append("rehearse")
        return stages

    def _perform(self, stage: Stage) -> None:
        if stage == "export":
            self.exported = self.steps.export()
        elif stage == "prune" and self.steps.prune is not None and self.exported is not None:
            self.pruned = self.steps.prune(self.exported.database)
        elif stage == "rehearse" and self.steps.rehearse is not None:
            made = self.exported.archive if self.exported is not None else None
            self.rehearsal = self.steps.rehearse(made or self.newest)
            if not self.rehearsal.passed:
                raise _came_back_otherwise(self.rehearsal)


def _came_back_otherwise(rehearsal: Rehearsal) -> LossError:
    first = f": {rehearsal.differences[0]}" if rehearsal.differences else ""
    return LossError(
        f"the rehearsal of {rehearsal.archive} failed{first}",
        hint=f"see all of it with: dbsync rehearse {rehearsal.archive}",
    )
