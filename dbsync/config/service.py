"""Settings of `dbsync schedule` and `dbsync health`.

Must not know: where a `Given` came from, or what is done with the settings.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from dbsync.config.backups import retention_policy
from dbsync.config.databases import ExportSettings
from dbsync.config.given import Given, archived_database
from dbsync.config.shared import identity_files
from dbsync.config.stores import storage_options
from dbsync.config.text import parse_duration
from dbsync.config.treasure_data import with_key
from dbsync.config.url import redact
from dbsync.errors import UsageError
from dbsync.pipeline.retention import RetentionPolicy
from dbsync.storage.options import StorageOptions

DEFAULT_RETRIES = 3
DEFAULT_RETRY_PAUSE = "1m"
DEFAULT_MAX_AGE = "26h"
"""A run each night, and two hours for it to be late."""


@dataclass(frozen=True, kw_only=True, repr=False)
class ScheduleSettings:
    """What runs, when, and who is told."""

    export: ExportSettings
    policy: RetentionPolicy | None
    """None where nothing is to be deleted."""
    identities: tuple[str, ...]
    """For the rehearsal of encrypted archives."""
    cron: str | None
    timezone: str
    once: bool
    jitter: timedelta
    retries: int
    retry_pause: timedelta
    rehearse_every: int
    rehearse_cron: str | None
    rehearse_url: str | None
    state: Path | None
    metrics: Path | None
    webhook: str | None

    @classmethod
    def of(cls, given: Given) -> ScheduleSettings:
        """Resolve what was given; raises `UsageError` for what is missing or contradicts."""
        export = ExportSettings.of(given)
        if not export.archive.endswith("/"):
            raise UsageError(
                f"{given.label('archive')}: runs need a folder, in which each makes an archive",
                hint="end the location with /",
            )
        once, cron = given.flag("once"), given.text("cron")
        if not once and cron is None:
            raise UsageError(
                "nothing says when to run",
                hint="give --cron (DBSYNC_CRON) such as '0 2 * * *', or --once",
            )
        every, rehearse_cron = given.number("rehearse_every"), given.text("rehearse_cron")
        if every and rehearse_cron:
            raise UsageError(
                f"{given.label('rehearse_every')} and {given.label('rehearse_cron')} "
                "both say when to rehearse",
                hint="give one of them",
            )
        if (every or rehearse_cron) and export.encrypt_to and not given.texts("identities"):
            raise UsageError(
                "the archives are encrypted, and a rehearsal has to open them",
                hint="give --identity (DBSYNC_IDENTITY_FILE), or rehearse elsewhere",
            )
        rehearse_url = given.text("rehearse_url")
        if rehearse_url is not None:
            rehearse_url = with_key(given, rehearse_url, "rehearse_url")
        retries = given.number("retries")
        if retries is None:
            retries = 0 if once else DEFAULT_RETRIES
        return cls(
            export=export,
            policy=retention_policy(given),
            identities=identity_files(given),
            cron=cron,
            timezone=given.text("timezone") or "UTC",
            once=once,
            jitter=_span(given, "jitter", "0s"),
            retries=retries,
            retry_pause=_span(given, "retry_pause", DEFAULT_RETRY_PAUSE, timedelta(seconds=1)),
            rehearse_every=every or 0,
            rehearse_cron=rehearse_cron,
            rehearse_url=rehearse_url,
            state=_path(given, "state"),
            metrics=_path(given, "metrics"),
            webhook=given.text("webhook"),
        )

    @property
    def rehearses(self) -> bool:
        """Say whether any run rehearses."""
        return bool(self.rehearse_every or self.rehearse_cron)

    def __repr__(self) -> str:
        return redact(f"ScheduleSettings({self.export.archive!r}, cron={self.cron!r})")


@dataclass(frozen=True, kw_only=True)
class HealthSettings:
    """Where to look, and what is too old."""

    state: Path | None
    archive: str | None
    """Set where `state` is not."""
    database: str | None
    """Of a folder: only its archives count."""
    max_age: timedelta
    rehearsed: bool
    storage_options: StorageOptions

    @classmethod
    def of(cls, given: Given) -> HealthSettings:
        """Resolve what was given: of the two places the stronger, of equals the state file."""
        state, archive = _path(given, "state"), given.text("archive")
        if state is not None and archive is not None:
            if given.origin("archive") > given.origin("state"):
                state = None
            else:
                archive = None
        if state is None and archive is None:
            raise UsageError(
                "nothing says where to look",
                hint="give --state FILE of dbsync schedule, or a location that ends in /",
            )
        if archive is not None and not archive.endswith("/"):
            raise UsageError(
                f"{given.label('archive')}: the newest archive of a folder is looked for",
                hint="end the location with /",
            )
        return cls(
            state=state,
            archive=archive,
            database=archived_database(given),
            max_age=_span(given, "max_age", DEFAULT_MAX_AGE, timedelta(seconds=1)),
            rehearsed=given.flag("rehearsed"),
            storage_options=storage_options(given),
        )


def _span(given: Given, name: str, default: str, minimum: timedelta = timedelta(0)) -> timedelta:
    return parse_duration(given.text(name) or default, given.label(name), minimum=minimum)


def _path(given: Given, name: str) -> Path | None:
    text = given.text(name)
    return Path(text) if text is not None else None
