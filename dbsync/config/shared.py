"""What the settings of several commands have in common: their base, and options that they share.

Must not know: which commands there are, or what is done with the settings.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

from dbsync.config.environment import Origin
from dbsync.config.given import Given, resolve_existing, resolve_on_conflict
from dbsync.config.text import parse_columns, parse_names, parse_size, parse_where
from dbsync.config.url import redact
from dbsync.connectors.base import ConflictMode, ExistingMode
from dbsync.errors import UsageError

MIN_CHUNK_BYTES = 4 << 10
MAX_CHUNK_BYTES = 1 << 30

Ddl = Literal["auto", "native", "portable"]


@dataclass(frozen=True, kw_only=True, repr=False)
class Settings:
    """Settings whose fields are the arguments of one library function."""

    def arguments(self) -> dict[str, Any]:
        """Return the keyword arguments for the library function of the same name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def __repr__(self) -> str:
        return redact(f"{type(self).__name__}({self.arguments()!r})")


@dataclass(frozen=True, kw_only=True, repr=False)
class Selected(Settings):
    """Which tables."""

    tables: tuple[str, ...]
    exclude_tables: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, repr=False)
class Chosen(Selected):
    """Which tables, columns and rows."""

    columns: dict[str, tuple[str, ...]] | None
    where: dict[str, str] | None


@dataclass(frozen=True, kw_only=True, repr=False)
class Landing(Settings):
    """How rows land; what is None is left to the target."""

    include_schema: bool | None
    ddl: Ddl
    on_conflict: ConflictMode
    conflict_keys: dict[str, tuple[str, ...]] | None
    existing: ExistingMode | None
    single_transaction: bool
    verify: bool


def required(given: Given, name: str, what: str) -> str:
    """Return a text, or raise `UsageError`; `what` is its subject and hint, with ": " between."""
    value = given.text(name)
    if value is None:
        subject, _, hint = what.partition(": ")
        raise UsageError(f"nothing says {subject}", hint=hint)
    return value


def archive_of(given: Given) -> str:
    """Return the archive's location; raises `UsageError` where there is none."""
    return required(
        given, "archive", "which archive: name it, or set DBSYNC_ARCHIVE; - means a pipe"
    )


def selected(given: Given) -> dict[str, Any]:
    """Resolve the fields of `Selected`; raises `UsageError`."""
    return {
        name: parse_names(given.texts(name), given.label(name))
        for name in ("tables", "exclude_tables")
    }


def chosen(given: Given) -> dict[str, Any]:
    """Resolve the fields of `Chosen`; raises `UsageError`."""
    return {
        **selected(given),
        "columns": parse_columns(given.texts("columns"), given.label("columns")) or None,
        "where": parse_where(given.texts("where"), given.label("where")) or None,
    }


def landing(given: Given) -> dict[str, Any]:
    """Resolve the fields of `Landing`; raises `UsageError`."""
    keys = parse_columns(given.texts("conflict_key"), given.label("conflict_key"))
    return {
        "include_schema": given.choice("include_schema"),
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


def chunk_bytes(given: Given) -> int:
    """Return the size of a chunk in memory; raises `UsageError`."""
    return parse_size(
        given.text("chunk_bytes") or "32MiB",
        given.label("chunk_bytes"),
        minimum=MIN_CHUNK_BYTES,
        maximum=MAX_CHUNK_BYTES,
    )
