"""Arrow's compute kernels, and the two small things that it lacks.

What lives here: array operations that know nothing about columns or types of dbsync.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pyarrow as pa

# The kernels are generated when the module is imported, so a type checker sees none of them.
pc: Any = import_module("pyarrow.compute")


def fresh(values: pa.Array) -> pa.Array:
    """Return the same values in an array whose buffers start at its first value."""
    return pa.concat_arrays([values.slice(0, 0), values])


def scatter(values: pa.Array, rows: pa.Array, length: int) -> pa.Array:
    """Place ``values[i]`` at position ``rows[i]`` of a new array; NULL elsewhere."""
    if length == 0 or len(rows) == 0:
        return pa.nulls(length, values.type)
    return values.take(pc.inverse_permutation(rows.cast(pa.int64()), max_index=length - 1))


def matches(text: pa.Array, pattern: str) -> pa.Array:
    """Say which strings fit a regular expression (RE2) as a whole; false for NULL."""
    return pc.match_substring_regex(text, f"^(?:{pattern})$").fill_null(False)


def attempt(
    values: pa.Array, cast: Callable[[pa.Array], pa.Array]
) -> tuple[pa.Array, pa.Array | None]:
    """Apply a cast that raises `pyarrow.ArrowInvalid` for a whole array, row by row where needed.

    Returns the result, NULL where the cast refuses, and a mask of these rows or None when there
    are none. Bisects, so a few bad rows among many cost little.
    """
    try:
        return cast(values), None
    except pa.ArrowInvalid:
        if len(values) == 1:
            kind = cast(values.slice(0, 0)).type
            return pa.nulls(1, kind), pa.array([True])
    half = len(values) // 2
    parts = [attempt(part, cast) for part in (values.slice(0, half), values.slice(half))]
    masks = [
        pa.array([False]).take(pa.array([0] * len(part))) if mask is None else mask
        for part, mask in parts
    ]
    return pa.concat_arrays([part for part, _ in parts]), pa.concat_arrays(masks)
