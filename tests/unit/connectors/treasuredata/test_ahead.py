"""Working ahead: order, errors, bounds, and leaving."""

from __future__ import annotations

import threading
from collections.abc import Generator

import pytest

from dbsync.connectors.treasuredata.ahead import ahead


def counting(made: list[int], end: int = 100) -> Generator[int]:
    for number in range(end):
        made.append(number)
        yield number


def test_items_come_in_order_from_another_thread() -> None:
    """The generator runs elsewhere, and its items arrive as it made them."""
    threads: set[int] = set()

    def noting() -> Generator[int]:
        for number in range(50):
            threads.add(threading.get_ident())
            yield number

    assert list(ahead(noting())) == list(range(50))
    assert threading.get_ident() not in threads


def test_no_more_is_made_than_was_allowed() -> None:
    """A slow consumer bounds what is made before it is wanted."""
    made: list[int] = []
    most = 0
    for number in ahead(counting(made), depth=2):
        most = max(most, made[-1] - number)
    assert most <= 4
    assert made == list(range(100))


def test_an_error_arrives_behind_what_was_made_before() -> None:
    """What the generator raises is raised to the consumer, in its place."""

    def failing() -> Generator[int]:
        yield 1
        raise OSError("gone")

    found: list[int] = []
    with pytest.raises(OSError, match="gone"):
        found.extend(ahead(failing()))
    assert found == [1]


def test_leaving_closes_the_generator_in_its_thread() -> None:
    """Whoever closes knows, when that returns, that nothing runs any more."""
    closed = threading.Event()

    def endless() -> Generator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    items = ahead(endless())
    next(items)
    items.close()
    assert closed.is_set()
    assert not [t for t in threading.enumerate() if t.name == "dbsync-ahead"]
