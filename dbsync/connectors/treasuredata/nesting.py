"""Where nested msgpack values end, for many of them at once.

What lives here: going through arrays and maps of any depth in lock-step, by numpy. A map of two
pairs is a value that four more follow; where none is left to follow, the whole ends. Must not
know: rows, columns, what the values mean.

Format: https://github.com/msgpack/msgpack/blob/master/spec.md
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from dbsync.connectors.treasuredata.first_bytes import Bytes, Positions

_STEPS = 64
"""Values with more parts than this are left to another reader: their parts go one by one here."""


def _table(*entries: tuple[int, int, int]) -> np.ndarray[Any, np.dtype[np.int64]]:
    table = np.zeros(256, np.int64)
    for first, last, value in entries:
        table[first : last + 1] = value
    return table


_FIXED = _table(
    (0x00, 0xC0, 1), (0xC2, 0xC3, 1), (0xC4, 0xC6, 1), (0xC7, 0xC9, 2), (0xCA, 0xCA, 5),
    (0xCB, 0xCB, 9), (0xCC, 0xCC, 2), (0xCD, 0xCD, 3), (0xCE, 0xCE, 5), (0xCF, 0xCF, 9),
    (0xD0, 0xD0, 2), (0xD1, 0xD1, 3), (0xD2, 0xD2, 5), (0xD3, 0xD3, 9), (0xD4, 0xD4, 3),
    (0xD5, 0xD5, 4), (0xD6, 0xD6, 6), (0xD7, 0xD7, 10), (0xD8, 0xD8, 18), (0xD9, 0xDF, 1),
    (0xE0, 0xFF, 1),
)  # fmt: skip
"""Bytes of a value by its first one, without a length that follows and what it counts."""
_FIXED[0xA0:0xC0] += np.arange(32)

_PARTS = _table((0x00, 0xFF, -1))
"""Values that follow inside of a value, minus itself, by its first byte."""
_PARTS[0x80:0x90] += 2 * np.arange(16)
_PARTS[0x90:0xA0] += np.arange(16)

_LENGTH = _table(
    (0xC4, 0xC4, 1), (0xC5, 0xC5, 2), (0xC6, 0xC6, 4), (0xC7, 0xC7, 1), (0xC8, 0xC8, 2),
    (0xC9, 0xC9, 4), (0xD9, 0xD9, 1), (0xDA, 0xDA, 2), (0xDB, 0xDB, 4), (0xDC, 0xDC, 2),
    (0xDD, 0xDD, 4), (0xDE, 0xDE, 2), (0xDF, 0xDF, 4),
)  # fmt: skip
"""How many bytes of length follow the first byte."""


def ends(raw: Bytes, begins: Positions, filled: int, nowhere: int) -> Positions:
    """Return where each value ends that begins at one of `begins`.

    That is behind `filled` for a value of which not all bytes are there, and `nowhere` for what is
    no value, or has too many parts to be followed here.
    """
    found = np.full(len(begins), nowhere, np.int64)
    lanes = np.arange(len(begins))
    at = begins.copy()
    left = np.ones(len(begins), np.int64)
    for _ in range(_STEPS):
        kind = raw.take(at, mode="clip")
        size, parts = _FIXED.take(kind), _PARTS.take(kind)
        widths = _LENGTH.take(kind)
        long = np.flatnonzero(widths)
        if len(long):
            width, which = widths.take(long), kind.take(long)
            length = lengths(raw, at.take(long) + 1, width)
            has_parts = which >= 0xDC
            size[long] += width + np.where(has_parts, 0, length)
            parts[long] += np.where(has_parts, length << (which >= 0xDE), 0)
        over = np.flatnonzero(size == 0)
        at += size
        left += parts
        if len(over):
            # The bytes behind the last one begin no value.
            missing = over.compress(at.take(over) >= filled)
            found[lanes.take(missing)] = filled + 1
            left[over] = 0
        done = left <= 0
        if done.any():
            ended = np.flatnonzero(done)
            if len(over):
                ended = np.setdiff1d(ended, over, assume_unique=True)
            found[lanes.take(ended)] = at.take(ended)
            going = np.flatnonzero(~done)
            if not len(going):
                break
            lanes, at, left = lanes.take(going), at.take(going), left.take(going)
    return found


def lengths(raw: Bytes, begins: Positions, widths: Positions) -> Positions:
    """Read big-endian numbers of 1, 2 or 4 bytes each; where the width is another, 0."""
    found = np.zeros(len(begins), np.int64)
    for width in (1, 2, 4):
        those = np.flatnonzero(widths == width)
        if len(those):
            begin = begins.take(those)
            number = np.zeros(len(those), np.int64)
            for byte in range(width):
                number = (number << 8) | raw.take(begin + byte, mode="clip")
            found[those] = number
    return found
