"""Numbers in PostgreSQL's binary form are what the server itself prints."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from typing import Any

import numpy as np
import psycopg2
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbsync.connectors.postgres.fields import Malformed, Tuples, split_fields
from dbsync.connectors.postgres.numeric import DecimalReader
from tests.servers import PostgresServer


def tuples(values: list[bytes | None]) -> Tuples:
    """Pack rows of one value into a buffer."""
    rows = [
        b"\0\1" + (-1 if v is None else len(v)).to_bytes(4, "big", signed=True) + (v or b"")
        for v in values
    ]
    ends = np.cumsum([len(row) for row in rows])
    begins = np.concatenate(([0], ends[:-1]))
    return Tuples(bytearray(b"".join(rows) + bytes(64)), begins, ends)


@pytest.fixture(scope="session")
def numbers(pg18: PostgresServer) -> Iterator[Any]:
    """A cursor that reads numbers in binary form and as the server's text."""
    with closing(psycopg2.connect(pg18.url())) as connection, connection.cursor() as cursor:
        yield cursor


@settings(deadline=None, max_examples=60)
@given(data=st.data(), precision=st.integers(1, 18))
def test_numbers_are_what_the_server_prints(numbers: Any, data: st.DataObject, precision: int):
    """Every numeric(p,s) up to 18 digits, NaN and NULL, is the text of the server."""
    scale = data.draw(st.integers(0, precision))
    whole = st.integers(1 - 10**precision, 10**precision - 1)
    texts = data.draw(
        st.lists(
            st.one_of(
                whole.map(lambda n: f"{Decimal(n).scaleb(-scale):f}"),
                st.integers(-9, 9).map(lambda n: f"{Decimal(n).scaleb(-scale):f}"),
                st.sampled_from(["NaN", "0", None]),
            ),
            min_size=1,
            max_size=30,
        )
    )
    numbers.execute(
        f"SELECT n::numeric({precision},{scale})::text,"
        f" pg_catalog.numeric_send(n::numeric({precision},{scale}))"
        " FROM unnest(%s::text[]) WITH ORDINALITY u(n, i) ORDER BY i",
        (texts,),
    )
    printed, sent = zip(*numbers.fetchall(), strict=True)
    reader = DecimalReader(pa.decimal128(precision, scale))
    (field,) = split_fields(tuples([None if s is None else bytes(s) for s in sent]), [None])
    found, nan = reader.read(field)
    flags = [False] * len(texts) if nan is None else nan.tolist()
    for text, number, is_nan in zip(printed, found.tolist(), flags, strict=True):
        assert is_nan == (text == "NaN")
        if text is not None and not is_nan:
            assert Decimal(text) == Decimal(number).scaleb(-scale)


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        ((1, 0, 0x4001, 2, 1), "sign"),
        ((1, 0, 0xD000, 0, 1), "sign"),
        ((1, 2, 0, 2, 1), "larger"),
        ((1, -1, 0, 3, 1), "decimals"),
        ((1, -2, 0, 8, 1), "other digits"),
        ((1, 5, 0, 0, 1), "other digits"),
        ((4, 0, 0, 2, 1, 100, 1, 1), "more digits"),
    ],
)
def test_a_number_that_its_type_cannot_have_is_refused(groups: tuple[int, ...], words: str) -> None:
    """What would not fit numeric(6,2) is an error, never another number."""
    sent = b"".join((n & 0xFFFF).to_bytes(2, "big") for n in groups)
    (field,) = split_fields(tuples([sent]), [None])
    with pytest.raises(Malformed, match=words):
        DecimalReader(pa.decimal128(6, 2)).read(field)
