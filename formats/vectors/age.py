"""Writes age files that are the same every time, for the vectors only.

What lives here: the format of https://age-encryption.org/v1 with recipients of type X25519, where
everything that must be random is derived from the content. So the vectors can be written again
byte by byte, and they are made by another implementation than the one that reads them. Never
encrypt anything else with this: equal content gives equal bytes.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import b64encode
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

IDENTITIES = Path(__file__).resolve().parent / "identities"
_PIECE = 64 * 1024
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GREASE = b"-> vector-grease odd words\nYWdlIHJlYWRlcnMgaWdub3JlIHRoaXM\n"


def public_key(name: str) -> bytes:
    """Read the public key of ``identities/NAME.txt``."""
    text = (IDENTITIES / f"{name}.txt").read_text()
    found = re.search(r"public key: age1(\S+)", text)
    assert found is not None
    bits = "".join(f"{_BECH32.index(c):05b}" for c in found[1][:-6])  # without the checksum
    return int(bits[: 32 * 8], 2).to_bytes(32, "big")


class FixedRecipients:
    """The same interface as `dbsync.archive.Recipients`, without chance."""

    def __init__(self, *names: str, grease: bool = False) -> None:
        self._keys = [public_key(name) for name in names]
        self._grease = grease
        self.count = len(names)

    def encrypt(self, data: bytes | memoryview) -> bytes:
        content = bytes(data)
        seed = hashlib.sha256(content).digest()
        file_key = _derive(seed, b"file key")[:16]
        header = b"age-encryption.org/v1\n"
        for number, key in enumerate(self._keys):
            header += _stanza(file_key, key, _derive(seed, b"ephemeral %d" % number))
        if self._grease:
            header += _GREASE
        header += b"---"
        mac = hmac.digest(_hkdf(file_key, b"", b"header"), header, "sha256")
        nonce = _derive(seed, b"nonce")[:16]
        payload = _payload(_hkdf(file_key, nonce, b"payload"), content)
        return header + b" " + _base64(mac) + b"\n" + nonce + payload


def _stanza(file_key: bytes, recipient: bytes, secret: bytes) -> bytes:
    ephemeral = X25519PrivateKey.from_private_bytes(secret)
    share = ephemeral.public_key().public_bytes_raw()
    shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(recipient))
    wrap = _hkdf(shared, share + recipient, b"age-encryption.org/v1/X25519")
    body = ChaCha20Poly1305(wrap).encrypt(bytes(12), file_key, None)
    return b"-> X25519 " + _base64(share) + b"\n" + _base64(body) + b"\n"


def _payload(key: bytes, content: bytes) -> bytes:
    cipher = ChaCha20Poly1305(key)
    starts = range(0, max(1, len(content)), _PIECE)
    return b"".join(
        cipher.encrypt(
            number.to_bytes(11, "big") + bytes([start == starts[-1]]),
            content[start : start + _PIECE],
            None,
        )
        for number, start in enumerate(starts)
    )


def _hkdf(key: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt, info).derive(key)


def _derive(seed: bytes, use: bytes) -> bytes:
    return hmac.digest(seed, b"dbsync vectors: " + use, "sha256")


def _base64(data: bytes) -> bytes:
    return b64encode(data).rstrip(b"=")
