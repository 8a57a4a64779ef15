"""Running one function over many tasks, several at a time, in a bounded window.

Tasks are plain values and carry no connection, so that another executor could run the same
function in other processes. Must not know: what a task does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Executor(Protocol):
    """Runs tasks; `stopping` is set when the run is being given up."""

    stopping: threading.Event

    def run(self, function: Callable[[T], R], tasks: Iterable[T]) -> Iterator[R]:
        """Yield results as they complete, taking tasks only as fast as they are worked off.

        The first exception, from a task or from the caller, stops the run: tasks not yet started
        are dropped, running ones are waited for, and it propagates.
        """
        ...


class ThreadExecutor:
    """Runs tasks in `jobs` threads; at most `jobs` + 1 tasks are held at any time."""

    def __init__(self, jobs: int, stop: Callable[[], None] | None = None):
        """Make one; `stop` is called when the run is given up, to end what the tasks wait for."""
        self.jobs = jobs
        self.stopping = threading.Event()
        self._stop = stop

    def run(self, function: Callable[[T], R], tasks: Iterable[T]) -> Iterator[R]:
        """See `Executor.run`."""
        pending: set[Future[R]] = set()
        with ThreadPoolExecutor(self.jobs, thread_name_prefix="dbsync") as pool:
            try:
                for task in tasks:
                    pending.add(pool.submit(function, task))
                    if len(pending) > self.jobs:
                        done, pending = wait(pending, return_when=FIRST_COMPLETED)
                        yield from _results(done)
                while pending:
                    done, pending = wait(pending, return_when=FIRST_COMPLETED)
                    yield from _results(done)
            except BaseException:
                self.stopping.set()
                for future in pending:
                    future.cancel()
                if self._stop is not None:
                    self._stop()
                raise


def _results(done: set[Future[R]]) -> Iterator[R]:
    # A failure comes before the results that finished beside it.
    for future in sorted(done, key=lambda f: f.exception() is None):
        yield future.result()
