"""Keys of encrypted archives: which texts and files they are read from, and making a new pair.

What lives here: files of recipients and of identities, as the program age writes them. Must not
know: how members are encrypted. A secret key stands in no message and in no result.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from dbsync.archive import Identities, Recipients, generate_identity
from dbsync.errors import ConflictError, StorageError, UsageError

_SECRET = "AGE-SECRET-KEY-"  # noqa: S105  # how one begins
_MAX_FILE = 1 << 20
_FORMS = {
    "age-encryption.org/": "is protected by a passphrase, which dbsync cannot ask for",
    "-----BEGIN AGE": "is protected by a passphrase, which dbsync cannot ask for",
    "-----BEGIN": "is an SSH key; only age's own keys are supported",
}


def read_recipients(texts: Sequence[str]) -> Recipients | None:
    """Read public keys: each text is one, or ``@FILE`` with one a line; None for no text.

    Raises `UsageError` for a file that cannot be read and for a text that is no public key.
    """
    keys = [key for text in texts for key in _recipients(text)]
    if not keys and texts:
        raise UsageError(
            f"no recipient stands in {', '.join(texts)}", hint="write public keys, one a line"
        )
    return Recipients(keys) if keys else None


def read_identities(texts: Sequence[str]) -> Identities | None:
    """Read secret keys: each text is the path of an identity file, or a key; None for no text.

    Lines of an identity file that begin with ``#`` are comments, here as well. Raises
    `UsageError`, which never repeats what stands in a file.
    """
    keys = [key for text in texts for key in _identities(text)]
    if not keys and texts:
        raise UsageError(
            "the identities that were given hold no secret key",
            hint="name a file as `dbsync keygen` or `age-keygen` writes it",
        )
    return Identities(keys) if keys else None


def readable_by_others(path: str) -> bool:
    """Say whether others than its owner may read a file; False where that cannot be told."""
    try:
        mode = Path(path).stat().st_mode
    except OSError:
        return False
    return os.name == "posix" and stat.S_ISREG(mode) and bool(mode & 0o077)


def write_identity(path: str) -> str:
    """Make a key pair, write the secret key to a new file that only its owner may read.

    Returns the public key. Raises `ConflictError` where the file exists, `StorageError` where it
    cannot be written.
    """
    secret, public = generate_identity()
    text = f"# public key: {public}\n{secret}\n"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError as error:
        raise ConflictError(
            f"{path} exists; a key is never replaced", hint="choose another name"
        ) from error
    except OSError as error:
        raise StorageError(
            f"cannot write {path}: {error.strerror}", hint="choose a folder that can be written"
        ) from error
    return public


def _recipients(text: str) -> Iterator[str]:
    text = text.strip()
    if text.startswith("@"):
        yield from _lines(_read(text[1:], "the file of recipients"))
    elif text and not text.startswith("#"):
        yield text


def _identities(text: str) -> Iterator[str]:
    text = text.strip()
    if text.upper().startswith(_SECRET):
        yield text
        return
    if not text or text.startswith("#"):
        return
    content = _read(text, "the identity file")
    for start, reason in _FORMS.items():
        if content.startswith(start):
            raise UsageError(
                f"the identity file {text} {reason}",
                hint="name a file with a plain age secret key",
            )
    found = list(_lines(content))
    if not found:
        raise UsageError(
            f"the identity file {text} holds no secret key",
            hint="name a file as `dbsync keygen` or `age-keygen` writes it",
        )
    yield from found


def _lines(content: str) -> Iterator[str]:
    for line in content.splitlines():
        if line.strip() and not line.startswith("#"):
            yield line.strip()


def _read(path: str, what: str) -> str:
    try:
        with Path(path).open("rb") as file:
            data = file.read(_MAX_FILE + 1)
    except OSError as error:
        raise UsageError(
            f"cannot read {what} {path}: {error.strerror}", hint="name a readable file"
        ) from error
    if len(data) > _MAX_FILE:
        raise UsageError(f"{what} {path} is too large to hold keys")
    return data.decode("utf-8", "replace")
