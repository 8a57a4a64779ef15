"""Settings of the commands that work on a database, with the names of the library's arguments.

Must not know: where a `Given` came from, or what is done with the settings.
"""

from __future__ import annotations

from dataclasses import dataclass

from dbsync.config.environment import Origin
from dbsync.config.given import Given, resolve_url
from dbsync.config.shared import (
    Chosen,
    Landing,
    Settings,
    archive_of,
    chosen,
    chunk_bytes,
    identity_files,
    landing,
    required,
)
from dbsync.config.stores import storage_options
from dbsync.config.text import parse_columns, parse_names, parse_where
from dbsync.config.treasure_data import treasure_data_options, with_key
from dbsync.config.url import same_database
from dbsync.connectors.options import TreasureDataOptions
from dbsync.errors import UsageError
from dbsync.storage.options import StorageOptions


@dataclass(frozen=True, kw_only=True, repr=False)
class ExportSettings(Chosen):
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
    treasure_data: TreasureDataOptions | None

    @classmethod
    def of(cls, given: Given) -> ExportSettings:
        """Resolve what was given; raises `UsageError` for what is missing or contradicts."""
        url = with_key(given, resolve_url(given))
        return cls(
            **chosen(given),
            url=url,
            archive=archive_of(given),
            schema=given.text("schema"),
            include_schema=given.flag("include_schema"),
            chunk_bytes=chunk_bytes(given),
            compression_level=given.number("compression_level") or 3,
            jobs=given.number("jobs"),
            overwrite_archive=given.flag("overwrite_archive"),
            strict=given.flag("strict"),
            dry_run=given.flag("dry_run"),
            encrypt_to=given.texts("encrypt_to"),
            storage_options=storage_options(given),
            treasure_data=treasure_data_options(given, source=url),
        )


@dataclass(frozen=True, kw_only=True, repr=False)
class ImportSettings(Chosen, Landing):
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
    treasure_data: TreasureDataOptions | None

    @classmethod
    def of(cls, given: Given) -> ImportSettings:
        """Resolve what was given; raises `UsageError` for what is missing or contradicts."""
        url = with_key(given, resolve_url(given))
        rows = chosen(given)
        _refuse_unreadable(given, rows["where"] or {})
        return cls(
            **rows,
            **landing(given),
            archive=archive_of(given),
            url=url,
            schema=given.text("schema"),
            strict=given.flag("strict"),
            resume=given.flag("resume"),
            jobs=given.number("jobs"),
            dry_run=given.flag("dry_run"),
            identities=identity_files(given),
            storage_options=storage_options(given),
            treasure_data=treasure_data_options(given, target=url),
        )


@dataclass(frozen=True, kw_only=True, repr=False)
class CloneSettings(Chosen, Landing):
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
    treasure_data: TreasureDataOptions | None

    @classmethod
    def of(cls, given: Given) -> CloneSettings:
        """Resolve what was given; raises `UsageError` also where both sides are one database."""
        source = required(given, "source", "the database to read: give --from URL")
        target = required(given, "target", "the database to write: give --to URL")
        source = with_key(given, source, "source")
        target = with_key(given, target, "target")
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
            **chosen(given),
            **landing(given),
            source=source,
            target=target,
            schema=schema,
            strict=given.flag("strict"),
            keep=keep,
            overwrite_archive=given.flag("overwrite_archive"),
            chunk_bytes=chunk_bytes(given),
            compression_level=given.number("compression_level"),
            jobs=given.number("jobs"),
            dry_run=given.flag("dry_run"),
            encrypt_to=given.texts("encrypt_to"),
            storage_options=storage_options(given),
            treasure_data=treasure_data_options(given, source=source, target=target),
        )


@dataclass(frozen=True, kw_only=True, repr=False)
class CheckSettings(Settings):
    """Arguments of `dbsync.api.check`."""

    url: str
    schema: str | None
    treasure_data: TreasureDataOptions | None

    @classmethod
    def of(cls, given: Given) -> CheckSettings:
        """Resolve what was given; raises `UsageError`."""
        url = with_key(given, resolve_url(given))
        return cls(
            url=url,
            schema=given.text("schema"),
            treasure_data=treasure_data_options(given, source=url),
        )


@dataclass(frozen=True, kw_only=True, repr=False)
class ToParquetSettings(Settings):
    """Arguments of `dbsync.table_to_parquet`."""

    url: str
    table: str
    directory: str
    columns: dict[str, tuple[str, ...]] | tuple[str, ...] | None
    where: dict[str, str] | None
    schema: str | None
    chunk_bytes: int
    compression_level: int
    jobs: int | None
    overwrite: bool
    treasure_data: TreasureDataOptions | None

    @classmethod
    def of(cls, given: Given) -> ToParquetSettings:
        """Resolve what was given; raises `UsageError` for what is missing or contradicts."""
        url = with_key(given, resolve_url(given))
        texts, label = given.texts("columns"), given.label("columns")
        with_table = any(":" in text for text in texts)
        parse = parse_columns if with_table else parse_names
        return cls(
            url=url,
            table=required(given, "table", "which table: name it, or set DBSYNC_TABLE"),
            directory=required(
                given, "directory", "the folder to write: name it, or set DBSYNC_DIRECTORY"
            ),
            columns=parse(texts, label) or None,
            where=parse_where(given.texts("where"), given.label("where")) or None,
            schema=given.text("schema"),
            chunk_bytes=chunk_bytes(given),
            compression_level=given.number("compression_level") or 3,
            jobs=given.number("jobs"),
            overwrite=given.flag("overwrite"),
            treasure_data=treasure_data_options(given, source=url),
        )


def _refuse_unreadable(given: Given, where: dict[str, str]) -> None:
    """Raise `UsageError` for a condition of a variable that an archive cannot be asked.

    A container that exports with one, in the database's SQL, would otherwise not know why its
    import fails.
    """
    from dbsync.pipeline.conditions.syntax import parse

    if given.origin("where") == Origin.FLAG:
        return
    for condition in where.values():
        try:
            parse(condition)
        except UsageError as error:
            raise UsageError(
                error.message,
                hint=f"{given.label('where')} is set, in the SQL of a database: imports understand "
                "less, so unset it for this one",
            ) from error
