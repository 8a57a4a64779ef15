"""Settings of each command: frozen, with the names of the library's arguments.

Must not know: where a `Given` came from, or what is done with the settings.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, cast
from urllib.parse import urlsplit

from dbsync.config.environment import Origin
from dbsync.config.given import (
    Given,
    archived_database,
    resolve_existing,
    resolve_on_conflict,
    resolve_url,
)
from dbsync.config.text import parse_columns, parse_names, parse_size, parse_where
from dbsync.config.url import redact, same_database
from dbsync.connectors.base import ConflictMode, ExistingMode
from dbsync.errors import UsageError
from dbsync.storage.options import ServerSideEncryption, StorageOptions

MIN_CHUNK_BYTES = 4 << 10
MAX_CHUNK_BYTES = 1 << 30
# What S3 accepts, as far as parts fit into memory.
MIN_PART_BYTES = 5 << 20
MAX_PART_BYTES = 1 << 30

Ddl = Literal["auto", "native", "portable"]


@dataclass(frozen=True, kw_only=True, repr=False)
class _Settings:
    """Settings whose fields are the arguments of one library function."""

    def arguments(self) -> dict[str, Any]:
        """Return the keyword arguments for the library function of the same name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def __repr__(self) -> str:
        return redact(f"{type(self).__name__}({self.arguments()!r})")


@dataclass(frozen=True, kw_only=True, repr=False)
class _Selected(_Settings):
    tables: tuple[str, ...]
    exclude_tables: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, repr=False)
class _Chosen(_Selected):
    columns: dict[str, tuple[str, ...]] | None
    where: dict[str, str] | None


@dataclass(frozen=True, kw_only=True, repr=False)
class _Landing(_Settings):
    include_schema: bool
    ddl: Ddl
    on_conflict: ConflictMode
    conflict_keys: dict[str, tuple[str, ...]] | None
    existing: ExistingMode
    single_transaction: bool
    verify: bool


@dataclass(frozen=True, kw_only=True, repr=False)
class ExportSettings(_Chosen):
    """Arguments of `dbsync.export_database`."""

    url: str
    archive: str
    schema: str | None
    include_schema: bool
    chunk_bytes: int
    compression_level: int
    jobs: int | None
    overwrite_archive: bool
    strict: bool
    dry_run: bool
    encrypt_to: tuple[str, ...]
    storage_options: StorageOptions

    @classmethod
    def of(cls, given: Given) -> ExportSettings:
        """Resolve what was given; raises `UsageError` for what is missing or contradicts."""
        return cls(
            **_chosen(given),
            url=resolve_url(given),
            archive=_archive(given),
            schema=given.text("schema"),
            include_schema=given.flag("include_schema"),
            chunk_bytes=_chunk_bytes(given),
            compression_level=given.number("compression_level") or 3,
            jobs=given.number("jobs"),
            overwrite_archive=given.flag("overwrite_archive"),
            strict=given.flag("strict"),
            dry_run=given.flag("dry_run"),
            encrypt_to=given.texts("encrypt_to"),
            storage_options=storage_options(given),
        )


@dataclass(frozen=True, kw_only=True, repr=False)
class ImportSettings(_Chosen, _Landing):
    """Arguments of `dbsync.import_archive`."""

    archive: str
    url: str
    schema: str | None
    strict: bool
    resume: bool
    jobs: int | None
    dry_run: bool
    identities: tuple[str, ...]
    storage_options: StorageOptions

    @classmethod
    def of(cls, given: Given) -> ImportSettings:
        """Resolve what was given; raises `UsageError` for what is missing or contradicts."""
        return cls(
            **_chosen(given),
            **_landing(given),
            archive=_archive(given),
            url=resolve_url(given),
            schema=given.text("schema"),
            strict=given.flag("strict"),
            resume=given.flag("resume"),
            jobs=given.number("jobs"),
            dry_run=given.flag("dry_run"),
            identities=identity_files(given),
            storage_options=storage_options(given),
        )


