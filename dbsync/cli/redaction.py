"""The last net under every output: nothing that was seen as a secret is ever printed.

What lives here: which texts count as secrets, and streams that mask them. Layers below already
keep secrets out of their messages; this catches what a driver, a trace or a warning lets slip.
Must not know: what is printed, or why.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, TextIO
from urllib.parse import quote, quote_plus

from dbsync.config import redact, secrets_of
from dbsync.config.url import MASK
from dbsync.errors import StorageError

_AGE_KEY = re.compile(r"(?i:age-secret-key-)[0-9A-Za-z-]+")
_SHORT = 4
_LONG = 8


class Redactor:
    """Masks secrets in text: those it was told of, and whatever looks like one in a URL.

    A secret shorter than four characters, or one that is also another part of its URL (such as
    ``postgres:postgres@``), cannot be searched for without garbling every text; it is masked only
    where a URL or ``password=`` shows what it is.
    """

    def __init__(self) -> None:
        self._parts: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def learn_url(self, url: str) -> None:
        """Mask the secrets of a database URL from now on."""
        shown = redact(url)
        for secret in secrets_of(url):
            if secret not in shown:
                self.learn(secret)

    def learn(self, secret: str) -> None:
        """Mask a secret from now on, in each form in which programs may write it."""
        if len(secret) < _SHORT:
            return
        for form in _forms(secret):
            self._parts.add(_as_regex(form))
        # Longest first: one form may be the beginning of another.
        self._pattern = re.compile("|".join(sorted(self._parts, key=len, reverse=True)))

    def clean(self, text: str) -> str:
        """Return `text` with every secret masked."""
        if self._pattern is not None:
            text = self._pattern.sub(MASK, text)
        if "-" in text:
            text = _AGE_KEY.sub(MASK, text)
        # Most lines hold neither of these, and a progress bar writes many of them.
        if "//" in text or "=" in text:
            text = redact(text)
        return text

    def clean_value(self, value: Any) -> Any:
        """Return a JSON value with every text in it cleaned; keys of objects stay as they are."""
        if isinstance(value, str):
            return self.clean(value).encode("utf-8", "backslashreplace").decode()
        if isinstance(value, dict):
            return {key: self.clean_value(item) for key, item in value.items()}  # pyright: ignore
        if isinstance(value, list | tuple):
            return [self.clean_value(item) for item in value]  # pyright: ignore
        return value


class RedactingStream:
    """A text stream that masks secrets in what is written; all else is the stream's own.

    A full disk behind it raises `StorageError`; a reader that went away, `BrokenPipeError`.
    """

    def __init__(self, stream: TextIO, redactor: Redactor):
        self._stream = stream
        self._redactor = redactor

    def write(self, text: str) -> int:
        """Write `text` with its secrets masked; gives the length of `text`."""
        with _translated():
            self._stream.write(self._redactor.clean(text))
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        """Write each line with its secrets masked."""
        for line in lines:
            self.write(line)

    def write_clean(self, text: str) -> None:
        """Write text in which secrets are masked already, such as JSON cleaned value by value."""
        with _translated():
            self._stream.write(text)

    def flush(self) -> None:
        """Hand everything to the operating system."""
        with _translated():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise StorageError(
            f"cannot write the output: {error.strerror}", hint="see where it is sent"
        ) from error


def _forms(secret: str) -> set[str]:
    return {
        secret,
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        repr(secret)[1:-1],
        repr(repr(secret))[2:-2],
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
    }


def _as_regex(form: str) -> str:
    if len(form) >= _LONG:
        return re.escape(form)
    # A short one could be part of an ordinary word.
    return rf"(?<!\w){re.escape(form)}(?!\w)"
