"""The variables of the process and of a .env file, looked up by one rule.

What lives here: which place wins, secrets that stand in files, and the reading of .env files.
Must not know: which options exist.
"""

from __future__ import annotations

import difflib
import io
from collections.abc import Iterable, Mapping
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

from dbsync.errors import UsageError

PREFIX = "DBSYNC_"
FILE_SUFFIX = "_FILE"
DEFAULT_ENV_FILE = ".env"

TRUE = frozenset({"1", "true", "yes", "on"})
FALSE = frozenset({"0", "false", "no", "off"})


class Origin(IntEnum):
    """Where a value came from; the greater one wins."""

    DEFAULT = 0
    ENV_FILE = 1
    ENVIRONMENT = 2
    FLAG = 3


class Found(NamedTuple):
    """A value with the variable that gave it."""

    value: str
    origin: Origin
    variable: str


class Environment:
    """Variables of this process over those of the .env file; an empty one counts as not set."""

    def __init__(self, process: Mapping[str, str], file: Mapping[str, str] | None = None):
        self._levels = ((Origin.ENVIRONMENT, process), (Origin.ENV_FILE, file or {}))

    @classmethod
    def load(cls, process: Mapping[str, str], env_file: str | None = None) -> Environment:
        """Read `env_file`, or ``./.env`` if there is one, beside the variables in `process`.

        Raises `UsageError` where a named file is missing or a file cannot be read as
        ``NAME=value`` lines; messages never quote a line, because it may hold a secret.
        """
        path = Path(env_file) if env_file else Path(DEFAULT_ENV_FILE)
        # A folder called .env is usual (a virtual environment), and not meant for us.
        if env_file is None and not path.is_file():
            return cls(process)
        return cls(process, _read_env_file(path))

    def find(self, variable: str, *, secret: bool = False) -> Found | None:
        """Look up one variable; for a secret also ``<variable>_FILE``, the name of a file with it.

        A file's trailing line break does not belong to the secret. Raises `UsageError` where both
        forms are set in the same place, or the file cannot be read.
        """
        for origin, variables in self._levels:
            value = variables.get(variable) or None
            path = (variables.get(variable + FILE_SUFFIX) or None) if secret else None
            if value is not None and path is not None:
                raise UsageError(
                    f"{variable} and {variable}{FILE_SUFFIX} are both set",
                    hint="unset one of them",
                )
            if value is not None:
                return Found(value, origin, variable)
            if path is not None:
                text = _read_secret(Path(path), variable + FILE_SUFFIX)
                return Found(text, origin, variable + FILE_SUFFIX)
        return None

    def misspelt(self, known: Iterable[str]) -> list[tuple[str, str]]:
        """List variables that look like a known one but are not, each with the one meant.

        Only near misses: other programs may have variables with this prefix too.
        """
        names = set(known)
        bare = {name.removeprefix(PREFIX): name for name in names}
        found: dict[str, str] = {}
        for _, variables in self._levels:
            for name in variables:
                if not name.startswith(PREFIX) or name in names:
                    continue
                near = difflib.get_close_matches(name.removeprefix(PREFIX), bare, 1, cutoff=0.8)
                if near:
                    found[name] = bare[near[0]]
        return sorted(found.items())


def parse_boolean(text: str, label: str) -> bool:
    """Read 1/true/yes/on or 0/false/no/off, in any case; raises `UsageError` for anything else."""
    word = text.strip().lower()
    if word in TRUE:
        return True
    if word in FALSE:
        return False
    raise UsageError(f"{label}: {text!r} is neither yes nor no", hint="use 1 or 0")


def _read_env_file(path: Path) -> dict[str, str]:
    from dotenv import dotenv_values
    from dotenv.parser import parse_stream

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise UsageError(
            f"cannot read the environment file {path}: {reason}", hint="see --env-file"
        ) from error
    for binding in parse_stream(io.StringIO(text)):
        if binding.error:
            raise UsageError(
                f"{path}, line {binding.original.line}: cannot be read as NAME=value",
                hint="quote values that hold blanks or quotes",
            )
    values = dotenv_values(stream=io.StringIO(text))
    return {name: value for name, value in values.items() if value is not None}


def _read_secret(path: Path, variable: str) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise UsageError(
            f"{variable}: cannot read {path}: {reason}", hint="name a readable file"
        ) from error
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise UsageError(f"{variable}: {path} is empty", hint="write the secret into that file")
    return text
