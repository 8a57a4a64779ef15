"""What is chosen for a column by looking at some of its values."""

from __future__ import annotations

import hashlib
import random

import pyarrow as pa
import pytest

from dbsync.archive import encode_chunk
from dbsync.archive.layout import Layout, annotate
from dbsync.archive.profile import writer_options
from dbsync.model.types import LogicalType
from tests.unit.archive.build import TEXT, batch, column, table

OF = table("t", column("c", TEXT))


def tokens(count: int) -> list[str]:
    """Make texts of 64 hexadecimal digits."""
    return [hashlib.sha256(str(n).encode()).hexdigest() for n in range(count)]


def sentences(count: int) -> list[str]:
    """Make texts whose longer parts come again, which a harder search finds."""
    chance = random.Random(1)  # noqa: S311 - data
    words = ["".join(chance.choices("abcdefghij", k=chance.randint(2, 9))) for _ in range(3000)]
    phrases = [" ".join(chance.choices(words, k=9)) for _ in range(2000)]
    return [", ".join(chance.choices(phrases, k=3)) for _ in range(count)]


def level_of(rows: pa.RecordBatch, asked: int, of=OF) -> int:
    """Say at which level the column is written."""
    options = writer_options(Layout(of), pa.Table.from_batches([rows]), asked, rows.nbytes)
    return options["compression_level"]["c"]


@pytest.mark.parametrize("asked", [2, 3])
def test_text_gets_a_lower_level_where_that_loses_nothing(asked):
    """Digests are written as at level 1, byte for byte, and are not larger than at the other."""
    rows = batch(OF, tokens(40_000))
    assert level_of(rows, asked) == 1
    written = encode_chunk(OF, [rows], compression_level=asked)
    assert written.data.equals(encode_chunk(OF, [rows], compression_level=1).data)


def test_text_keeps_the_level_where_it_pays():
    """Text that a harder search makes smaller is written at the level that was asked for."""
    rows = batch(OF, sentences(20_000))
    assert level_of(rows, 3) == 3
    sizes = [encode_chunk(OF, [rows], compression_level=n).data.size for n in (1, 3)]
    assert sizes[1] < 0.98 * sizes[0]


def test_rows_in_turn_do_not_look_alike():
    """Text of which every fifth value is the same has no dictionary, wherever these are."""
    for first in range(5):
        values = ["" if n % 5 == first else text for n, text in enumerate(tokens(40_000))]
        rows = pa.Table.from_batches([batch(OF, values)])
        assert writer_options(Layout(OF), rows, 3, rows.nbytes)["use_dictionary"] is False


@pytest.mark.parametrize("asked", [1, 4, 19])
def test_who_asks_for_the_fastest_or_the_smallest_gets_it(asked):
    """Level 1 has nothing below it, and levels above 3 are taken as they are."""
    assert level_of(batch(OF, tokens(40_000)), asked) == asked


def test_little_text_is_not_looked_at():
    """Less than a mebibyte keeps the level: there is no time to be won."""
    assert level_of(batch(OF, tokens(1000)), 3) == 3


@pytest.mark.parametrize("kind", ["binary", "json", "string"])
def test_every_kind_of_text_is_looked_at(kind):
    """Bytes and JSON are sampled as text is, with NULLs and empty values among them."""
    of = table("t", column("c", LogicalType(name=kind)))
    texts = [f'"{token}"' for token in tokens(40_000)]
    values = [None if n % 7 == 0 else "" if n % 5 == 0 and kind != "json" else text
              for n, text in enumerate(texts)]  # fmt: skip
    rows = pa.RecordBatch.from_arrays([pa.array(values).cast(Layout(of).values[0].type)], ["c"])
    written = pa.Table.from_batches(
        [pa.RecordBatch.from_arrays([annotate(rows.column(0), Layout(of).values[0])], ["c"])]
    )
    options = writer_options(Layout(of), written, 3, rows.nbytes)
    assert options["compression_level"]["c"] == 1
    assert encode_chunk(of, [rows]).rows == 40_000


def test_a_chunk_of_nulls_has_no_sample():
    """A column of only NULLs, or with all its values elsewhere than in the middle, is written."""
    nulls = batch(OF, [None] * 10_000_000)
    assert level_of(nulls, 3) == 1
    rest = batch(OF, tokens(20_000))
    whole = pa.Table.from_batches([rest, nulls, rest])
    options = writer_options(Layout(OF), whole, 3, whole.nbytes)
    assert options["compression_level"]["c"] in (1, 2, 3)


def test_one_value_larger_than_the_sample():
    """Of a value of many megabytes, only a part is tried."""
    rows = batch(OF, ["".join(tokens(200_000))])
    assert level_of(rows, 3) == 1
