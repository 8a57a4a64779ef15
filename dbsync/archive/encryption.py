"""Members as age files: what is written for recipients, and read with identities.

What lives here: `Recipients`, `Identities`, and `Contents`, which turns a member's stored bytes
into its content. The cipher is age's (https://age-encryption.org/v1), through pyrage, which is
loaded when the first key is read. Must not know: files of keys, tar, what is inside a member.
No message holds a secret key.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, Protocol

import pyarrow as pa

from dbsync.archive.limits import KIB
from dbsync.errors import ArchiveError, UsageError

FEATURE = "encryption-age-1"
MAX_RECIPIENTS = 64
_MAGIC = b"age-encryption.org/v1\n"
_MAX_HEADER = 16 * KIB
"""Bytes of an age header: those of `MAX_RECIPIENTS` with room for stanzas that mean nothing."""
_NONCE, _TAG, _PIECE = 16, 16, 64 * KIB
_NO_MATCH = "No matching keys found"
"""pyrage has one exception for every failure and no code; this text alone tells them apart."""
Data = bytes | bytearray | memoryview


class Encryption(Protocol):
    """What a writer needs in order to encrypt members."""

    @property
    def count(self) -> int:
        """How many recipients each member is encrypted to."""
        ...

    def encrypt(self, data: Data | pa.Buffer) -> Data:
        """Return an age file of `data`; may be called from several threads."""
        ...


class Recipients:
    """Public keys (``age1...``) that members are encrypted to.

    Raises `UsageError` for a text that is no such key, for none, and for more than
    `MAX_RECIPIENTS`. A key that is named twice counts once.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        x25519 = _pyrage().x25519
        unique = list(dict.fromkeys(key.strip().lower() for key in keys))
        if not 1 <= len(unique) <= MAX_RECIPIENTS:
            raise UsageError(
                f"{len(unique)} recipients are named; an archive has 1 to {MAX_RECIPIENTS}"
            )
        self._keys = [_parse_recipient(x25519, key) for key in unique]
        self.count = len(unique)

    def encrypt(self, data: Data | pa.Buffer) -> memoryview:
        """Return an age file of `data` for all recipients."""
        out = io.BytesIO()
        _pyrage().encrypt_io(pa.BufferReader(pa.py_buffer(data)), out, self._keys)
        return out.getbuffer()


