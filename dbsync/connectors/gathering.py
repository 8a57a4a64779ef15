"""Rows and values that lie in a buffer, found and copied without an object for each.

What lives here: choosing the rows among the places that look like one, and copying scattered
values into an Arrow array. Must not know: what the bytes mean, or how the places were found.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Positions = np.ndarray[Any, np.dtype[np.int64]]
    Flags = np.ndarray[Any, np.dtype[np.bool_]]


def gather(
    buffer: bytearray, begins: Positions, ends: Positions, nulls: Flags | None
) -> pa.BinaryArray:
    """Copy the bytes from each of `begins` to each of `ends` into an array of their own."""
    import numpy as np
    import pyarrow as pa

    # Seen as one array whose offsets are begin, end, begin, end, ..., the values are every second
    # element, and the bytes between them are the others.
    count = len(begins)
    if not count:
        return pa.array([], pa.binary())
    offsets = np.empty(2 * count, np.int32)
    offsets[::2] = begins
    offsets[1::2] = ends
    every: pa.BinaryArray = pa.BinaryArray.from_buffers(
        pa.binary(), 2 * count - 1, [None, pa.py_buffer(offsets), pa.py_buffer(buffer)]
    )
    return every.take(pa.array(np.arange(0, 2 * count, 2, dtype=np.int32), mask=nulls))


def linked(starts: Positions, ends: Positions) -> Positions:
    """Choose, from the first on, those of the places that begin where the chosen one before ends.

    Returns their numbers. `starts` rises; where a place ends is known only if it is chosen.
    """
    import numpy as np

    breaks = np.flatnonzero(ends[:-1] != starts[1:])
    following = np.searchsorted(starts, ends.take(breaks)).tolist()
    where = breaks.tolist()
    keep = np.zeros(len(starts), np.bool_)
    at = next_break = 0
    while at < len(starts):
        # Up to the next break, each one begins where the one before ends.
        next_break = bisect_left(where, at, next_break)
        if next_break == len(where):
            keep[at:] = True
            break
        last = where[next_break]
        keep[at : last + 1] = True
        at = following[next_break]
        if at < len(starts) and starts[at] != ends[last]:
            break
    return np.flatnonzero(keep)
