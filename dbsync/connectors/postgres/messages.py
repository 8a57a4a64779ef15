"""COPY's messages as they come over a channel, many at a time.

What lives here: `MessageStream`, which sends a statement and reads the answer into a buffer of its
own. Must not know: how the bytes come, or what is in a row.

The messages are those of protocol 3: a letter, a length of four bytes that counts itself, and what
is in it. Each message with data holds one row (PostgreSQL manual, "Message Formats", CopyData).
"""

from __future__ import annotations

from collections.abc import Generator

import numpy as np

from dbsync.connectors.gathering import linked
from dbsync.connectors.postgres.channel import Channel
from dbsync.connectors.postgres.fields import PADDING, Bytes, Malformed, Positions, Tuples

BATCH_BYTES = 1 << 20
"""How much is read before it is decoded: what fits the processor's cache is decoded fastest."""

_SPARE_BYTES = 128 << 10
_LARGEST_MESSAGE = (1 << 30) + (1 << 20)
"""No row is larger: the server puts it together in memory, of which it takes 1 GiB at a time."""

_HEADER = 5
_DATA = ord("d")
_END = b"Z\0\0\0\x05"
"""How the last message begins, after which there is one more byte."""


class ServerError(Exception):
    """What the server says in an error, or that it says nothing more.

    `sqlstate` is None for a lost connection; `details` are named as libpq names them.
    """

    def __init__(self, text: str, fields: dict[str, str] | None = None):
        super().__init__(text)
        fields = fields or {}
        names = {"M": "PG_DIAG_MESSAGE_PRIMARY", "D": "PG_DIAG_MESSAGE_DETAIL"}
        self.sqlstate = fields.get("C")
        self.details = [(names[key], text) for key, text in fields.items() if key in names]


