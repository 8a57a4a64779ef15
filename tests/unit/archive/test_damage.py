"""Damaged archives: every cut and every flipped bit is found, and no wrong row gets out."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbsync.errors import ArchiveError
from tests.unit.archive.build import MODES, NOTES, batch, database, opened, small, write
from tests.unit.archive.test_reading import WHOLE

DATA = small()
Rows = dict[str, list[dict[str, Any]]]


def attempt(data: bytes, mode: str) -> tuple[Rows, str | None]:
    """Read what can be read; return the rows that got out, and the error name at the end."""
    rows: Rows = {"items": [], "notes": []}
    try:
        for chunk in opened(data, mode).chunks():
            parts = [part.to_pylist() for part in chunk.batches()]
            rows[str(chunk.table.name)] += [row for part in parts for row in part]
    except ArchiveError as error:
        return rows, error.code
    return rows, None


def assert_prefix(rows: Rows) -> None:
    """Demand that what got out is right as far as it goes."""
    for name, found in rows.items():
        assert found == WHOLE[name][: len(found)]


@pytest.mark.parametrize("mode", MODES)
def test_cut_at_every_byte(mode):
    """However short the file, it is refused; at random before the first row."""
    data = write(database(NOTES), (0, [batch(NOTES, ["a"])]), (0, [batch(NOTES, ["b"])]))
    whole = [chunk.load().to_pybytes() for chunk in opened(data, mode).chunks()]
    for size in range(len(data)):
        found: list[bytes] = []
        with pytest.raises(ArchiveError) as error:
            found.extend(c.load().to_pybytes() for c in opened(data[:size], mode).chunks())
        assert error.value.code in {"E_TRUNCATED", "E_NOT_ARCHIVE"}, size
        assert found == whole[: len(found)]
        assert mode == "stream" or not found


@pytest.mark.parametrize("mode", MODES)
def test_a_thousand_flipped_bits(mode):
    """A flipped bit anywhere, headers and padding included, is found; no wrong row gets out."""
    rng = random.Random(20260102)  # noqa: S311
    for position in rng.sample(range(len(DATA) * 8), 1000):
        broken = bytearray(DATA)
        broken[position // 8] ^= 1 << position % 8
        rows, code = attempt(bytes(broken), mode)
        assert code is not None, position
        assert_prefix(rows)


@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=150, deadline=None)
@given(
    start=st.integers(0, len(DATA)),
    length=st.integers(0, 2000),
    junk=st.one_of(st.binary(max_size=600), st.just(bytes(512)), st.just(DATA[:1024])),
)
def test_any_splice(mode, start, length, junk):
    """Bytes cut out, overwritten or inserted anywhere never give other rows or other exceptions."""
    broken = DATA[:start] + junk + DATA[start + length :]
    rows, code = attempt(broken, mode)
    assert_prefix(rows)
    assert (code is None) is (broken == DATA)
    if code is None:
        assert rows == WHOLE


@pytest.mark.parametrize("mode", MODES)
def test_swapped_members(mode):
    """Two members in each other's place are found, whichever they are."""
    import io
    import tarfile

    with tarfile.open(fileobj=io.BytesIO(DATA)) as tar:
        members = tar.getmembers()
    spans = [(m.offset, m.offset_data + m.size + -m.size % 512) for m in members]
    for one in range(len(spans)):
        for two in range(one + 1, len(spans)):
            (a, b), (c, d) = spans[one], spans[two]
            swapped = DATA[:a] + DATA[c:d] + DATA[b:c] + DATA[a:b] + DATA[d:]
            rows, code = attempt(swapped, mode)
            assert code is not None, (members[one].name, members[two].name)
            assert_prefix(rows)
