"""The parts of a bulk import as a ledger: which chunks of the archive a session already has.

What lives here: the names of parts and what they say. Must not know: calls, bytes of rows.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

import msgspec

_NAME = re.compile(r"([0-9]{8})-([0-9]{4})-([0-9]{4})-([0-9]+)-[0-9a-f]{16}")


class ChunkPart(msgspec.Struct, frozen=True):
    """One of the parts into which a chunk was cut, with how many rows it has."""

    chunk: int
    number: int
    of: int
    rows: int


def part_name(part: ChunkPart, digest: str) -> str:
    """Name a part; `digest` is that of the chunk. Parts may have one dot in it, and no slash."""
    place = f"{part.chunk:08d}-{part.number:04d}-{part.of:04d}-{part.rows}"
    return f"{place}-{digest[:16]}"


class Ledger(msgspec.Struct, frozen=True):
    """What a session has: rows by part of the chunks that are whole, and the parts of others."""

    rows: dict[str, int]
    chunks: frozenset[int]
    stray: tuple[str, ...]


def read_ledger(names: Iterable[str]) -> Ledger:
    """Sort the parts of a session.

    A chunk counts where all its parts are there; parts of others were uploaded before something
    ended the run that sent them.
    """
    found: dict[int, dict[str, ChunkPart]] = defaultdict(dict)
    stray: list[str] = []
    for name in names:
        match = _NAME.fullmatch(name)
        if match is None:
            stray.append(name)
        else:
            part = ChunkPart(*(int(text) for text in match.groups()))
            found[part.chunk][name] = part
    rows: dict[str, int] = {}
    chunks: set[int] = set()
    for chunk, parts in found.items():
        wanted = {part.of for part in parts.values()}
        numbers = sorted(part.number for part in parts.values())
        if len(wanted) == 1 and numbers == list(range(1, wanted.pop() + 1)):
            chunks.add(chunk)
            rows |= {name: part.rows for name, part in parts.items()}
        else:
            stray += parts
    return Ledger(rows, frozenset(chunks), tuple(stray))
