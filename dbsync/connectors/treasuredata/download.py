"""The stored result of a job, in ranges that are downloaded side by side and go on after a drop.

What lives here: one range with its resumption, and the window of ranges that bounds memory. Must
not know: what the bytes hold.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from dbsync.connectors.treasuredata.client import Api
from dbsync.connectors.treasuredata.failures import AnswerError, LostError, is_lost
from dbsync.connectors.treasuredata.jobs import Job
from dbsync.errors import DatabaseError

if TYPE_CHECKING:
    from dbsync.connectors.treasuredata.wire import Wire

PART_BYTES = 4 << 20
"""How much is asked for at once; twice the number of parallel downloads is in memory at most."""

FIRST_BYTES = 64 << 10
"""How much is asked for first, by one connection alone."""

_SMALLEST_BYTES = 1 << 20
_CHUNK_BYTES = 256 << 10
_PROGRESS_BYTES = 64 << 10
"""After less than this, a drop counts as a failure of the attempt."""

_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


class Download:
    """One result, whose bytes are read once and in order with `parts`."""

    def __init__(
        self, api: Api, job: Job, doing: str, *, parallelism: int = 4, part_bytes: int = PART_BYTES
    ):
        self._api = api
        self._job = job
        self._doing = doing
        self._parallelism = max(1, parallelism)
        self._part_bytes = part_bytes
        self._path = f"/v3/job/result/{job.id}?format=msgpack.gz"
        self._etag: str | None = None
        self._stop = threading.Event()
        self._live: set[Any] = set()
        self._lock = threading.Lock()

    def parts(self) -> Generator[bytearray]:
        """Yield the result's bytes in order.

        Raises the error of the api's side for a result that has changed, or that is not of the
        length that the job tells.
        """
        size = self._job.bytes
        # Smaller ones for a small result, so that all downloads end at about the same time.
        fair = size // (4 * self._parallelism)
        step = min(self._part_bytes, max(fair, _SMALLEST_BYTES))
        if not size:
            return
        # The first answer names the version that all the others must be of.
        first = min(size, step, FIRST_BYTES)
        yield self._fetch(0, first)
        pool = ThreadPoolExecutor(self._parallelism, "dbsync-download")
        waiting: deque[Future[bytearray]] = deque()
        try:
            for begin in range(first, size, step):
                if len(waiting) == 2 * self._parallelism - 1:
                    yield waiting.popleft().result()
                waiting.append(pool.submit(self._fetch, begin, min(begin + step, size)))
            while waiting:
                yield waiting.popleft().result()
        finally:
            self.stop()
            pool.shutdown(wait=True, cancel_futures=True)

    def stop(self) -> None:
        """End what is being downloaded; may be called from any thread, and repeated."""
        self._stop.set()
        with self._lock:
            for response in self._live:
                # A read that waits for bytes ends now, and not at its timeout.
                with contextlib.suppress(Exception):
                    response.shutdown()

    def _fetch(self, begin: int, end: int) -> bytearray:
        """Download one range, going on after each drop where it stopped."""
        part = bytearray()
        while len(part) < end - begin:
            before = len(part)

            def attempt(wire: Wire, before: int = before) -> None:
                try:
                    self._read(wire, begin + len(part), end, part)
                except Exception as error:
                    # What has arrived is kept; after little, it counts as a failure all the same.
                    dropped = isinstance(error, LostError) or is_lost(error)
                    if not dropped or len(part) - before < _PROGRESS_BYTES:
                        raise

            self._api.run(self._doing, attempt, stop=self._stop)
            if self._stop.is_set():
                raise self._error("the download was stopped")
            if len(part) == before:
                raise self._error("the service sends nothing of a range")
        return part

    def _read(self, wire: Wire, begin: int, end: int, part: bytearray) -> None:
        """Ask for a range once, and add to `part` what arrives."""
        headers = {"range": f"bytes={begin}-{end - 1}"}
        if self._etag:
            headers["if-range"] = self._etag
        try:
            opened = wire.get_part(self._path, headers)
        except AnswerError as answer:
            if answer.status == 416:
                raise self._error("the result is shorter than the job tells") from answer
            raise
        with opened as response:
            room = self._check(response, begin, end)
            with self._lock:
                self._live.add(response)
            try:
                # Whoever stops from now on finds the response among those that live.
                chunks = response.stream(_CHUNK_BYTES, decode_content=False)
                while not self._stop.is_set() and (chunk := next(chunks, None)) is not None:
                    room -= len(chunk)
                    if room < 0:
                        raise self._error("the service sends more than was asked for")
                    part += chunk
            finally:
                with self._lock:
                    self._live.discard(response)

    def _check(self, response: Any, begin: int, end: int) -> int:
        """Return how many bytes come, of a range that begins where asked, of the same version."""
        if response.status != 206:
            raise self._error(
                "the result has changed during the download"
                if self._etag
                else "the service does not send ranges of the result"
            )
        found = _RANGE.fullmatch(response.headers.get("content-range", ""))
        first, last, size = (int(n) for n in found.groups()) if found else (-1, -1, -1)
        if first != begin or not begin <= last < end:
            raise self._error("the service sends another range than was asked for")
        if size != self._job.bytes:
            raise self._error(f"the result has {size} bytes where the job tells {self._job.bytes}")
        etag = response.headers.get("etag")
        if self._etag is None:
            self._etag = etag
        elif etag != self._etag:
            raise self._error("the result has changed during the download")
        return last + 1 - first

    def _error(self, why: str) -> DatabaseError:
        return self._api.side(
            f"cannot {self._doing}: {why} (job {self._job.id})",
            hint="run the same command again",
            retryable=True,
        )
