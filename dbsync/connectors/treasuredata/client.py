"""An account of Treasure Data: calls that are repeated where that helps and does no harm.

What lives here: `Api`, whose `run` every call goes through. Must not know: tables, jobs, sessions;
the calls themselves are typed in the modules that make them.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, TypeVar

from dbsync.connectors.treasuredata.address import Address
from dbsync.connectors.treasuredata.failures import (
    AnswerError,
    LostError,
    explain,
    is_failure,
    is_lost,
    is_transient,
    lost,
    may_have_landed,
    refused,
)
from dbsync.errors import DatabaseError, SourceError, UsageError

if TYPE_CHECKING:
    from dbsync.connectors.treasuredata.wire import Wire

T = TypeVar("T")
Clock = Callable[[], float]
Wait = Callable[[float, threading.Event], object]
"""Wait so many seconds, or until the event is set."""

_LONGEST_PAUSE_S = 30.0
_UNREACHED_S = 20.0
"""How long a host is tried that has never answered: most often its name is wrong."""

_UNREADABLE = 3
"""How many answers in a row may be none of the API's."""


class Api:
    """One account, as `side` of a transfer; may be used from several threads at once.

    `timeout_s` bounds each `run`, with its repetitions and pauses.
    """

    def __init__(
        self,
        address: Address,
        side: type[DatabaseError] = SourceError,
        *,
        timeout_s: float = 600,
        clock: Clock = time.monotonic,
        wait: Wait = lambda seconds, stop: stop.wait(seconds),
    ):
        self.address = address
        self.side = side
        self.timeout_s = timeout_s
        self.clock = clock
        self._wait = wait
        self._wire: Wire | None = None
        self._answered = False
        self._stopped = threading.Event()

    def run(
        self,
        doing: str,
        call: Callable[[Wire], T],
        *,
        settled: Callable[[AnswerError], T] | None = None,
        answers: Collection[int] = (),
        stop: threading.Event | None = None,
    ) -> T:
        """Return what `call` returns, calling it again while its failures may pass.

        `doing` continues "cannot", such as "list the tables of shop". `call` gets td-client's API
        and must be safe to repeat: where a repetition may find that the attempt before it has
        landed, `settled` is asked with the answer (such as 404 after a deletion), and returns the
        result of a success or raises the answer. Statuses in `answers` are raised as `AnswerError`
        for the caller to read; everything else becomes `side`. `stop` ends pauses early.
        """
        began, failures, uncertain = self.clock(), 0, False
        while True:
            if self._stopped.is_set():
                raise self.side(f"cannot {doing}: the work was stopped")
            try:
                result = call(self._open())
            except DatabaseError:
                raise
            except Exception as error:
                failure = lost(error) if is_lost(error) else error
                if not is_failure(failure):
                    raise
                cause = error
            else:
                self._answered = True
                return result
            if isinstance(failure, AnswerError):
                self._answered = True
                if uncertain and settled is not None and not is_transient(failure):
                    try:
                        return settled(failure)
                    except AnswerError as answer:
                        failure = answer
                if failure.status in answers:
                    raise failure
            failures += 1
            uncertain = uncertain or may_have_landed(failure)
            pause = self._pause(failure, failures, self.clock() - began)
            if pause is None or (stop is not None and stop.is_set()):
                raise explain(failure, doing, self.address, self.side) from cause
            self.wait(pause, stop)

    def wait(self, seconds: float, stop: threading.Event | None = None) -> None:
        """Wait so many seconds, or until `stop` is set."""
        self._wait(seconds, stop or self._stopped)

    def stop(self) -> None:
        """End the pauses of all threads, after which every call fails; for a run that is ended."""
        self._stopped.set()

    def refused(self, status: int, doing: str) -> DatabaseError:
        """Make the error for status 401, 403 or 404 of the database; see `failures.refused`."""
        return refused(self.side, status, self.address, doing)

    def close(self) -> None:
        """Close the idle connections; may be repeated, and the next call opens new ones."""
        if self._wire is not None:
            self._wire.close()

    def _open(self) -> Wire:
        if self._wire is None:
            try:
                from dbsync.connectors.treasuredata.wire import Wire
            except ModuleNotFoundError as missing:
                if missing.name is None or missing.name.startswith("dbsync"):
                    raise
                raise UsageError(
                    f"Treasure Data needs the package {missing.name}, which is not installed",
                    hint="pip install 'dbsync[treasuredata]'",
                ) from missing
            self._wire = Wire(self.address, timeout_s=self.timeout_s)
        return self._wire

    def _pause(self, failure: Exception, failures: int, elapsed_s: float) -> float | None:
        """Return how long to wait before the next attempt, None where there shall be none."""
        if not is_transient(failure):
            return None
        limit_s = self.timeout_s
        if isinstance(failure, LostError) and failure.misled and not self._answered:
            limit_s = min(limit_s, _UNREACHED_S)
        known = isinstance(failure, AnswerError | LostError)
        if not known and failures >= _UNREADABLE:
            return None
        longest = min(_LONGEST_PAUSE_S, 2.0 ** (failures - 1))
        pause = longest * random.uniform(0.5, 1)  # noqa: S311 - spreads clients, guards nothing
        asked = failure.retry_after_s if isinstance(failure, AnswerError) else None
        if asked is not None:
            pause = max(pause, asked)
        return pause if elapsed_s + pause <= limit_s else None
