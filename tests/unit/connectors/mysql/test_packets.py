"""Rows of a text result set become columns of raw bytes, wherever the bytes are cut."""

from __future__ import annotations

import io
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any
from unittest import mock

import pyarrow as pa
import pymysql
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbsync.connectors.mysql import packets, rows
from dbsync.connectors.mysql.connection import Session, open_session, parse_url
from dbsync.connectors.mysql.rows import Rows
from dbsync.errors import SourceError
from tests.servers import MariaServer

Row = list[bytes | None]

EOF = b"\xfe\x00\x00\x02\x00"
OK_AS_EOF = b"\xfe\x00\x00\x02\x00\x00\x00"  # what ends a result under CLIENT_DEPRECATE_EOF
ERROR = b"\xff" + struct.pack("<H", 1317) + b"#70100interrupted"


class Wire(io.RawIOBase):
    """Bytes that arrive in pieces of given sizes, over and over; then the connection ends."""

    def __init__(self, data: bytes, sizes: list[int]) -> None:
        self._left = memoryview(data)
        self._sizes = sizes
        self._turn = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = min(self._sizes[self._turn % len(self._sizes)], len(buffer), len(self._left))
        self._turn += 1
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size


def _value(value: bytes | None) -> bytes:
    if value is None:
        return b"\xfb"
    size = len(value)
    if size < 251:
        return bytes([size]) + value
    if size < 1 << 16:
        return b"\xfc" + struct.pack("<H", size) + value
    return b"\xfd" + struct.pack("<I", size)[:3] + value


def _packets(payloads: list[bytes], full: int = 0xFFFFFF) -> bytes:
    """Wrap payloads as a server does, going on in a further packet after a full one."""
    out, number = [], 1
    for payload in payloads:
        at = 0
        while True:
            piece = payload[at : at + full]
            out.append(struct.pack("<I", len(piece))[:3] + bytes([number % 256]) + piece)
            number += 1
            at += full
            if len(piece) < full:
                break
    return b"".join(out)


def _result(table: list[Row], columns: int, *, end: bytes = EOF, full: int = 0xFFFFFF) -> bytes:
    """Build the whole answer to a query: column count, columns, EOF, rows, and what ends it."""
    head = [bytes([columns]), *[b"\x03def"] * columns, EOF]
    return _packets([*head, *[b"".join(map(_value, row)) for row in table], end], full)


def _query(answer: bytes, sizes: list[int]) -> Rows:
    """Ask the driver's own connection, whose socket is replaced by the answer."""
    connection: Any = pymysql.Connection(user="nobody", defer_connect=True)
    connection._sock, connection._peer = socket.socketpair()
    connection._rfile = io.BufferedReader(Wire(answer, sizes))
    connection._current_timeout = None
    return Rows(connection, "SELECT")


def _read(result: Rows) -> list[Row]:
    table: list[Row] = []
    while (batch := result.next_batch()) is not None:
        for column in batch:
            assert column.type == pa.binary()
            column.validate(full=True)
        lists = [column.to_pylist() for column in batch]
        assert lists[0]
        table += [list(row) for row in zip(*lists, strict=True)]
    return table


def _tables() -> st.SearchStrategy[tuple[int, list[Row]]]:
    sizes = st.sampled_from([0, 1, 5, 30, 39, 40, 41, 80, 250, 251, 252, 300, 65535, 65536])
    value = st.one_of(
        st.none(),
        st.binary(max_size=12),
        st.sampled_from([b"\xff", b"\xfe\x00\x00\x02\x00", b"\xfb", b"\xfc\x01"]),
        st.builds(lambda size, byte: bytes([byte]) * size, sizes, st.integers(0, 255)),
    )
    return st.integers(1, 5).flatmap(
        lambda columns: st.tuples(
            st.just(columns),
            st.lists(st.lists(value, min_size=columns, max_size=columns), max_size=40),
        )
    )