@dataclass(frozen=True, kw_only=True, repr=False)
class CloneSettings(_Chosen, _Landing):
    """Arguments of `dbsync.clone`."""

    source: str
    target: str
    schema: str | None
    strict: bool
    keep: str | None
    overwrite_archive: bool
    chunk_bytes: int
    compression_level: int | None
    jobs: int | None
    dry_run: bool
    encrypt_to: tuple[str, ...]
    storage_options: StorageOptions

    @classmethod
    def of(cls, given: Given) -> CloneSettings:
        """Resolve what was given; raises `UsageError` also where both sides are one database."""
        source = _required(given, "source", "the database to read: give --from URL")
        target = _required(given, "target", "the database to write: give --to URL")
        schema = given.text("schema")
        if schema is None and same_database(source, target):
            raise UsageError("source and target are the same database", hint="change --to")
        keep = given.text("keep")
        if keep == "-":
            raise UsageError(
                "--keep needs a place, not a pipe",
                hint="to write the archive into a pipe, use dbsync export",
            )
        if keep is None and given.origin("encrypt_to") is Origin.FLAG:
            raise UsageError(
                f"{given.label('encrypt_to')} encrypts the archive that --keep keeps",
                hint="give --keep ARCHIVE too, or leave it out",
            )
        return cls(
            **_chosen(given),
            **_landing(given),
            source=source,
            target=target,
            schema=schema,
            strict=given.flag("strict"),
            keep=keep,
            overwrite_archive=given.flag("overwrite_archive"),
            chunk_bytes=_chunk_bytes(given),
            compression_level=given.number("compression_level"),
            jobs=given.number("jobs"),
            dry_run=given.flag("dry_run"),
            encrypt_to=given.texts("encrypt_to"),
            storage_options=storage_options(given),
        )


@dataclass(frozen=True, kw_only=True, repr=False)
class InspectSettings(_Settings):
    """Arguments of `dbsync.inspect`."""

    archive: str
    database: str | None
    identities: tuple[str, ...]
    storage_options: StorageOptions

    @classmethod
    def of(cls, given: Given) -> InspectSettings:
        """Resolve what was given; raises `UsageError`."""
        return cls(
            archive=_archive(given),
            database=archived_database(given),
            identities=identity_files(given),
            storage_options=storage_options(given),
        )


@dataclass(frozen=True, kw_only=True, repr=False)
class VerifySettings(_Settings):
    """Arguments of `dbsync.verify`."""

    archive: str
    database: str | None
    against: str | None
    tables: tuple[str, ...]
    schema: str | None
    jobs: int | None
    identities: tuple[str, ...]
    storage_options: StorageOptions

    @classmethod
    def of(cls, given: Given) -> VerifySettings:
        """Resolve what was given; raises `UsageError`."""
        return cls(
            archive=_archive(given),
            database=archived_database(given),
            against=given.text("against"),
            tables=parse_names(given.texts("tables"), given.label("tables")),
            schema=given.text("schema"),
            jobs=given.number("jobs"),
            identities=identity_files(given),
            storage_options=storage_options(given),
        )


@dataclass(frozen=True, kw_only=True, repr=False)
class RehearseSettings(_Settings):
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
        return cls(
            archive=_archive(given),
            database=archived_database(given),
            url=url,
            keep=given.flag("keep"),
            attest=given.flag("attest"),
            jobs=given.number("jobs"),
            identities=identity_files(given),
            storage_options=storage_options(given),
        )


@dataclass(frozen=True, kw_only=True, repr=False)
class ExtractSettings(_Selected):
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
            **_selected(given),
            archive=_archive(given),
            database=archived_database(given),
            directory=_required(
                given, "directory", "the folder to write: name it, or set DBSYNC_DIRECTORY"
            ),
            identities=identity_files(given),
            storage_options=storage_options(given),
        )


@dataclass(frozen=True, kw_only=True, repr=False)
class KeygenSettings(_Settings):
    """Arguments of `dbsync.api.generate_key`."""

    path: str

    @classmethod
    def of(cls, given: Given) -> KeygenSettings:
        """Resolve what was given; raises `UsageError`."""
        return cls(
            path=_required(
                given, "key_file", "where the secret key goes: name a file, or set DBSYNC_KEY_FILE"
            )
        )


