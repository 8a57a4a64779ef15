"""Types of Treasure Data: the text of a column's type, as a value that can be walked.

What lives here: `TdType`, its parser and its text. Must not know: logical types, SQL, rows.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

ScalarName = Literal["int", "long", "float", "double", "string"]
SCALARS: tuple[ScalarName, ...] = ("int", "long", "float", "double", "string")
_TOKEN = re.compile(r"\s*([a-z_][a-z0-9_]*|[<>,])\s*", re.IGNORECASE)
_DEEPEST = 64


class TdType(msgspec.Struct, frozen=True):
    """One type: a scalar, ``array<element>`` or ``map<key,element>``."""

    name: Literal["int", "long", "float", "double", "string", "array", "map"]
    element: TdType | None = None
    """Of an array its elements, of a map its values."""
    key: TdType | None = None

    def __str__(self) -> str:
        """Give the text by which the service knows the type, such as ``map<string,int>``."""
        match self.name:
            case "array":
                return f"array<{self.element}>"
            case "map":
                return f"map<{self.key},{self.element}>"
            case _:
                return self.name

    @property
    def nested(self) -> bool:
        """Say whether it is an array or a map."""
        return self.element is not None


def scalar(name: ScalarName) -> TdType:
    """Name a type without parts."""
    return TdType(name)


def array_of(element: TdType) -> TdType:
    """Name an array."""
    return TdType("array", element)


def map_of(key: TdType, element: TdType) -> TdType:
    """Name a map."""
    return TdType("map", element, key)


def parse_type(text: str) -> TdType:
    """Read the text of a type, in any case and with any blanks.

    Raises ValueError for what is no type of a table's column.
    """
    tokens: list[str] = []
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise ValueError(f"no type of Treasure Data: {text!r}")
        tokens.append(found.group(1).lower())
        at = found.end()
    tokens.append("")
    try:
        parsed, end = _parse(tokens, 0, 0)
    except IndexError:
        parsed, end = None, 0
    if parsed is None or tokens[end:] != [""]:
        raise ValueError(f"no type of Treasure Data: {text!r}")
    return parsed


def _parse(tokens: list[str], at: int, depth: int) -> tuple[TdType | None, int]:
    """Read one type from token `at`; None where there is none. Returns what follows it as well."""
    name = tokens[at]
    if name in SCALARS:
        return TdType(name), at + 1
    if name not in ("array", "map") or tokens[at + 1] != "<" or depth > _DEEPEST:
        return None, at
    parts: list[TdType] = []
    at += 1
    for closing in (">",) if name == "array" else (",", ">"):
        part, at = _parse(tokens, at + 1, depth + 1)
        if part is None or tokens[at] != closing:
            return None, at
        parts.append(part)
    return (array_of(*parts) if name == "array" else map_of(*parts)), at + 1
