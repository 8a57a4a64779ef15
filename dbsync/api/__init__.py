"""The library: what every command calls, with the same names and defaults.

Each function opens what it needs, does one job and closes everything again. All raise the errors
of `dbsync.errors`; `on_event` receives the events of `dbsync.pipeline.events`, from worker
threads, one at a time. Nothing here prints or reads the environment.

URLs are those of the command line (``postgresql://``, ``sqlite:///path``). An archive is a path,
``s3://bucket/key``, ``gdrive://folder-id/name``, ``-`` for standard input or output, a folder
ending in ``/``, or a binary file object; `storage_options` says how to reach S3 and Drive.
"""

from __future__ import annotations

from dbsync.api.access import authorize_drive, check, generate_key, readable_by_others
from dbsync.api.archives import extract, inspect, rehearse, verify
from dbsync.api.cloning import clone
from dbsync.api.exporting import export_database, table_to_parquet
from dbsync.api.folders import check_location, list_archives, prune
from dbsync.api.importing import import_archive
from dbsync.pipeline.events import OnEvent
from dbsync.pipeline.results import ExportResult
from dbsync.pipeline.retention import RetentionPolicy

__all__ = [
    "ExportResult",
    "OnEvent",
    "RetentionPolicy",
    "authorize_drive",
    "check",
    "check_location",
    "clone",
    "export_database",
    "extract",
    "generate_key",
    "import_archive",
    "inspect",
    "list_archives",
    "prune",
    "readable_by_others",
    "rehearse",
    "table_to_parquet",
    "verify",
]
