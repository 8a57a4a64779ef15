"""Which characters a column's character set has, and how many bytes text takes in it.

What lives here: the server's character sets by the names of Python's codecs. Must not know:
columns, tables.

A character that a set lacks would be stored as a question mark. Sets that Python does not know
are left to the server, which warns of such a character, so that the chunk is refused then.
"""

from __future__ import annotations

import re
from functools import cache

import numpy as np
import pyarrow as pa

from dbsync.model.values.kernels import fresh, pc

_UNICODE = frozenset({"utf8mb4", "utf16", "utf16le", "utf32", "gb18030"})
_CODECS = {
    "latin2": "iso8859_2", "latin5": "iso8859_9", "latin7": "iso8859_13", "greek": "iso8859_7",
    "hebrew": "iso8859_8", "cp1250": "cp1250", "cp1251": "cp1251", "cp1256": "cp1256",
    "cp1257": "cp1257", "cp850": "cp850", "cp852": "cp852", "cp866": "cp866", "koi8r": "koi8_r",
    "koi8u": "koi8_u", "tis620": "tis_620", "big5": "big5", "gb2312": "gb2312", "gbk": "gbk",
    "sjis": "shift_jis", "cp932": "cp932", "ujis": "euc_jp", "eucjpms": "euc_jp",
    "euckr": "euc_kr", "ascii": "ascii",
}  # fmt: skip
_WIDTHS = {"ucs2": 2, "utf16": 2, "utf16le": 2, "utf32": 4}
_LATIN1_HOLES = frozenset("\x81\x8d\x8f\x90\x9d")
"""The server's latin1 is cp1252, with control characters where cp1252 has nothing."""


def alien_characters(values: pa.Array, charset: str | None) -> pa.Array | None:
    """Mark texts with characters that `charset` lacks; None where there is none.

    None as a character set, and ``binary``, take everything.
    """
    name = (charset or "utf8mb4").lower()
    if name in _UNICODE or name == "binary":
        return None
    data = _used(values)
    if data is None or int(data.max()) < 0x80:
        return None
    lacking = {c for c in set(data.tobytes().decode("utf-8", "replace")) if not _has(name, c)}
    if not lacking:
        return None
    if name in ("utf8mb3", "utf8", "ucs2"):
        pattern = r"[\x{10000}-\x{10FFFF}]"
    else:
        pattern = f"[{''.join(re.escape(c) for c in sorted(lacking))}]"
    return pc.match_substring_regex(values, pattern)


def byte_length(values: pa.Array, charset: str | None) -> pa.Array:
    """Count the bytes that texts take in `charset`, or a little less where sets mix widths."""
    name = (charset or "utf8mb4").lower()
    if name.startswith("utf8"):
        return pc.binary_length(values)
    return pc.multiply(pc.utf8_length(values).cast(pa.int64()), _WIDTHS.get(name, 1))


@cache
def _has(name: str, character: str) -> bool:
    if name in ("utf8mb3", "utf8", "ucs2"):
        return ord(character) < 0x10000
    if name == "latin1":
        if character in _LATIN1_HOLES:
            return True
        name = "cp1252"
    codec = _CODECS.get(name, name if name == "cp1252" else None)
    if codec is None:
        return True
    try:
        character.encode(codec)
    except UnicodeEncodeError:
        return False
    return True


def _used(values: pa.Array) -> np.ndarray | None:
    """Give the bytes of all values, one after another; None where there are none."""
    data = fresh(values).buffers()[2]
    if data is None or data.size == 0:
        return None
    return np.frombuffer(data, np.uint8)