@settings(deadline=None)
@given(
    table=_tables(),
    sizes=st.lists(st.sampled_from([1, 2, 3, 4, 5, 7, 50, 1000, 9000, 100_000]), min_size=1),
    batch=st.sampled_from([1, 16, 200, 5000, 2 << 20]),
    full=st.sampled_from([40, 41, 300, 0xFFFFFF]),
    end=st.sampled_from([EOF, OK_AS_EOF]),
)
def test_any_rows_in_any_pieces_come_back(
    table: tuple[int, list[Row]], sizes: list[int], batch: int, full: int, end: bytes
) -> None:
    """Values of any length, NULLs, packets cut anywhere, small buffers, rows of many packets."""
    columns, expected = table
    with (
        mock.patch.object(rows, "BATCH_BYTES", batch),
        mock.patch.object(rows, "_SPARE_BYTES", 24),
        mock.patch.object(packets, "FULL", full),
    ):
        answer = _result(expected, columns, end=end, full=full)
        # The driver reads the columns, and knows full packets of the real size only.
        assert _read(_query(answer, sizes)) == expected


def test_many_small_rows_are_numbered_modulo_256() -> None:
    """The counter of the packets wraps many times within one batch, and goes on in the next."""
    table: list[Row] = [[b"%d" % number, None if number % 3 else b""] for number in range(300_000)]
    assert _read(_query(_result(table, 2), [70_000])) == table


@pytest.mark.parametrize("cut", range(1, 60))
def test_a_lost_connection_is_an_error_wherever_it_happens(cut: int) -> None:
    """Bytes that end before the result does are never taken for its end."""
    answer = _result([[b"one", b"two"]] * 3, 2)
    with pytest.raises(pymysql.err.OperationalError) as caught:
        _read(_query(answer[: len(answer) - cut], [10]))
    assert caught.value.args[0] == 2013


def test_an_error_in_the_middle_of_a_result_is_raised() -> None:
    """The server's error replaces the end of the result, after which the connection is free."""
    result = _query(_result([[b"1"]] * 5, 1, end=ERROR), [11])
    with pytest.raises(pymysql.err.OperationalError, match="interrupted") as caught:
        _read(result)
    assert caught.value.args[0] == 1317
    assert result.finished


def test_an_error_is_understood_whatever_its_number() -> None:
    """A server that shuts down numbers its last error 0."""
    farewell = b"\xff" + struct.pack("<H", 1053) + b"#08S01shutdown"
    packet = struct.pack("<I", len(farewell))[:3] + b"\x00" + farewell
    answer = _result([[b"1"]] * 5, 1)[: -len(EOF) - 4] + packet
    with pytest.raises(pymysql.MySQLError) as caught:
        _read(_query(answer, [1000]))
    assert caught.value.args[0] == 1053


def _missing(answer: bytearray) -> None:
    answer[-9 - 6 : -9] = b""  # the last row


def _longer_value(answer: bytearray) -> None:
    answer[-9 - 2] = 2


def _no_length(answer: bytearray) -> None:
    answer[-9 - 2] = 0xFF


def _huge_length(answer: bytearray) -> None:
    answer[-9 - 6 : -9] = b"\x09\x00\x00" + answer[-9 - 3 : -9 - 2] + b"\xfe" + b"\xff" * 8


def _empty_row(answer: bytearray) -> None:
    answer[-9 - 6 : -9] = b"\x00\x00\x00" + answer[-9 - 3 : -9 - 2]


def _more_results(answer: bytearray) -> None:
    answer[-2] = 0x0A


@pytest.mark.parametrize(
    "spoil", [_missing, _longer_value, _no_length, _huge_length, _empty_row, _more_results]
)
def test_malformed_answers_close_the_connection(spoil: Callable[[bytearray], None]) -> None:
    """Bytes that make no sense are an error, never rows, and nothing more is read from there."""
    answer = bytearray(_result([[b"1"]] * 5, 1))
    spoil(answer)
    result = _query(bytes(answer), [1000])
    connection = result._connection
    with pytest.raises(pymysql.err.OperationalError) as caught:
        _read(result)
    assert caught.value.args[0] == 2027
    assert connection._sock is None


