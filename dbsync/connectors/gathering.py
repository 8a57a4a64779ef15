"""Values that lie scattered in a buffer, copied into an Arrow array without an object for each.

Must not know: what the bytes mean, or how the values were found.
"""

from __future__ import annotations

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
