"""What the user chose, before it becomes settings: values, where each came from, which one wins.

What lives here: several spellings of one choice, and when they contradict one another. Must not
know: how options are parsed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import cast

from dbsync.config.environment import Origin
from dbsync.config.url import build_url, has_password, takes_password, with_password
from dbsync.connectors.base import ConflictMode, ExistingMode
from dbsync.errors import UsageError

_PARTS = ("engine", "host", "port", "username", "database")
_FILE_SUFFIXES = {".sqlite", ".sqlite3", ".db", ".db3"}


class Given:
    """Option values by name, with where each came from and how to call it in messages."""

    def __init__(
        self,
        values: Mapping[str, object],
        origins: Mapping[str, Origin],
        labels: Mapping[str, str],
    ):
        self._values = values
        self._origins = origins
        self._labels = labels

    def origin(self, name: str) -> Origin:
        """Say where the value of an option came from."""
        return self._origins.get(name, Origin.DEFAULT)

    def has(self, name: str) -> bool:
        """Say whether the user set an option, anywhere."""
        return self.origin(name) > Origin.DEFAULT and self._values.get(name) is not None

    def label(self, name: str) -> str:
        """Name an option as the user wrote it: ``--url`` or ``DBSYNC_URL``."""
        return self._labels.get(name, "--" + name.replace("_", "-"))

    def text(self, name: str) -> str | None:
        """Return a text, or None; an empty one counts as not given."""
        return cast("str | None", self._values.get(name)) or None

    def number(self, name: str) -> int | None:
        """Return a number, or None."""
        return cast("int | None", self._values.get(name))

    def flag(self, name: str) -> bool:
        """Return a yes or no."""
        return bool(self._values.get(name))

    def choice(self, name: str) -> bool | None:
        """Return a yes or no that the user gave, or None."""
        return self.flag(name) if self.has(name) else None

    def texts(self, name: str) -> tuple[str, ...]:
        """Return the values of an option that may be repeated."""
        return tuple(cast("Iterable[str]", self._values.get(name) or ()))

    def settings(self) -> Iterable[tuple[str, Origin, str]]:
        """Yield what was set: name in messages, origin and value; values may hold secrets."""
        for name, value in self._values.items():
            if self.has(name):
                yield self.label(name), self.origin(name), str(value)


def resolve_on_conflict(given: Given) -> ConflictMode:
    """Choose among --on-conflict, --upsert and --no-upsert; raises `UsageError`."""
    spellings: list[tuple[str, str]] = []
    if given.has("on_conflict"):
        spellings.append(("on_conflict", given.text("on_conflict") or "update"))
    if given.has("upsert"):
        spellings.append(("upsert", "update" if given.flag("upsert") else "error"))
    return cast(ConflictMode, _strongest(given, spellings) if spellings else "update")


def resolve_existing(given: Given) -> ExistingMode | None:
    """Choose among --existing, --skip-existing and --overwrite; None leaves it to the target.

    Raises `UsageError`.
    """
    spellings: list[tuple[str, str]] = []
    existing = given.text("existing")
    if given.has("existing") and existing is not None:
        spellings.append(("existing", existing))
    for name, meaning in (("skip_existing", "skip"), ("overwrite", "overwrite")):
        if given.flag(name):
            spellings.append((name, meaning))
    return cast("ExistingMode | None", _strongest(given, spellings) if spellings else None)


def _strongest(given: Given, spellings: list[tuple[str, str]]) -> str:
    """Choose among spellings of one choice: the highest origin wins, equals must agree."""
    top = max(given.origin(name) for name, _ in spellings)
    chosen = [(name, meaning) for name, meaning in spellings if given.origin(name) == top]
    if len({meaning for _, meaning in chosen}) > 1:
        named = " and ".join(given.label(name) for name, _ in chosen)
        raise UsageError(f"{named} contradict each other", hint="give one of them")
    return chosen[0][1]


def resolve_url(given: Given) -> str:
    """Choose between --url and its parts: the one of the higher origin, equals being an error."""
    parts = [name for name in _PARTS if given.has(name)]
    strongest = max((given.origin(name) for name in parts), default=Origin.DEFAULT)
    url = given.text("url")
    if url is None and not parts:
        raise UsageError(
            "nothing says which database",
            hint="give --url, or --engine with --database and so on, or set DBSYNC_URL",
        )
    if url is not None and parts and given.origin("url") == strongest:
        named = ", ".join(given.label(name) for name in parts)
        raise UsageError(
            f"{given.label('url')} and {named} both describe the database",
            hint="give the URL or its parts, not both",
        )
    if url is not None and given.origin("url") > strongest:
        return _add_password(given, url)
    return build_url(
        engine=given.text("engine"),
        host=given.text("host"),
        port=given.number("port"),
        username=given.text("username"),
        password=given.text("password"),
        database=given.text("database"),
    )


def _add_password(given: Given, url: str) -> str:
    """Complete a URL with a password that is kept apart, as secrets usually are."""
    password = given.text("password")
    if password is None or not takes_password(url):
        return url
    if has_password(url):
        if given.origin("password") == given.origin("url"):
            raise UsageError(
                f"{given.label('url')} has a password, and {given.label('password')} gives another",
                hint="give it once",
            )
        if given.origin("password") < given.origin("url"):
            return url
    return with_password(url, password)


def archived_database(given: Given) -> str | None:
    """Return the name that a database has in archives; for the path of an SQLite file its stem.

    A container that exports a file names it so in ``DBSYNC_DATABASE``, for all commands.
    """
    name = given.text("database")
    if name is None:
        return None
    path = PurePath(name)
    return path.stem if "/" in name or path.suffix.lower() in _FILE_SUFFIXES else name