class MessageStream:
    """The data messages of one statement; iterate once. See `copying.copied`."""

    def __init__(self, channel: Channel, statement: str, columns: int):
        self.sent: int | None = None
        self._channel = channel
        self._statement = statement
        self._search = _Search(columns, BATCH_BYTES + _SPARE_BYTES)
        self._filled = 0
        self._ended = False
        self._allocate(BATCH_BYTES + _SPARE_BYTES)

    def __iter__(self) -> Generator[Tuples]:
        """Run the statement and yield what the messages hold.

        Raises `ServerError` and `Malformed`.
        """
        self._send()
        while not self._ended:
            open_end = self._receive()
            tuples, end = self._scan()
            if tuples.count:
                yield tuples
            if not open_end and not self._ended:
                raise ServerError("the server closed the connection unexpectedly")
            self._keep(end)

    def _send(self) -> None:
        query = self._statement.encode() + b"\0"
        try:
            self._channel.write(b"Q" + (len(query) + 4).to_bytes(4, "big") + query)
        except OSError as failure:
            raise ServerError(f"the connection was lost: {failure}") from failure

    def _allocate(self, size: int) -> None:
        self._buffer = bytearray(size + PADDING)
        self._view = memoryview(self._buffer)

    def _receive(self) -> bool:
        """Read a batch, or what comes until the end; say whether more may come."""
        wanted = BATCH_BYTES
        while True:
            room = self._view[self._filled : len(self._view) - PADDING]
            try:
                count = self._channel.read_into(room)
            except OSError as failure:
                raise ServerError(f"the connection was lost: {failure}") from failure
            self._filled += count
            if not count:
                return False
            # What looks like the end need not be it; then the batch is a small one.
            if self._buffer.startswith(_END, self._filled - len(_END) - 1):
                return True
            if self._filled >= wanted:
                first = self._length(0)
                if first <= self._filled:
                    return True
                wanted = first
                self._grow(first)

    def _grow(self, size: int) -> None:
        """Make room for one large message."""
        if len(self._buffer) < size + PADDING:
            held = self._view[: self._filled]
            self._allocate(size + _SPARE_BYTES)
            self._view[: len(held)] = held

    def _keep(self, end: int) -> None:
        """Move what follows the messages that were used to the front of the buffer."""
        rest = self._view[end : self._filled]
        self._filled = len(rest)
        if len(self._buffer) > BATCH_BYTES + _SPARE_BYTES + PADDING:
            self._allocate(max(BATCH_BYTES, len(rest)) + _SPARE_BYTES)
        self._view[: len(rest)] = rest

    def _length(self, position: int) -> int:
        """Say how long the message at a position is, which has been read as far as its length."""
        length = int.from_bytes(self._view[position + 1 : position + _HEADER], "big")
        if not 4 <= length <= _LARGEST_MESSAGE:
            raise Malformed("a message has no valid length")
        return 1 + length

    def _scan(self) -> tuple[Tuples, int]:
        """Find the data in the complete messages, and where these end."""
        starts, ends = self._search.candidates(np.frombuffer(self._buffer, np.uint8), self._filled)
        parts: list[tuple[Positions, Positions]] = []
        position = 0
        while not self._ended:
            first = int(np.searchsorted(starts, position))
            if first < len(starts) and starts[first] == position:
                chosen = first + linked(starts[first:], ends[first:])
                parts.append((starts.take(chosen) + _HEADER, ends.take(chosen)))
                position = int(parts[-1][1][-1])
            if self._filled - position < _HEADER:
                break
            end = position + self._length(position)
            if end > self._filled:
                break
            if self._buffer[position] == _DATA:
                parts.append((np.array([position + _HEADER]), np.array([end])))
            else:
                self._take(self._buffer[position], bytes(self._view[position + _HEADER : end]))
            position = end
        begins = np.concatenate([begins for begins, _ in parts] or [np.zeros(0, np.int64)])
        stops = np.concatenate([ends for _, ends in parts] or [np.zeros(0, np.int64)])
        return Tuples(self._buffer, begins, stops), position

    def _take(self, kind: int, content: bytes) -> None:
        """Act on a message without data."""
        match chr(kind):
            case "E":
                raise _error(content)
            case "H" if content[:1] != b"\1":
                raise Malformed("the server sends rows in another format")
            case "C":
                word, _, count = content.rstrip(b"\0").partition(b" ")
                if word != b"COPY" or not count.isdigit():
                    raise Malformed("the server has done something else than COPY")
                self.sent = int(count)
            case "Z":
                self._ended = True
            case "H" | "c" | "N" | "S" | "A":
                pass
            case _:
                raise Malformed("a message is of no known kind")


class _Search:
    """Finds what may be messages with rows of so many columns."""

    def __init__(self, columns: int, size: int):
        self._columns = columns
        # Made once: new memory of this size costs three times what is done with it.
        self._likely = np.empty(size, np.bool_)
        self._also = np.empty(size, np.bool_)

    def candidates(self, raw: Bytes, filled: int) -> tuple[Positions, Positions]:
        """List where such a message may start and where it then ends, those that are complete.

        Rows of 16 MiB and more are left out, and what is far behind the start of a large buffer.
        """
        last = min(filled - _HEADER - 1, len(self._likely))
        if last <= 0:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        likely, also = self._likely[:last], self._also[:last]
        np.equal(raw[:last], _DATA, out=likely)
        np.equal(raw[1 : last + 1], 0, out=also)
        np.logical_and(likely, also, out=likely)
        starts = np.flatnonzero(likely)
        # A text that ends with a "d" has the next value's length behind it.
        starts = starts.compress(raw.take(starts + _HEADER + 1) == self._columns & 0xFF)
        starts = starts.compress(raw.take(starts + _HEADER) == self._columns >> 8)
        ends = starts + 1
        for byte, shift in ((2, 16), (3, 8), (4, 0)):
            ends += raw.take(starts + byte).astype(np.int64) << shift
        whole = ends <= filled
        if whole.all():
            return starts, ends
        return starts.compress(whole), ends.compress(whole)


def _error(content: bytes) -> ServerError:
    """Read the fields of an error: a letter and a text for each."""
    fields = {
        field[:1].decode(errors="replace"): field[1:].decode(errors="replace")
        for field in content.split(b"\0")
        if field
    }
    return ServerError(fields.get("M", "the server reports an error"), fields)
