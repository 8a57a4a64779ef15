"""Where nested msgpack values end, held against msgpack's own writer."""

from __future__ import annotations

from typing import Any

import msgpack
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dbsync.connectors.treasuredata.nesting import ends
from dbsync.connectors.treasuredata.packed import PADDING

NOWHERE = 1 << 60
FIRST_UNUSED = 0xC1

_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=40)
    | st.sampled_from(["x" * 255, "x" * 256, "x" * 65536])
    | st.binary(max_size=300)
    | st.builds(msgpack.ExtType, st.integers(0, 9), st.binary(max_size=20))
)
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(), inner, max_size=20),
    max_leaves=40,
)


def _parts(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + sum(_parts(key) + _parts(item) for key, item in value.items())
    return 1 + sum(map(_parts, value)) if isinstance(value, list) else 1


def _find(content: bytes, begins: list[int]) -> list[int]:
    buffer = np.frombuffer(content + bytes([FIRST_UNUSED]) * PADDING, np.uint8)
    return ends(buffer, np.array(begins, np.int64), len(content), NOWHERE).tolist()


@given(st.lists(_values, min_size=1, max_size=8), st.data())
def test_values_of_any_depth_end_where_the_next_begins(values: list[Any], data: Any) -> None:
    """Also where bytes are missing: then the end is behind the last byte that is there."""
    packed = [msgpack.packb(value) for value in values]
    stops = np.cumsum([len(one) for one in packed]).tolist()
    begins = [0, *stops[:-1]]
    content = b"".join(packed)
    few = [_parts(value) <= 64 for value in values]
    found = _find(content, begins)
    assert found == [stop if ok else NOWHERE for stop, ok in zip(stops, few, strict=True)]
    cut = data.draw(st.integers(begins[-1], len(content)))
    (last,) = _find(content[:cut], begins[-1:])
    assert last == stops[-1] if cut == len(content) and few[-1] else last > cut


def test_what_is_no_value_ends_nowhere() -> None:
    """The one byte that msgpack does not use, inside of an array."""
    assert _find(b"\x92\x01\xc1\x01", [0]) == [NOWHERE]


def test_longest_forms_of_arrays_and_maps() -> None:
    """Lengths of 16 and 32 bits, with which other writers may begin short values as well."""
    content = b"\xdc\x00\x01\x07" + b"\xdd\x00\x00\x00\x02\x07\xa1a" + b"\xde\x00\x01\x07\xc0"
    content += b"\xdf\x00\x00\x00\x01\x07\x90"
    assert _find(content, [0, 4, 12, 17]) == [4, 12, 17, len(content)]
