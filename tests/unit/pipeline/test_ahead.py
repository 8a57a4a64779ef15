"""Reading ahead: the order of chunks, what is read together, bounds, and failures."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import pyarrow as pa
import pytest

from dbsync.archive import ChunkRef
from dbsync.archive.limits import Limits
from dbsync.errors import StorageError
from dbsync.model.schema import Name, Table
from dbsync.pipeline import ahead as module
from dbsync.pipeline.ahead import ahead

TABLE = Table(name=Name(None, "t"), columns=())


class Place:
    """Stands for an archive: notes what was read, and how much was read but not handed on."""

    def __init__(self, broken: int | None = None) -> None:
        self.lock = threading.Lock()
        self.together: list[list[int]] = []
        self.alone: list[int] = []
        self.read = 0
        self.broken = broken

    def chunk(self, position: int, size: int) -> ChunkRef:
        """Make a chunk of `size` bytes that are read through this place."""

        def fetch() -> pa.Buffer:
            if position == self.broken:
                raise StorageError("gone")
            with self.lock:
                self.alone.append(position)
                self.read += size
            return pa.py_buffer(bytes([position % 256]) * size)

        return ChunkRef(
            table=TABLE, table_index=0, number=position, sha256="", rows=1, size=size,
            fetch=fetch, limits=Limits(), position=position,
        )  # fmt: skip

    def load_together(self, chunks: Sequence[ChunkRef]) -> list[pa.Buffer]:
        """Read several chunks in one go."""
        with self.lock:
            self.together.append([chunk.number for chunk in chunks])
            self.read += sum(chunk.size for chunk in chunks)
        return [pa.py_buffer(bytes([chunk.number % 256]) * chunk.size) for chunk in chunks]


def run(place: Any, chunks: Sequence[ChunkRef], **options: int) -> list[int]:
    """Read everything; returns the numbers in the order of arrival."""
    numbers: list[int] = []
    with closing(ahead(place, chunks, **options)) as reading:
        for chunk in reading:
            assert chunk.held is not None
            assert chunk.load().to_pybytes() == bytes([chunk.number % 256]) * chunk.size
            numbers.append(chunk.number)
    return numbers


def test_order_and_content() -> None:
    """Chunks come in the order they were asked for, each with its own bytes, however many read."""
    place = Place()
    wanted = [position for position in range(200) if position % 7]
    assert run(place, [place.chunk(p, 1000 + p) for p in wanted]) == wanted


def test_neighbours_share_a_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks that lie one behind the other are read together up to a size; a gap divides them."""
    monkeypatch.setattr(module, "TOGETHER_BYTES", 300)
    place = Place()
    run(place, [place.chunk(p, 100) for p in (0, 1, 2, 3, 5, 6, 9)])
    assert sorted(place.together) == [[0, 1, 2], [5, 6]]
    assert sorted(place.alone) == [3, 9]


@pytest.mark.parametrize("size", [100, 100_000])
def test_no_more_is_read_than_the_window(size: int) -> None:
    """What was read and not yet taken stays below the window, or is one chunk that is larger."""
    place = Place()
    window = 1000
    taken = 0
    chunks = [place.chunk(position * 2, size) for position in range(50)]
    with closing(ahead(place, chunks, window_bytes=window)) as reading:  # type: ignore[arg-type]
        for chunk in reading:
            taken += chunk.size
            assert place.read - taken <= max(window, size)
    assert taken == 50 * size


def test_a_failure_comes_in_its_turn_and_ends_the_reading() -> None:
    """Chunks before the one that cannot be read are handed on, none after it."""
    place = Place(broken=20)
    numbers: list[int] = []
    with (
        pytest.raises(StorageError),
        closing(
            ahead(place, [place.chunk(p * 2, 10) for p in range(50)])  # type: ignore[arg-type]
        ) as reading,
    ):
        numbers.extend(chunk.number for chunk in reading)
    assert numbers == [p * 2 for p in range(10)]


def test_closing_stops() -> None:
    """Whoever stops early leaves no thread behind, and the rest unread."""
    place = Place()
    before = threading.active_count()
    chunks = [place.chunk(position * 2, 100) for position in range(1000)]
    with closing(ahead(place, chunks, window_bytes=500)) as reading:  # type: ignore[arg-type]
        next(reading)
    assert threading.active_count() == before
    assert place.read <= 1500
