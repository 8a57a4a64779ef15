"""Rows of COPY arrive whole and in order, wherever their bytes are cut, or not at all."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbsync.connectors.postgres import messages
from dbsync.connectors.postgres.copying import copied
from dbsync.connectors.postgres.fields import Malformed, split_fields
from dbsync.connectors.postgres.messages import ServerError

Row = list[bytes | None]

COPY_OUT = b"\x01\x00\x02\x00\x01\x00\x01"
HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
NOTICE = b"SNOTICE\0Mlook here\0\0"
ERROR = b"SERROR\0VERROR\0C57014\0Mcanceling statement\0Dsomeone asked\0\0"


class Script:
    """A channel whose server says what it was told to, in pieces of given sizes, then closes."""

    def __init__(self, said: bytes, sizes: list[int]):
        self.heard = b""
        self._left = memoryview(said)
        self._sizes = sizes
        self._turn = 0

    def read_into(self, view: memoryview) -> int:
        size = min(self._sizes[self._turn % len(self._sizes)], len(view), len(self._left))
        self._turn += 1
        view[:size] = self._left[:size]
        self._left = self._left[size:]
        return size

    def write(self, data: bytes) -> None:
        self.heard += data


def message(kind: str, content: bytes) -> bytes:
    """Wrap what is in a message as the server does."""
    return kind.encode() + struct.pack(">I", len(content) + 4) + content


def packed(row: Row) -> bytes:
    """Write a row in COPY's binary format."""
    values = (struct.pack(">i", -1 if v is None else len(v)) + (v or b"") for v in row)
    return struct.pack(">h", len(row)) + b"".join(values)


def answer(
    rows: list[Row], *, between: bytes = b"", count: int | None = None, alone: bool = False
) -> bytes:
    """Say all that a server says to COPY; `alone` sends the header in a message of its own."""
    contents = [*map(packed, rows), TRAILER]
    contents = [HEADER, *contents] if alone else [HEADER + contents[0], *contents[1:]]
    done = f"COPY {len(rows) if count is None else count}\0".encode()
    return (
        message("H", COPY_OUT)
        + b"".join(between + message("d", content) for content in contents)
        + message("c", b"")
        + message("C", done)
        + message("Z", b"I")
    )


def read(said: bytes, columns: int, sizes: list[int] | None = None) -> list[Row]:
    """Read the rows of an answer."""
    channel = Script(said, sizes or [1 << 30])
    connection: Any = None
    rows: list[Row] = []
    for tuples in copied(connection, "SELECT", columns, channel=channel):
        fields = split_fields(tuples, [None] * columns)
        values = [field.contents().to_pylist() for field in fields]
        rows += [list(row) for row in zip(*values, strict=True)] or [[]] * tuples.count
    return rows


# Values that look like the start of a message, or of a row, or like the end.
VALUES = st.one_of(
    st.none(),
    st.binary(max_size=12),
    st.sampled_from([
        b"d", b"paid", b"d\0\0\0\x0e\0\x02\0\0", packed([b"d", None]),
        message("d", packed([b"", b""])),
        message("Z", b"I"), message("c", b""), TRAILER, HEADER, b"d" * 300, b"x" * 70_000,
    ]),
)  # fmt: skip


@settings(deadline=None)
@given(
    rows=st.lists(st.tuples(VALUES, VALUES).map(list), max_size=40),
    sizes=st.lists(st.integers(1, 400), min_size=1, max_size=5),
    between=st.sampled_from([b"", message("N", NOTICE), message("S", b"TimeZone\0UTC\0")]),
    alone=st.booleans(),
)
def test_rows_arrive_however_they_are_cut(
    rows: list[Row], sizes: list[int], between: bytes, alone: bool
) -> None:
    """Any values, in pieces of any size, with other messages between, come as they were sent."""
    scale = 1 + sum(len(v or b"") for row in rows for v in row) // 20_000
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(messages, "BATCH_BYTES", 64)
        patch.setattr(messages, "_SPARE_BYTES", 32)
        said = answer(rows, between=between, alone=alone)
        assert read(said, 2, [size * scale for size in sizes]) == rows


def test_rows_without_columns_are_counted() -> None:
    """A table without columns has rows."""
    assert read(answer([[]] * 5), 0) == [[]] * 5


