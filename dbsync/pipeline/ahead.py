"""Reading chunks before they are needed, several at a time and in bounded memory.

What lives here: which chunks are read together, how far ahead, and in which order they are handed
on. Must not know: what becomes of the rows, where an archive is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pyarrow as pa

from dbsync.archive import Archive, ChunkRef

AHEAD_BYTES = 32 << 20
"""Stored bytes that are read before someone asks for them. A single larger chunk is read when its
turn comes."""
TOGETHER_BYTES = 4 << 20
"""Small chunks that lie one behind the other share a request of up to this size: what a request
costs in time, a fast network moves in bytes."""
_FETCHERS = 4

_Group = tuple[Sequence[ChunkRef], int]


def ahead(
    archive: Archive,
    chunks: Iterable[ChunkRef],
    *,
    fetchers: int = _FETCHERS,
    window_bytes: int = AHEAD_BYTES,
) -> Generator[ChunkRef]:
    """Yield `chunks` of an archive in their order, each with its bytes in memory.

    Close the generator (`contextlib.closing`) to stop reading. Raises what reading a chunk
    raises when its turn comes; nothing is yielded after that.
    """
    groups = _groups(chunks)
    waiting: deque[tuple[Future[list[ChunkRef]], int]] = deque()
    held = 0
    with ThreadPoolExecutor(fetchers, thread_name_prefix="dbsync-read") as pool:
        try:
            following = next(groups, None)
            while waiting or following is not None:
                while following is not None and (
                    not waiting or held + following[1] <= window_bytes
                ):
                    waiting.append((pool.submit(_fetch, archive, following[0]), following[1]))
                    held += following[1]
                    following = next(groups, None)
                future, size = waiting.popleft()
                found = future.result()
                del future  # the result must not outlive the work on it
                held -= size
                found.reverse()
                while found:
                    yield found.pop()
        except BaseException:
            for future, _ in waiting:
                future.cancel()
            raise


def _groups(chunks: Iterable[ChunkRef]) -> Iterator[_Group]:
    """Put small neighbours together."""
    group: list[ChunkRef] = []
    size = 0
    for chunk in chunks:
        if group and not (_adjacent(group[-1], chunk) and size + chunk.size <= TOGETHER_BYTES):
            yield group, size
            group, size = [], 0
        group.append(chunk)
        size += chunk.size
    if group:
        yield group, size


def _adjacent(one: ChunkRef, other: ChunkRef) -> bool:
    if one.position is None or other.position != one.position + 1:
        return False
    return all(chunk.only is None and chunk.held is None for chunk in (one, other))


def _fetch(archive: Archive, group: Sequence[ChunkRef]) -> list[ChunkRef]:
    if len(group) == 1:
        return [group[0].fetched()]
    data: list[pa.Buffer] = archive.load_together(group)
    return [chunk.fetched(part) for chunk, part in zip(group, data, strict=True)]