@dataclass(frozen=True, kw_only=True, repr=False)
class CheckSettings(_Settings):
    """Arguments of `dbsync.api.check`."""

    url: str
    schema: str | None

    @classmethod
    def of(cls, given: Given) -> CheckSettings:
        """Resolve what was given; raises `UsageError`."""
        return cls(url=resolve_url(given), schema=given.text("schema"))


def storage_options(given: Given) -> StorageOptions:
    """Gather how stores are reached; raises `UsageError` for what is malformed."""
    sse, key = given.text("s3_sse"), given.text("s3_sse_kms_key_id")
    if key is not None and sse == "AES256":
        raise UsageError(
            f"{given.label('s3_sse_kms_key_id')} names a key, which AES256 does not use",
            hint=f"leave {given.label('s3_sse')} out, or set it to aws:kms",
        )
    part = given.text("s3_part_bytes")
    label = given.label("s3_part_bytes")
    return StorageOptions(
        s3_region=given.text("s3_region"),
        s3_endpoint=_endpoint(given, "s3_endpoint"),
        s3_profile=given.text("s3_profile"),
        s3_sse=cast("ServerSideEncryption | None", sse or ("aws:kms" if key else None)),
        s3_sse_kms_key_id=key,
        s3_part_bytes=parse_size(part, label, minimum=MIN_PART_BYTES, maximum=MAX_PART_BYTES)
        if part is not None
        else None,
        drive_credentials=given.text("drive_credentials"),
        drive_endpoint=_endpoint(given, "drive_endpoint"),
    )


def _endpoint(given: Given, name: str) -> str | None:
    text = given.text(name)
    if text is None:
        return None
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise UsageError(
            f"{given.label(name)} is no URL of a server",
            hint="write https://host or http://host:port, without a user or password",
        )
    return text


def _required(given: Given, name: str, what: str) -> str:
    value = given.text(name)
    if value is None:
        subject, _, hint = what.partition(": ")
        raise UsageError(f"nothing says {subject}", hint=hint)
    return value


def _archive(given: Given) -> str:
    return _required(
        given, "archive", "which archive: name it, or set DBSYNC_ARCHIVE; - means a pipe"
    )


def _selected(given: Given) -> dict[str, Any]:
    return {
        name: parse_names(given.texts(name), given.label(name))
        for name in ("tables", "exclude_tables")
    }


def _chosen(given: Given) -> dict[str, Any]:
    return {
        **_selected(given),
        "columns": parse_columns(given.texts("columns"), given.label("columns")) or None,
        "where": parse_where(given.texts("where"), given.label("where")) or None,
    }


def _landing(given: Given) -> dict[str, Any]:
    keys = parse_columns(given.texts("conflict_key"), given.label("conflict_key"))
    return {
        "include_schema": given.flag("include_schema"),
        "ddl": given.text("ddl") or "auto",
        "on_conflict": resolve_on_conflict(given),
        "conflict_keys": keys or None,
        "existing": resolve_existing(given),
        "single_transaction": given.flag("single_transaction"),
        "verify": given.flag("verify"),
    }


def identity_files(given: Given) -> tuple[str, ...]:
    """Return the files of secret keys; raises `UsageError` for a key in their place."""
    texts = given.texts("identities")
    visible = given.origin("identities") is Origin.FLAG
    if visible and any(text.strip().upper().startswith("AGE-SECRET-KEY-") for text in texts):
        raise UsageError(
            "--identity names a file, not a secret key: others can see it in the list of processes",
            hint="write the key into a file that only you may read, or set DBSYNC_IDENTITY",
        )
    return texts


def _chunk_bytes(given: Given) -> int:
    return parse_size(
        given.text("chunk_bytes") or "32MiB",
        given.label("chunk_bytes"),
        minimum=MIN_CHUNK_BYTES,
        maximum=MAX_CHUNK_BYTES,
    )
