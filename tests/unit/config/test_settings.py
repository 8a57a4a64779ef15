"""Which of several spellings wins, and the settings of each command."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from dbsync import api
from dbsync.config import (
    CheckSettings,
    CloneSettings,
    ExportSettings,
    ExtractSettings,
    Given,
    ImportSettings,
    InspectSettings,
    Origin,
    ToParquetSettings,
    VerifySettings,
)
from dbsync.config.backups import ListSettings, PruneSettings
from dbsync.config.given import resolve_existing, resolve_on_conflict, resolve_url
from dbsync.config.stores import storage_options
from dbsync.errors import UsageError
from dbsync.storage.options import StorageOptions

F, E, V = Origin.FLAG, Origin.ENVIRONMENT, Origin.ENV_FILE


def chosen(**options: tuple[object, Origin]) -> Given:
    values = {name: value for name, (value, _) in options.items()}
    origins = {name: origin for name, (_, origin) in options.items()}
    return Given(values, origins, {})


@pytest.mark.parametrize(
    ("options", "meaning"),
    [
        ({}, "update"),
        ({"on_conflict": ("merge", F)}, "merge"),
        ({"upsert": (True, F)}, "update"),
        ({"upsert": (False, F)}, "error"),
        ({"upsert": (False, F), "on_conflict": ("skip", E)}, "error"),
        ({"upsert": (True, V), "on_conflict": ("skip", E)}, "skip"),
        ({"upsert": (True, F), "on_conflict": ("update", F)}, "update"),
        ({"on_conflict": ("update", Origin.DEFAULT), "upsert": (False, V)}, "error"),
    ],
)
def test_on_conflict(options: dict[str, Any], meaning: str) -> None:
    """The spelling from the higher place wins; equal places must agree."""
    assert resolve_on_conflict(chosen(**options)) == meaning


@pytest.mark.parametrize(
    ("options", "meaning"),
    [
        ({}, None),
        ({"skip_existing": (True, F)}, "skip"),
        ({"overwrite": (True, F)}, "overwrite"),
        ({"overwrite": (False, F), "existing": ("skip", E)}, "skip"),
        ({"overwrite": (True, E), "existing": ("error", F)}, "error"),
        ({"overwrite": (True, F), "existing": ("overwrite", F)}, "overwrite"),
    ],
)
def test_existing(options: dict[str, Any], meaning: str | None) -> None:
    """The short forms mean what they say, and a flag beats the environment."""
    assert resolve_existing(chosen(**options)) == meaning


@pytest.mark.parametrize(
    ("resolve", "options"),
    [
        (resolve_on_conflict, {"upsert": (True, F), "on_conflict": ("skip", F)}),
        (resolve_on_conflict, {"upsert": (False, E), "on_conflict": ("merge", E)}),
        (resolve_existing, {"skip_existing": (True, F), "overwrite": (True, F)}),
        (resolve_existing, {"skip_existing": (True, F), "existing": ("append", F)}),
        (resolve_url, {"url": ("postgresql://h/d", F), "host": ("h", F)}),
        (resolve_url, {"url": ("postgresql://h/d", E), "engine": ("sqlite", E)}),
        (resolve_url, {"url": ("postgresql://u:a@h/d", F), "password": ("b", F)}),
        (resolve_url, {}),
        (resolve_url, {"password": ("b", F)}),
    ],
)
def test_contradictions(resolve: Callable[[Given], object], options: dict[str, Any]) -> None:
    """Contradictions at one place, and nothing at all, are usage errors without any secret."""
    with pytest.raises(UsageError) as caught:
        resolve(chosen(**options))
    assert ":a@" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "url"),
    [
        ({"url": ("postgresql://h/d", F), "host": ("x", E)}, "postgresql://h/d"),
        (
            {"url": ("postgresql://h/d", E), "engine": ("sqlite", F), "database": ("x", F)},
            "sqlite:///x",
        ),
        (
            {"engine": ("postgresql", E), "database": ("d", E), "host": ("h", F)},
            "postgresql://h/d",
        ),
        (
            {"url": ("postgresql://u@h/d", E), "password": ("p/w", E)},
            "postgresql://u:p%2Fw@h/d",
        ),
        (
            {"url": ("postgresql://u:a@h/d", E), "password": ("b", F)},
            "postgresql://u:b@h/d",
        ),
        (
            {"url": ("postgresql://u:a@h/d", F), "password": ("b", E)},
            "postgresql://u:a@h/d",
        ),
        ({"url": ("sqlite:///x", F), "password": ("b", E)}, "sqlite:///x"),
    ],
)
def test_url(options: dict[str, Any], url: str) -> None:
    """URL or parts: the higher place wins, and a password kept apart completes the URL."""
    assert resolve_url(chosen(**options)) == url


_URL = "postgresql://u:canary@h/d"
_SETTINGS: list[tuple[Any, Callable[..., object], dict[str, tuple[object, Origin]]]] = [
    (ExportSettings, api.export_database, {"url": (_URL, F), "archive": ("a", F)}),
    (ImportSettings, api.import_archive, {"url": (_URL, F), "archive": ("a", F)}),
    (CloneSettings, api.clone, {"source": (_URL, F), "target": ("sqlite:///x", F)}),
    (InspectSettings, api.inspect, {"archive": ("a", F)}),
    (VerifySettings, api.verify, {"archive": ("a", F), "against": (_URL, F)}),
    (ExtractSettings, api.extract, {"archive": ("a", F), "directory": ("d", F)}),
    (
        ToParquetSettings,
        api.table_to_parquet,
        {"url": (_URL, F), "table": ("t", F), "directory": ("d", F)},
    ),
    (CheckSettings, api.check, {"url": (_URL, F)}),
    (ListSettings, api.list_archives, {"archive": ("a/", F)}),
    (PruneSettings, api.prune, {"archive": ("a/", F), "keep_last": (1, F)}),
]


@pytest.mark.parametrize(("settings", "function", "options"), _SETTINGS)
def test_settings_are_the_arguments(
    settings: Any, function: Callable[..., object], options: dict[str, Any]
) -> None:
    """Each command's settings are exactly what its library function takes, and fit it."""
    arguments = settings.of(chosen(**options)).arguments()
    expected = set(inspect.signature(function).parameters) - {"on_event", "now"}
    assert set(arguments) == expected
    inspect.signature(function).bind(**arguments)


