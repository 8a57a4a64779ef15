"""Whole imports of damaged archives: exit code 6 or equal data, and what the target may hold."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest

import dbsync
from dbsync.errors import ArchiveError
from tests.integration.rows import sqlite_rows, sqlite_script

SCRIPT = """
CREATE TABLE a (id integer PRIMARY KEY, name text);
CREATE TABLE b (x real, y blob);
INSERT INTO a VALUES (1, 'one'), (2, ''), (3, NULL);
INSERT INTO b VALUES (1.5, x'00ff'), (NULL, NULL);
"""


@pytest.fixture(scope="module")
def source(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[bytes, dict[str, list[tuple[object, ...]]]]:
    """A small archive and the rows that it holds."""
    folder = tmp_path_factory.mktemp("damage")
    sqlite_script(folder / "source.sqlite", SCRIPT)
    out = io.BytesIO()
    dbsync.export_database(f"sqlite:///{folder / 'source.sqlite'}", out)
    return out.getvalue(), sqlite_rows(folder / "source.sqlite")


def _attempt(data: bytes, folder: Path, *, stream: bool) -> tuple[bool, Path]:
    target = folder / "target.sqlite"
    for left in folder.glob("target.sqlite*"):
        left.unlink()
    archive = folder / "damaged.dbsync.tar"
    archive.write_bytes(data)
    try:
        dbsync.import_archive(
            io.BytesIO(data) if stream else str(archive),
            f"sqlite:///{target}",
            include_schema=True,
            jobs=1,
        )
    except ArchiveError:
        return False, target
    return True, target


def _check(
    data: bytes, rows: dict[str, list[tuple[object, ...]]], folder: Path, *, stream: bool
) -> None:
    whole, target = _attempt(data, folder, stream=stream)
    if whole:
        assert sqlite_rows(target) == rows
    elif not stream:
        assert not target.exists()  # everything is checked before the target is touched
    elif target.exists():
        # From a pipe, whole chunks whose digest was right may have been applied.
        found = sqlite_rows(target)
        assert all(found.get(t, []) in ([], rows[t]) for t in rows)


@pytest.mark.parametrize("stream", [False, True])
def test_cut_anywhere(
    source: tuple[bytes, dict[str, list[tuple[object, ...]]]], tmp_path: Path, stream: bool
) -> None:
    """A sample of cuts through the whole import; the archive suite cuts at every byte."""
    data, _ = source
    for size in range(0, len(data), 97):
        whole, target = _attempt(data[:size], tmp_path, stream=stream)
        assert not whole
        if not stream:
            assert not target.exists()


@pytest.mark.parametrize("stream", [False, True])
def test_flipped_bits(
    source: tuple[bytes, dict[str, list[tuple[object, ...]]]], tmp_path: Path, stream: bool
) -> None:
    """Seeded one-bit flips end in an error or in equal rows, never in other rows."""
    data, rows = source
    choose = random.Random(20260101)  # noqa: S311  # a fixed seed
    for _ in range(120):
        damaged = bytearray(data)
        damaged[choose.randrange(len(data))] ^= 1 << choose.randrange(8)
        _check(bytes(damaged), rows, tmp_path, stream=stream)
