"""How an upload is cut into parts."""

from __future__ import annotations

import pytest

from dbsync.errors import StorageError
from dbsync.storage.s3.parts import MOST_PARTS, plan_parts, too_many

MIB = 1 << 20
GIB = 1 << 30


@pytest.mark.parametrize(
    ("hint", "chosen", "size", "in_flight"),
    [
        (0, None, 16 * MIB, 4),
        (100 * GIB, None, 16 * MIB, 4),
        (200 * GIB, None, 26 * MIB, 2),
        (1024 * GIB, None, 132 * MIB, 2),
        (None, None, 64 * MIB, 2),
        (GIB, 5 * MIB, 5 * MIB, 8),
        (None, 512 * MIB, 512 * MIB, 2),
    ],
)
def test_the_size_follows_from_the_estimate(
    hint: int | None, chosen: int | None, size: int, in_flight: int
) -> None:
    """Small objects need little memory; large ones fit with a quarter to spare."""
    parts = plan_parts(hint, chosen, "s3://b/k")
    assert parts == (size, in_flight)
    assert chosen or parts.size * MOST_PARTS >= (hint or 0) * 1.25


@pytest.mark.parametrize(("hint", "chosen"), [(50 * GIB, 5 * MIB), (9 << 40, None)])
def test_what_cannot_fit_is_refused_at_once(hint: int, chosen: int | None) -> None:
    """More than 10,000 parts are refused before the first byte, with what to do."""
    with pytest.raises(StorageError, match="do not fit into 10,000 parts") as caught:
        plan_parts(hint, chosen, "s3://b/k")
    assert "--s3-part-bytes" in (caught.value.hint or "")


def test_what_grows_beyond_names_a_larger_size() -> None:
    """An object that outgrows its estimate says with which size it would fit."""
    assert "--s3-part-bytes 64MiB" in (too_many("s3://b/k", 16 * MIB).hint or "")
