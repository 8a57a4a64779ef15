"""What the first byte of a msgpack value says of it.

What lives here: tables by that byte, for numpy to look up. Must not know: buffers, rows.

Format: https://github.com/msgpack/msgpack/blob/master/spec.md
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    Positions = np.ndarray[Any, np.dtype[np.int64]]
    Bytes = np.ndarray[Any, np.dtype[np.uint8]]

Family = Literal["integer", "float", "text", "nested"]
"""Which values a column may have, besides nil."""

NIL = 0xC0

NEVER = 0xC1
"""The one byte that begins no value."""

BY_LENGTH, WRONG = -1, -2
"""In place of a length: bytes that follow tell it; the family has no such value."""


def _sizes(family: Family) -> Positions:
    """List the length of a value by its first byte, with it; negative where that says none."""
    sizes = np.full(256, WRONG, np.int64)
    sizes[NIL] = 1
    sizes[NEVER] = 0
    if family in ("integer", "float"):
        sizes[:0x80] = sizes[0xE0:] = 1
        sizes[0xCC:0xD0] = sizes[0xD0:0xD4] = (2, 3, 5, 9)
    if family == "float":
        sizes[0xCA], sizes[0xCB] = 5, 9
    if family == "text":
        sizes[0xA0:0xC0] = np.arange(1, 33)
        sizes[0xC4:0xC7] = sizes[0xD9:0xDC] = BY_LENGTH
    if family == "nested":
        sizes[0x80:0xC0] = sizes[0xD9:0xE0] = BY_LENGTH
    return sizes


SIZES: dict[Family, Positions] = {
    name: _sizes(name) for name in ("integer", "float", "text", "nested")
}
"""For each family, the length of a value by its first byte, or one of the two above."""

IS_NESTED = np.zeros(256, np.bool_)
"""Whether a first byte begins an array or a map."""
IS_NESTED[0x80:0xA0] = IS_NESTED[0xDC:0xE0] = True

WIDTHS = np.zeros(256, np.int64)
"""How many bytes of length follow the first byte."""
WIDTHS[0xC4:0xC7] = WIDTHS[0xD9:0xDC] = (1, 2, 4)


def kind_name(first: int) -> str:
    """Name the kind of a value by its first byte, for people."""
    names = {
        0x80: "integer",
        0x90: "map",
        0xA0: "array",
        0xC0: "text",
        0xC1: "nil",
        0xC4: "boolean",
    }
    names |= {0xC7: "bytes", 0xCA: "extension", 0xCC: "float", 0xD4: "integer", 0xD9: "extension"}
    names |= {0xDC: "text", 0xDE: "array", 0xE0: "map", 0x100: "integer"}
    return next(name for end, name in names.items() if first < end)