class Identities:
    """Secret keys (``AGE-SECRET-KEY-1...``) that may open members; one that fits is enough.

    Raises `UsageError` for a text that is no such key, which the message does not repeat.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        x25519 = _pyrage().x25519 if keys else None
        self._keys = [_parse_identity(x25519, key) for key in keys]

    def __len__(self) -> int:
        return len(self._keys)

    def decrypt(self, data: Data, path: str) -> memoryview:
        """Return what is in an age file.

        Raises E_IDENTITY where it was made for none of these keys, E_DECRYPT where it does not
        open because it is not what somebody encrypted.
        """
        pyrage = _pyrage()
        out = io.BytesIO()
        try:
            pyrage.decrypt_io(pa.BufferReader(pa.py_buffer(data)), out, self._keys)
        except (pyrage.DecryptError, OSError) as error:
            if str(error) != _NO_MATCH:
                raise ArchiveError(
                    "E_DECRYPT", f"member {path!r} does not open: it was tampered with"
                ) from error
            tried = "the identity given is not" if len(self) == 1 else f"none of {len(self)} is"
            raise ArchiveError(
                "E_IDENTITY", f"the archive is encrypted to other keys: {tried} one of them"
            ) from error
        return out.getbuffer()


class Contents:
    """What stands behind the stored bytes of members: here, the same bytes."""

    encrypted = False

    def stored_limit(self, limit: int) -> int:
        """Say how many stored bytes `limit` bytes of content may take."""
        return limit

    def open(self, data: Data | pa.Buffer, path: str, limit: int) -> Data:  # noqa: ARG002
        """Return the content of the member `path`, whose digest has been checked.

        Raises E_LIMIT for more than `limit` bytes, before memory is spent on them.
        """
        return data if isinstance(data, bytes | bytearray) else memoryview(data).cast("B")


class EncryptedContents(Contents):
    """Members that are age files for `recipients` recipients; the first one opened tells whether
    the identities are the right ones."""

    encrypted = True

    def __init__(self, identities: Identities | None, recipients: int) -> None:
        self._recipients = recipients
        self._proven = False
        if not identities:
            raise ArchiveError(
                "E_ENCRYPTED", f"the archive is encrypted to {_keys(recipients)}; no identity given"
            )
        self._identities = identities

    def stored_limit(self, limit: int) -> int:
        """Allow for the header, the nonce and a tag for each piece."""
        return limit + _MAX_HEADER + _NONCE + _TAG * (limit // _PIECE + 1)

    def open(self, data: Data | pa.Buffer, path: str, limit: int) -> Data:
        """Decrypt a member; raises E_IDENTITY, E_DECRYPT, E_SCHEMA_MISMATCH or E_LIMIT."""
        view = memoryview(data).cast("B")
        header, recipients = _measure_header(view, path)
        sealed = len(view) - header - _NONCE
        size = sealed - _TAG * -(-sealed // (_PIECE + _TAG))
        if size > limit:
            raise ArchiveError(
                "E_LIMIT", f"member {path!r} holds {size} bytes; {limit} are allowed"
            )
        if recipients != self._recipients:
            raise ArchiveError(
                "E_SCHEMA_MISMATCH",
                f"member {path!r} is encrypted to {_keys(recipients)}; the head says "
                f"{self._recipients}",
            )
        try:
            content = self._identities.decrypt(view, path)
        except ArchiveError as error:
            if error.code == "E_IDENTITY" and self._proven:
                raise ArchiveError(
                    "E_DECRYPT", f"member {path!r} is encrypted to other recipients than the rest"
                ) from error
            raise
        self._proven = True
        return content


PLAIN = Contents()


def generate_identity() -> tuple[str, str]:
    """Make a new key pair; returns the secret key and the public one."""
    identity = _pyrage().x25519.Identity.generate()
    return str(identity), str(identity.to_public())


def _measure_header(view: memoryview, path: str) -> tuple[int, int]:
    """Give the length of an age header and how many X25519 recipients it names.

    Looked at before pyrage does, whose memory and time would follow the length of the header.
    """
    start = bytes(view[:_MAX_HEADER])
    mac = start.find(b"\n--- ")
    end = start.find(b"\n", mac + 1)
    if not start.startswith(_MAGIC) or mac < 0 or end < 0:
        raise ArchiveError("E_DECRYPT", f"member {path!r} is no age file")
    return end + 1, start.count(b"\n-> X25519 ", 0, mac)


def _parse_recipient(x25519: Any, key: str) -> object:
    try:
        return x25519.Recipient.from_str(key)
    except _pyrage().RecipientError as error:
        # Whoever gives a secret key here must not find it in a log.
        shown = f"{key[:100]!r}" if key.startswith("age1") else "a text"
        raise UsageError(
            f"{shown} is no age recipient: {error}", hint="a public key looks like age1..."
        ) from error


def _parse_identity(x25519: Any, key: str) -> object:
    try:
        return x25519.Identity.from_str(key.strip())
    except _pyrage().IdentityError as error:
        raise UsageError(
            f"an identity is no age key: {error}",
            hint="a secret key is one line AGE-SECRET-KEY-1...",
        ) from error


def _keys(count: int) -> str:
    return "1 recipient" if count == 1 else f"{count} recipients"


def _pyrage() -> Any:
    try:
        import pyrage
    except ImportError as error:
        raise UsageError(
            "encryption needs the package pyrage, which is not installed",
            hint="install it: python3 -m pip install 'dbsync[encryption]'",
        ) from error
    return pyrage