@pytest.mark.parametrize(("settings", "function", "options"), _SETTINGS)
def test_settings_hide_secrets(
    settings: Any, function: Callable[..., object], options: dict[str, Any]
) -> None:
    """The text of settings, as a trace or a log may show it, holds no password."""
    assert "canary" not in repr(settings.of(chosen(**options)))


@pytest.mark.parametrize(("settings", "function", "options"), _SETTINGS)
def test_what_is_missing(
    settings: Any, function: Callable[..., object], options: dict[str, Any]
) -> None:
    """Without a database or an archive there is a usage error with a next step."""
    with pytest.raises(UsageError) as caught:
        settings.of(chosen())
    assert caught.value.hint


def test_clone_into_itself() -> None:
    """Cloning a database into itself is refused, unless into another schema."""
    same = {"source": ("postgresql://a@h/d", F), "target": ("postgres://h:5432/d", F)}
    with pytest.raises(UsageError, match="same"):
        CloneSettings.of(chosen(**same))
    assert CloneSettings.of(chosen(**same, schema=("copy", F))).schema == "copy"


def test_a_condition_of_exports_in_a_variable() -> None:
    """An import under a variable with SQL of a database says which, where it cannot read it."""
    values = {"url": "sqlite:///a.sqlite", "archive": "a.dbsync.tar", "where": ("a::int > 1",)}
    origins = dict.fromkeys(values, F)
    given = Given(values, {**origins, "where": E}, {"where": "DBSYNC_WHERE"})
    with pytest.raises(UsageError, match="cannot be read") as caught:
        ImportSettings.of(given)
    assert (caught.value.hint or "").startswith("DBSYNC_WHERE is set")
    assert ImportSettings.of(Given(values, origins, {})).where == {"*": "a::int > 1"}


def test_clone_keeps_no_pipe() -> None:
    """--keep - is refused: the pipe belongs to export."""
    with pytest.raises(UsageError, match="--keep"):
        CloneSettings.of(
            chosen(source=("sqlite:///a", F), target=("sqlite:///b", F), keep=("-", F))
        )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"s3_endpoint": ("localhost:9000", F)}, "s3-endpoint is no URL"),
        ({"s3_endpoint": ("ftp://host", F)}, "s3-endpoint is no URL"),
        ({"s3_endpoint": ("https://user:canary@host", F)}, "s3-endpoint is no URL"),
        ({"s3_sse": ("AES256", F), "s3_sse_kms_key_id": ("canary", F)}, "AES256 does not use"),
        ({"s3_part_bytes": ("1MiB", F)}, "s3-part-bytes"),
        ({"s3_part_bytes": ("6GiB", F)}, "s3-part-bytes"),
    ],
)
def test_storage_options_are_checked(options: dict[str, tuple[object, Origin]], words: str) -> None:
    """What no store could take is refused before anything is opened, without repeating it."""
    with pytest.raises(UsageError, match=words) as caught:
        storage_options(chosen(**options))
    assert "canary" not in f"{caught.value} {caught.value.hint}"


def test_a_key_for_encryption_implies_kms() -> None:
    """Naming a key is enough to ask for encryption by that key."""
    found = storage_options(chosen(s3_sse_kms_key_id=("alias/backup", F)))
    assert (found.s3_sse, found.s3_sse_kms_key_id) == ("aws:kms", "alias/backup")
    assert storage_options(chosen()) == StorageOptions()
