"""The steps of a run as calls of the library.

Must not know: when they are made, or what is printed.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING

from dbsync.config import ScheduleSettings
from dbsync.service.run import Steps

if TYPE_CHECKING:
    from dbsync.api import ExportResult, OnEvent

Watching = Callable[[str], AbstractContextManager["OnEvent"]]
"""Opens what shows the progress of one step, by the step's name."""


def library_steps(settings: ScheduleSettings, watching: Watching) -> Steps:
    """Make the steps that `settings` ask for."""
    from dbsync import api

    export = settings.export

    def check() -> None:
        api.check_location(export.archive, storage_options=export.storage_options)
        # A dry run meets every mistake that an export would: names, rights, conditions.
        api.export_database(**replace(export, dry_run=True).arguments())

    def run_export() -> ExportResult:
        with watching("export") as on_event:
            return api.export_database(**export.arguments(), on_event=on_event)

    return Steps(check=check, export=run_export)
