"""Which connector answers to which URL; connectors are imported only when they are opened.

Must not know: anything about an engine beyond its URLs.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import PurePath
from typing import Protocol, cast
from urllib.parse import unquote, urlsplit

from dbsync.connectors.base import Source, Target
from dbsync.connectors.options import TreasureDataOptions
from dbsync.errors import UsageError

_PACKAGES = {
    "postgresql": "dbsync.connectors.postgres",
    "postgres": "dbsync.connectors.postgres",
    "mysql": "dbsync.connectors.mysql",
    "mariadb": "dbsync.connectors.mysql",
    "sqlite": "dbsync.connectors.sqlite",
    "td": "dbsync.connectors.treasuredata",
}
_WITH_SCHEMAS = {"dbsync.connectors.postgres"}
_TREASURE_DATA = "dbsync.connectors.treasuredata"


class _Connector(Protocol):
    def open_source(self, url: str, **options: object) -> Source: ...

    def open_target(self, url: str, **options: object) -> Target: ...


def open_source(
    url: str,
    *,
    schema: str | None = None,
    jobs: int = 1,
    treasure_data: TreasureDataOptions | None = None,
) -> Source:
    """Open the database behind `url` for reading with up to `jobs` connections for rows.

    The caller closes it. `treasure_data` goes to the connector of Treasure Data alone. Raises
    `UsageError` for an unknown scheme and `SourceError` where the database cannot be reached.
    """
    connector, options = _find(url, schema, treasure_data)
    return connector.open_source(url, jobs=jobs, **options)


def open_target(
    url: str,
    *,
    schema: str | None = None,
    jobs: int = 1,
    treasure_data: TreasureDataOptions | None = None,
) -> Target:
    """Open the database behind `url` for writing; as `open_source`, but raises `TargetError`."""
    connector, options = _find(url, schema, treasure_data)
    return connector.open_target(url, jobs=jobs, **options)


def database_name(url: str) -> str | None:
    """Return the name that the database behind `url` has in archives; None where none is given.

    Nothing is opened, so it is what the URL says.
    """
    parts = urlsplit(url)
    path = PurePath(unquote(parts.path))
    is_file = parts.scheme.partition("+")[0].lower() == "sqlite"
    return (path.stem if is_file else path.name) or None


def takes_schema(url: str) -> bool:
    """Say whether the tables behind `url` live in named schemas."""
    return _package(url) in _WITH_SCHEMAS


def is_treasure_data(url: str) -> bool:
    """Say whether `url` names a database of Treasure Data."""
    return _package(url) == _TREASURE_DATA


def _package(url: str) -> str | None:
    return _PACKAGES.get(url.partition("://")[0].partition("+")[0].lower())


def _find(
    url: str, schema: str | None, treasure_data: TreasureDataOptions | None
) -> tuple[_Connector, dict[str, object]]:
    scheme, separator, _ = url.partition("://")
    package = _package(url)
    if not separator or package is None:
        known = ", ".join(f"{name}://" for name in _PACKAGES)
        shown = scheme if separator else "no scheme"
        raise UsageError(
            f"cannot tell the engine from the database URL ({shown})",
            hint=f"a URL starts with one of {known}",
        )
    options: dict[str, object] = {}
    if package == _TREASURE_DATA:
        options["treasure_data"] = treasure_data or TreasureDataOptions()
    if package in _WITH_SCHEMAS:
        options["schema"] = schema
    elif schema is not None:
        raise UsageError(
            f"--schema does not apply to {scheme}", hint="leave it out: this engine has no schemas"
        )
    return cast(_Connector, import_module(package)), options
