"""Configuration: flags > environment > .env file > default, into frozen settings.

What lives here: precedence, secrets that stand in files, a database URL from its parts, and the
text forms of options. Must not know: click, rich, or what a command does with its settings.
"""

from __future__ import annotations

from dbsync.config.archives import (
    ExtractSettings,
    InspectSettings,
    KeygenSettings,
    VerifySettings,
)
from dbsync.config.databases import (
    CheckSettings,
    CloneSettings,
    ExportSettings,
    ImportSettings,
    ToParquetSettings,
)
from dbsync.config.environment import Environment, Found, Origin
from dbsync.config.given import Given
from dbsync.config.service import HealthSettings, ScheduleSettings
from dbsync.config.url import build_url, redact, same_database, secrets_of
from dbsync.pipeline.retention import find_zone

__all__ = [
    "CheckSettings",
    "CloneSettings",
    "Environment",
    "ExportSettings",
    "ExtractSettings",
    "Found",
    "Given",
    "HealthSettings",
    "ImportSettings",
    "InspectSettings",
    "KeygenSettings",
    "Origin",
    "ScheduleSettings",
    "ToParquetSettings",
    "VerifySettings",
    "build_url",
    "find_zone",
    "redact",
    "same_database",
    "secrets_of",
]