def test_a_row_of_many_megabytes_comes_whole_between_small_ones() -> None:
    """A message with a length in all four bytes is found, and those around it."""
    rows: list[Row] = [[b"a"], [b"x" * 20_000_000], [b"b"], [None], [b"y" * 17_000_000]]
    assert read(answer(rows), 1, [1_000_003]) == rows


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_an_answer_that_ends_early_is_never_taken_for_a_whole_one(size: int) -> None:
    """Cut at every byte, it fails as a lost connection."""
    whole = answer([[b"one", None], [b"d", b"\0\0"]])
    for end in range(len(whole)):
        with pytest.raises(ServerError, match="closed the connection") as caught:
            read(whole[:end], 2, [size])
        assert caught.value.sqlstate is None


def test_an_error_among_the_rows_is_the_servers_own() -> None:
    """Rows before an error do not hide it; its code and its words come along."""
    start = answer([[b"one"]] * 3)[: -len(message("c", b"") + message("Z", b"I")) - 30]
    with pytest.raises(ServerError) as caught:
        read(start[: start.rindex(b"d\0")] + message("E", ERROR), 1)
    assert caught.value.sqlstate == "57014"
    assert ("PG_DIAG_MESSAGE_PRIMARY", "canceling statement") in caught.value.details
    assert ("PG_DIAG_MESSAGE_DETAIL", "someone asked") in caught.value.details


@pytest.mark.parametrize("batch", [10, 1 << 20])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda said: said.replace(b"COPY 2", b"COPY 3"), "3 rows were sent, 2 came"),
        (lambda said: said.replace(message("d", TRAILER), b""), "2 rows were sent, 2 came"),
        (
            lambda said: said.replace(message("c", b""), message("d", packed([b"x"]))),
            "follow|number of values",
        ),
        (lambda said: said.replace(b"COPY 2", b"SELECT 2"), "something else|no valid length"),
        (lambda said: said.replace(b"PGCOPY", b"pgcopy"), "header"),
        (lambda said: said.replace(HEADER, HEADER[:11] + b"\0\1" + HEADER[13:]), "flags"),
        (lambda said: said.replace(HEADER, HEADER[:-1] + b"\xff"), "cut"),
        (lambda said: said.replace(b"H\0\0\0\x0b\x01", b"H\0\0\0\x0b\0"), "another format"),
        (lambda said: said.replace(b"c\0\0\0\4", b"c\0\0\0\3"), "no valid length"),
        (lambda said: said.replace(b"c\0\0\0\4", b"c\x7f\0\0\4"), "no valid length"),
        (lambda said: said.replace(b"c\0\0\0\4", b"W\0\0\0\4"), "no known kind"),
        (lambda said: said.replace(packed([b"two"]), packed([b"tw"]) + b"o"), "fill"),
        (lambda said: said.replace(b"\0\0\0\3two", b"\0\0\0\2two"), "fill"),
        (lambda said: said.replace(b"\0\0\0\3two", b"\xff\0\0\3two"), "fill|valid length"),
        (lambda said: said.replace(b"\0\0\0\3two", b"\x80\0\0\3two"), "valid length"),
        (lambda said: said.replace(b"\0\1\0\0\0\3two", b"\0\2\0\0\0\3two"), "number of values"),
    ],
)  # fmt: skip
def test_an_answer_that_breaks_the_protocol_is_refused(
    change: Callable[[bytes], bytes], words: str, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that are missing, too many or not what the format says end in an error."""
    monkeypatch.setattr(messages, "BATCH_BYTES", batch)
    said = answer([[b"one"], [b"two"]])
    assert read(said, 1) == [[b"one"], [b"two"]]
    assert change(said) != said
    with pytest.raises(Malformed, match=words):
        read(change(said), 1, [batch])


def test_a_large_length_makes_no_room_before_its_bytes_come() -> None:
    """A server that lies about a length cannot make a reader hold what was never sent."""
    said = message("H", COPY_OUT) + b"d" + struct.pack(">I", (1 << 30) + (2 << 20)) + b"x" * 100
    with pytest.raises(Malformed, match="no valid length"):
        read(said + bytes(2 << 20), 1)


def test_numbers_of_another_width_are_refused() -> None:
    """A column of eight bytes a value does not take four."""
    channel = Script(answer([[b"12345678"], [b"1234"], [None]]), [1 << 30])
    connection: Any = None
    (tuples,) = copied(connection, "SELECT", 1, channel=channel)
    with pytest.raises(Malformed, match="another width"):
        split_fields(tuples, [8])
