"""Settings of the commands that read an archive, with the names of the library's arguments.

Must not know: where a `Given` came from, or what is done with the settings.
"""

from __future__ import annotations

from dataclasses import dataclass

from dbsync.config.given import Given, archived_database
from dbsync.config.shared import (
    Selected,
    Settings,
    archive_of,
    identity_files,
    required,
    selected,
)
from dbsync.config.stores import storage_options
from dbsync.config.text import parse_names
from dbsync.config.treasure_data import treasure_data_options, with_key
from dbsync.connectors.options import TreasureDataOptions
from dbsync.errors import UsageError
from dbsync.storage.options import StorageOptions


@dataclass(frozen=True, kw_only=True, repr=False)
class InspectSettings(Settings):
    """Arguments of `dbsync.inspect`."""

    archive: str
    database: str | None
    identities: tuple[str, ...]
    storage_options: StorageOptions

    @classmethod
    def of(cls, given: Given) -> InspectSettings:
        """Resolve what was given; raises `UsageError`."""
        return cls(
            archive=archive_of(given),
            database=archived_database(given),
            identities=identity_files(given),
            storage_options=storage_options(given),
        )


@dataclass(frozen=True, kw_only=True, repr=False)
class VerifySettings(Settings):
    """Arguments of `dbsync.verify`."""

    archive: str
    database: str | None
    against: str | None
    tables: tuple[str, ...]
    schema: str | None
    jobs: int | None
    identities: tuple[str, ...]
    storage_options: StorageOptions
    treasure_data: TreasureDataOptions | None

    @classmethod
    def of(cls, given: Given) -> VerifySettings:
        """Resolve what was given; raises `UsageError`."""
        against = given.text("against")
        if against is not None:
            against = with_key(given, against, "against")
        return cls(
            archive=archive_of(given),
            database=archived_database(given),
            against=against,
            tables=parse_names(given.texts("tables"), given.label("tables")),
            schema=given.text("schema"),
            jobs=given.number("jobs"),
            identities=identity_files(given),
            storage_options=storage_options(given),
            treasure_data=treasure_data_options(given, source=against),
        )


@dataclass(frozen=True, kw_only=True, repr=False)
class RehearseSettings(Settings):
    """Arguments of `dbsync.rehearse`."""

    archive: str
    database: str | None
    url: str | None
    keep: bool
    attest: bool
    jobs: int | None
    identities: tuple[str, ...]
    storage_options: StorageOptions

    @classmethod
    def of(cls, given: Given) -> RehearseSettings:
        """Resolve what was given; raises `UsageError` also for keeping a temporary file."""
        url = given.text("url")
        if given.flag("keep") and url is None:
            raise UsageError(
                f"{given.label('keep')} needs a database: a temporary file is not kept",
                hint="name an empty database with --url",
            )
        if url is not None:
            url = with_key(given, url)
        return cls(
            archive=archive_of(given),
            database=archived_database(given),
            url=url,
            keep=given.flag("keep"),
            attest=given.flag("attest"),
            jobs=given.number("jobs"),
            identities=identity_files(given),
            storage_options=storage_options(given),
        )


@dataclass(frozen=True, kw_only=True, repr=False)
class ExtractSettings(Selected):
    """Arguments of `dbsync.api.extract`."""

    archive: str
    database: str | None
    directory: str
    identities: tuple[str, ...]
    storage_options: StorageOptions

    @classmethod
    def of(cls, given: Given) -> ExtractSettings:
        """Resolve what was given; raises `UsageError`."""
        return cls(
            **selected(given),
            archive=archive_of(given),
            database=archived_database(given),
            directory=required(
                given, "directory", "the folder to write: name it, or set DBSYNC_DIRECTORY"
            ),
            identities=identity_files(given),
            storage_options=storage_options(given),
        )


@dataclass(frozen=True, kw_only=True, repr=False)
class KeygenSettings(Settings):
    """Arguments of `dbsync.api.generate_key`."""

    path: str

    @classmethod
    def of(cls, given: Given) -> KeygenSettings:
        """Resolve what was given; raises `UsageError`."""
        return cls(
            path=required(
                given, "key_file", "where the secret key goes: name a file, or set DBSYNC_KEY_FILE"
            )
        )
