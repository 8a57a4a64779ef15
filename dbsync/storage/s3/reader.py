"""Reading a range of one version of an object, whatever happens to the connection.

What lives here: the stream over a range, and going on behind a body that stalls, breaks or ends
too soon. Must not know: what the bytes mean.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from contextlib import suppress
from time import sleep
from typing import TYPE_CHECKING, Any, NamedTuple

from dbsync.errors import StorageError
from dbsync.storage.s3.calls import CallFailed, Patience

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# A break loses at most this much of what had arrived.
_PIECE_BYTES = 256 << 10
# So much between two breaks is progress: patience begins anew.
_PROGRESS_BYTES = 1 << 20
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


class Part(NamedTuple):
    """The answer to a request for a range: its body, where it ends in the object, the version."""

    body: Any
    end: int
    version: str


Fetch = Callable[[int, int | None, str | None], Part]
"""Ask for the bytes from a position up to an end (None: that of the object), of a version."""


def part_of(response: dict[str, Any], start: int, what: str) -> Part:
    """Check that a response holds the range that was asked for; raises `StorageError`."""
    found = _RANGE.fullmatch(response.get("ContentRange") or "")
    if found is None or int(found[1]) != start:
        raise StorageError(
            f"cannot read {what}: the store ignores which range is asked for",
            hint="use a store that answers ranged reads",
        )
    return Part(response["Body"], int(found[2]) + 1, response["ETag"])


class RangeStream(io.RawIOBase):
    """The bytes from `start` up to `end`; the first request is made at once.

    Later requests are pinned to the version that the first one found.
    """

    def __init__(
        self,
        fetch: Fetch,
        what: str,
        patience: Patience,
        *,
        start: int,
        end: int | None,
        version: str | None,
    ):
        self._fetch = fetch
        self._what = what
        self._patience = patience
        self._at = start
        self._part = fetch(start, end, version)
        self._end = self._part.end
        self._body: Any = self._part.body
        self._failures = 0
        self._failed_at = start

    def readable(self) -> bool:
        """Answer yes."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read what comes next, after a break from a new request."""
        view = memoryview(buffer).cast("B")[: min(_PIECE_BYTES, self._end - self._at)]
        while view:
            count = self._read_some(view)
            if count:
                self._at += count
                return count
        return 0

    def _read_some(self, view: memoryview) -> int:
        """Fill the beginning of `view`; 0 after a break, when another request is due."""
        from botocore.exceptions import BotoCoreError
        from urllib3.exceptions import HTTPError

        try:
            if self._body is None:
                self._body = self._fetch(self._at, self._end, self._part.version).body
            data = self._body.read(len(view))
        except (BotoCoreError, HTTPError, OSError) as error:
            self._give_up_or_wait(error)
            return 0
        if not data:
            self._give_up_or_wait(None)
        view[: len(data)] = data
        return len(data)

    def _give_up_or_wait(self, error: Exception | None) -> None:
        self._drop()
        if self._at - self._failed_at >= _PROGRESS_BYTES:
            self._failures = 0
        self._failures += 1
        self._failed_at = self._at
        if self._failures >= self._patience.attempts:
            raise StorageError(
                f"cannot read {self._what}: the connection breaks again and again at byte "
                f"{self._at}",
                hint="check the network, then try again",
                retryable=True,
            ) from error
        sleep(self._patience.delay_s(self._failures))

    def _drop(self) -> None:
        body, self._body = self._body, None
        if body is not None:
            with suppress(Exception):  # it is broken already
                body.close()

    def close(self) -> None:
        """Let the connection go."""
        self._drop()
        super().close()


def is_beyond_end(failed: CallFailed) -> bool:
    """Say whether a call failed because the range begins behind the last byte."""
    return failed.status == 416
