"""Text that claims to be JSON: whether it is, and what some engines cannot hold of it.

What lives here: `refuse_not_json`. JSON is what RFC 8259 says, to which PostgreSQL keeps; MariaDB
takes more (``1.``), and less. Must not know: engines.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import msgspec
import pyarrow as pa

from dbsync.model.values.kernels import pc
from dbsync.model.values.misfit import refuse

_RAW = msgspec.json.Decoder(msgspec.Raw)
"""Reads over a value without making objects of it."""
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)


def refuse_not_json(
    text: pa.StringArray,
    column: str,
    table: str,
    *,
    halves: bool = True,
    nul: bool = True,
    depth: int | None = None,
) -> None:
    r"""Raise `MisfitError` for texts that are no JSON; NULL passes.

    `halves` says whether escapes of a surrogate without its other half (``\ud83d``) pass, `nul`
    whether ``\u0000`` does, and `depth` how deep arrays and objects may be nested.
    """
    odd = pa.array([value is not None and not _is_strict(value) for value in text.to_pylist()])
    if pc.any(odd).as_py():
        broken = _among(odd, text, _is_broken)
        refuse(broken, column, table, "not valid as JSON")
        if not halves:
            reason = "of JSON with half a character: a surrogate without its other half"
            refuse(odd, column, table, reason)
    if not nul:
        near = pc.match_substring(text, "\\u0000").fill_null(False)
        found = _among(near, text, lambda value: _NUL.search(value) is not None)
        refuse(found, column, table, "of JSON with a NUL character")
    if depth is not None:
        opened = pc.add(pc.count_substring(text, "["), pc.count_substring(text, "{"))
        near = pc.greater(opened, depth).fill_null(False)
        found = _among(near, text, lambda value: _depth(value) > depth)
        refuse(found, column, table, f"of JSON nested deeper than {depth} levels")


def _is_strict(text: str) -> bool:
    try:
        _RAW.decode(text)
    except RecursionError:
        return True  # too deep to look at: left to the target
    except msgspec.DecodeError:
        return False
    return True


def _is_broken(text: str) -> bool:
    """Look again at what was not read: half characters are valid."""
    try:
        json.loads(text, parse_constant=_no_constant, parse_int=str, parse_float=str)
    except ValueError:
        return True
    return False


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _depth(text: str) -> int:
    deepest = level = 0
    for character in _STRING.sub("", text):
        if character in "[{":
            level += 1
            deepest = max(deepest, level)
        elif character in "]}":
            level -= 1
    return deepest


def _among(rows: pa.Array, text: pa.StringArray, test: Callable[[str], bool]) -> pa.Array:
    """Mark those of `rows` whose text passes a test."""
    pairs = zip(rows.to_pylist(), text.to_pylist(), strict=True)
    return pa.array([chosen and value is not None and test(value) for chosen, value in pairs])