def test_a_statement_without_rows_has_no_batches() -> None:
    """The answer of a statement that returns nothing, and of a query without rows."""
    assert _read(_query(_packets([b"\x00\x00\x00\x02\x00\x00\x00"]), [100])) == []
    assert _read(_query(_result([], 3), [100])) == []


@pytest.fixture
def session(maria: MariaServer, maria_url: str) -> Iterator[Session]:
    """A session of a server that lets values be larger than a packet."""
    before = maria.execute("SELECT @@GLOBAL.max_allowed_packet")[0][0]
    maria.execute("SET GLOBAL max_allowed_packet = 1073741824")
    try:
        opened = open_session(parse_url(maria_url), SourceError)
    finally:
        maria.execute(f"SET GLOBAL max_allowed_packet = {before}")
    with closing(opened):
        yield opened


_EDGE = "SELECT REPEAT('a', {0}) AS a, NULL AS b, REPEAT('b', {1}) AS c, '' AS d FROM seq_1_to_3"
_MIXED = (
    "SELECT seq, NULLIF(seq % 3, 0), REPEAT('x', seq % 700), REPEAT('y', seq % 252),"
    " IF(seq % 400, '', REPEAT('z', 65530 + seq % 12)), seq / 7, TIMESTAMP'2024-02-29 00:00:01.5',"
    " UNHEX(SHA2(seq, 256)), 'ü€😀', b'101', ST_GeomFromText('POINT(1 2)')"
    " FROM seq_1_to_20000"
)


@pytest.mark.parametrize(
    "query",
    [
        _MIXED,
        "SELECT seq FROM seq_1_to_400000",
        "SELECT 1 AS a, NULL AS b WHERE 1 = 0",
        "SELECT REPEAT('a', 40000000) AS a UNION ALL SELECT 'small' UNION ALL SELECT NULL",
        _EDGE.format(10_000_000, 6_777_207 - 3),  # the row is one byte short of a full packet
        _EDGE.format(10_000_000, 6_777_207 - 2),  # full, so that an empty packet follows
        _EDGE.format(10_000_000, 6_777_207 - 1),
        _EDGE.format(16_777_214, 0),
        _EDGE.format(16_777_215, 1),
        _EDGE.format(16_777_216, 16_777_216),
    ],
    ids=["mixed", "narrow", "empty", "40M", "short", "full", "over", "16M-2", "16M-1", "16M"],
)
def test_a_servers_rows_are_what_the_driver_reads(
    maria: MariaServer, session: Session, query: str
) -> None:
    """Every byte and every NULL equals the driver's own decoding, from one byte to 40 MB."""
    doing = "comparing"
    got: list[Row] = []
    for batch in session.stream(query, doing):
        got += [list(row) for row in zip(*(c.to_pylist() for c in batch), strict=True)]
    connection: Any = session._connection
    connection.use_unicode, decoders = False, connection.decoders
    connection.decoders = {}
    try:
        connection.query(query)
        expected = [list(row) for row in connection._result.rows]
    finally:
        connection.use_unicode, connection.decoders = True, decoders
    assert len(got) == len(expected)
    assert got == expected


def test_batches_are_of_bounded_size(session: Session) -> None:
    """A long result comes in batches of a few MiB, and one large row does not enlarge the next."""
    query = "SELECT REPEAT('x', IF(seq = 50, 9000000, 1000)) AS a FROM seq_1_to_20000"
    sizes = [sum(column.nbytes for column in batch) for batch in session.stream(query, "measuring")]
    assert sum(size > 3 << 20 for size in sizes) == 1
    assert len(sizes) > 6
