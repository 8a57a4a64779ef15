"""A generator that works ahead of its consumer, in a thread of its own.

Must not know: what is generated.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")


class _End:
    """What follows the last item: the error that ended the generator, or None."""

    def __init__(self, error: BaseException | None):
        self.error = error


def ahead(items: Generator[T], depth: int = 2) -> Generator[T]:
    """Yield what `items` yields, of which up to `depth` + 1 are made before they are asked for.

    Closing this generator closes `items`, in its thread, and waits until that is done.
    """
    made: queue.Queue[T | _End] = queue.Queue(depth)
    stopped = threading.Event()

    def work() -> None:
        end = _End(None)
        try:
            for item in items:
                made.put(item)
                if stopped.is_set():
                    break
        except BaseException as error:
            end = _End(error)
        finally:
            items.close()
            made.put(end)

    thread = threading.Thread(target=work, name="dbsync-ahead", daemon=True)
    thread.start()
    try:
        while not isinstance(item := made.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stopped.set()
        # Whoever waits for room must find it.
        while thread.is_alive():
            try:
                made.get(timeout=0.05)
            except queue.Empty:
                continue
        thread.join()
