"""The steps of a run as calls of the library.

Must not know: when they are made, or what is printed.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from dbsync.config import ScheduleSettings
from dbsync.errors import StorageError
from dbsync.service.run import Rehearsal, Steps

if TYPE_CHECKING:
    from dbsync.api import ExportResult, OnEvent

Watching = Callable[[str], AbstractContextManager["OnEvent"]]
"""Opens what shows the progress of one step, by the step's name."""


def library_steps(settings: ScheduleSettings, watching: Watching) -> Steps:
    """Make the steps that `settings` ask for."""
    from dbsync import api

    export = settings.export

    @contextmanager
    def step(name: str) -> Generator[OnEvent]:
        try:
            with watching(name) as on_event:
                yield on_event
        finally:
            _release_memory()

    def check() -> None:
        api.check_location(export.archive, storage_options=export.storage_options)
        # A dry run meets every mistake that an export would: names, rights, conditions.
        api.export_database(**replace(export, dry_run=True).arguments())
        if settings.rehearse_url is not None:
            api.check(settings.rehearse_url)

    def run_export() -> ExportResult:
        with step("export") as on_event:
            return api.export_database(**export.arguments(), on_event=on_event)

    def run_prune(database: str) -> int:
        if settings.policy is None:
            return 0
        result = api.prune(
            export.archive,
            settings.policy,
            database=database,
            timezone=settings.timezone,
            storage_options=export.storage_options,
        )
        if result.failed:
            raise StorageError(
                f"{len(result.failed)} objects could not be deleted, among them {result.failed[0]}",
                hint="dbsync prune shows why",
            )
        return result.deleted

    def run_rehearsal(archive: str | None) -> Rehearsal:
        opening: dict[str, Any] = {
            "identities": settings.identities,
            "storage_options": export.storage_options,
        }
        with step("rehearse") as on_event:
            result = api.rehearse(
                archive or export.archive, url=settings.rehearse_url, on_event=on_event, **opening
            )
        return Rehearsal(
            archive=result.archive,
            archive_time=datetime.fromisoformat(api.inspect(result.archive, **opening).started),
            passed=result.ok,
            differences=result.differences,
        )

    return Steps(
        check=check,
        export=run_export,
        prune=run_prune if settings.policy is not None else None,
        rehearse=run_rehearsal if settings.rehearses else None,
    )


def _release_memory() -> None:
    """Give the system what Arrow keeps for the next chunk: hours may pass until it comes."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()
