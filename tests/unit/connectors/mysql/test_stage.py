"""Rows merged into a table that holds some, on MariaDB: every outcome of an upsert, counted."""

from __future__ import annotations

from typing import Any

import pytest

from dbsync.connectors.base import Counts
from dbsync.errors import LossError, TargetError
from dbsync.model.types import LogicalType, integer
from tests.unit.connectors.mysql.writing import BINARY, TEXT, column, make, query, source, write

T = LogicalType
UPSERT: dict[str, Any] = {"mode": "update", "key": ("i",)}


def people(url: str, extra: str = "") -> None:
    """Make a table with two rows."""
    make(
        url,
        "DROP TABLE IF EXISTS t",
        f"CREATE TABLE t (i INT PRIMARY KEY, c VARCHAR(20), d INT{extra}) "
        "DEFAULT CHARSET utf8mb4 COLLATE utf8mb4_nopad_bin",
        "INSERT INTO t (i, c, d) VALUES (1, 'one', 10), (2, 'two', NULL)",
    )


OF = source(column("i"), column("c", TEXT), column("d"), key=["i"])


def test_matched_rows_are_updated_and_others_inserted(maria_url: str) -> None:
    """Counts are exact, and a row that changes nothing counts as updated too."""
    people(maria_url)
    counts = write(maria_url, OF, [(2, "zwei", 20), (1, "one", 10), (3, "drei", None)], **UPSERT)
    assert counts == [Counts(inserted=1, updated=2)]
    assert query(maria_url, "SELECT * FROM t") == [
        (1, "one", 10),
        (2, "zwei", 20),
        (3, "drei", None),
    ]


def test_skip_leaves_rows_alone(maria_url: str) -> None:
    """Rows that are there keep their values; the others are added."""
    people(maria_url)
    counts = write(maria_url, OF, [(2, "zwei", 20), (3, "drei", 3)], mode="skip", key=("i",))
    assert counts == [Counts(inserted=1, skipped=1)]
    assert query(maria_url, "SELECT c FROM t") == [("one",), ("two",), ("drei",)]


def test_merge_keeps_what_is_there_where_null_comes(maria_url: str) -> None:
    """An incoming NULL keeps the value of the row that is there; a value wins."""
    people(maria_url)
    write(maria_url, OF, [(1, None, 11), (2, "zwei", None)], mode="merge", key=("i",))
    assert query(maria_url, "SELECT * FROM t") == [(1, "one", 11), (2, "zwei", None)]


def test_the_last_row_of_a_repeated_key_wins(maria_url: str) -> None:
    """Within a chunk, over its batches, and from chunk to chunk."""
    people(maria_url)
    counts = write(
        maria_url,
        OF,
        [(3, "a", 1), (1, "x", 1), (3, "b", 2), (3, "c", 3)],
        [(3, "d", 4)],
        ordered=True,
        **UPSERT,
    )
    assert counts == [Counts(inserted=1, updated=1, superseded=2), Counts(updated=1)]
    assert query(maria_url, "SELECT * FROM t WHERE i <> 2") == [(1, "x", 1), (3, "d", 4)]


def test_a_null_in_the_key_is_refused(maria_url: str) -> None:
    """It would be added anew by every import."""
    make(maria_url, "CREATE TABLE t (i INT, c INT, UNIQUE (i))")
    with pytest.raises(LossError, match="column i: 1 NULL in the key"):
        write(maria_url, source(column("i"), column("c")), [(1, 1), (None, 2)], **UPSERT)
    assert query(maria_url, "SELECT * FROM t") == []


@pytest.mark.parametrize("rows", [[(2, "one", 0)], [(3, "one", 0)]], ids=["update", "insert"])
def test_a_clash_under_another_unique_key_changes_nothing(maria_url: str, rows: Any) -> None:
    """ON DUPLICATE KEY UPDATE would have changed the row with the other key; the key is named."""
    people(maria_url, ", UNIQUE KEY names (c)")
    before = query(maria_url, "SELECT * FROM t")
    with pytest.raises(TargetError, match=r"names.*1062"):
        write(maria_url, OF, [(4, "four", 4), *rows], **UPSERT)
    assert query(maria_url, "SELECT * FROM t") == before


def test_a_table_of_keys_only_counts_what_it_skips(maria_url: str) -> None:
    """There is nothing to update, so rows that are there are skipped."""
    make(
        maria_url,
        "CREATE TABLE t (i INT, c INT, PRIMARY KEY (i, c))",
        "INSERT INTO t VALUES (1, 1)",
    )
    of = source(column("i"), column("c"))
    counts = write(maria_url, of, [(1, 1), (1, 2)], mode="update", key=("i", "c"))
    assert counts == [Counts(inserted=1, skipped=1)]


CASELESS = "CREATE TABLE t (i VARCHAR(20) {collation} PRIMARY KEY, c INT) DEFAULT CHARSET utf8mb4"
WORDS = source(column("i", TEXT), column("c"), key=["i"])


@pytest.mark.parametrize(
    ("collation", "keys"),
    [
        ("COLLATE utf8mb4_general_ci", ("Straße", "straße")),
        ("COLLATE utf8mb4_unicode_ci", ("cafe", "café")),
        ("COLLATE utf8mb4_bin", ("a", "a ")),
        ("CHARACTER SET latin1 COLLATE latin1_swedish_ci", ("Ä", "ä")),
    ],
)
def test_keys_that_only_the_collation_finds_equal_are_refused(
    maria_url: str, collation: str, keys: tuple[str, str]
) -> None:
    """Neither among the rows of a chunk nor with one that is there does a key become another."""
    make(maria_url, CASELESS.format(collation=collation))
    with pytest.raises(LossError, match="equal only under collation") as caught:
        write(maria_url, WORDS, [(keys[0], 1), (keys[1], 2), ("z", 3)], ordered=True, **UPSERT)
    assert repr(keys[0]) in caught.value.message
    assert repr(keys[1]) in caught.value.message
    write(maria_url, WORDS, [(keys[0], 1)], **UPSERT)
    with pytest.raises(LossError, match="equal only under collation"):
        write(maria_url, WORDS, [(keys[1], 2)], **UPSERT)
    assert query(maria_url, "SELECT i, c FROM t") == [(keys[0], 1)]
    assert write(maria_url, WORDS, [(keys[0], 5)], **UPSERT) == [Counts(updated=1)]


ODD = [
    ("ENUM('a','A')", T(name="enum", labels=("a", "A")), "A", "a"),
    ("SET('x','y')", TEXT, "x,y", ""),
    ("BIT(9)", integer(16, unsigned=True), 511, 0),
    ("POINT", BINARY, bytes.fromhex("000000000101000000000000000000F03F000000000000F03F"), None),
    ("JSON", T(name="json"), '{"b":1, "a":2}', "[]"),
    ("UUID", T(name="uuid"), bytes(range(16)), bytes(16)),
    ("BINARY(2)", BINARY, b"\xff\0", b"ab"),
    ("LONGTEXT", TEXT, "😀\t\\", ""),
    ("DECIMAL(65,30)", T(name="decimal", precision=65, scale=30), "9" * 35 + ".5", "-1"),
    ("YEAR", integer(16), 0, 2155),
    ("INT(8) UNSIGNED ZEROFILL", integer(32, unsigned=True), 7, 2**32 - 1),
]


@pytest.mark.parametrize(("native", "logical", "old", "new"), ODD, ids=[o[0] for o in ODD])
def test_staged_values_arrive_exactly(
    maria_url: str, native: str, logical: T, old: Any, new: Any
) -> None:
    """Whatever the type, a value that was staged is the one that a direct load stores."""
    charset = "DEFAULT CHARSET utf8mb4 COLLATE utf8mb4_nopad_bin"
    make(maria_url, f"CREATE TABLE t (i INT PRIMARY KEY, c {native}) {charset}")
    of = source(column("i"), column("c", logical), key=["i"])
    write(maria_url, of, [(1, old), (2, new)])
    expected = query(maria_url, "SELECT HEX(c), LENGTH(c) FROM t ORDER BY i")
    make(maria_url, "DELETE FROM t")
    write(maria_url, of, [(1, new), (3, None)], **UPSERT)
    write(maria_url, of, [(1, old), (2, new)], **UPSERT)
    assert query(maria_url, "SELECT HEX(c), LENGTH(c) FROM t WHERE i < 3 ORDER BY i") == expected


def test_generated_columns_defaults_and_invisible_columns_are_merged(maria_url: str) -> None:
    """Computed columns follow, invisible ones are written, others get defaults."""
    make(
        maria_url,
        "CREATE TABLE t (i INT PRIMARY KEY AUTO_INCREMENT, c INT INVISIBLE, "
        "g INT AS (c * 2) STORED, d INT NOT NULL DEFAULT 9)",
    )
    of = source(column("i"), column("c"), column("g"), key=["i"])
    write(maria_url, of, [(0, 1, 0), (5, 2, 0)])
    counts = write(maria_url, of, [(0, 3, 0), (6, 4, 0)], **UPSERT)
    assert counts == [Counts(inserted=1, updated=1)]
    found = query(maria_url, "SELECT i, c, g, d FROM t")
    assert found == [(0, 3, 6, 9), (5, 2, 4, 9), (6, 4, 8, 9)]


def test_triggers_see_only_rows_that_change(maria_url: str) -> None:
    """A row that is the same already fires no UPDATE trigger, one that differs in case does."""
    people(maria_url)
    make(
        maria_url,
        "CREATE TABLE seen (i INT)",
        "CREATE TRIGGER look AFTER UPDATE ON t FOR EACH ROW INSERT INTO seen VALUES (NEW.i)",
    )
    counts = write(maria_url, OF, [(1, "ONE", 10), (2, "two", None)], **UPSERT)
    assert counts == [Counts(updated=2)]
    assert query(maria_url, "SELECT i FROM seen") == [(1,)]


def test_a_text_that_is_no_json_is_a_value_that_does_not_fit(maria_url: str) -> None:
    """The check is met when staged rows are merged, and nothing of the chunk stays."""
    make(maria_url, "CREATE TABLE t (i INT PRIMARY KEY, c JSON)")
    of = source(column("i"), column("c", T(name="json")), key=["i"])
    with pytest.raises(LossError, match="JSON"):
        write(maria_url, of, [(1, "{}"), (2, "{")], **UPSERT)
    assert query(maria_url, "SELECT i FROM t") == []


def test_an_aborted_chunk_leaves_no_staged_rows_for_the_next(maria_url: str) -> None:
    """A writer that is left without commit has written nothing, and another one begins clean."""
    people(maria_url)

    class Stop(Exception):
        pass

    def stop(at: str) -> None:
        raise Stop(at)

    with pytest.raises(Stop):
        write(maria_url, OF, [(1, "x", 1), (9, "y", 2)], at=stop, **UPSERT)
    assert query(maria_url, "SELECT i, c FROM t") == [(1, "one"), (2, "two")]
    assert write(maria_url, OF, [(3, "z", 3)], **UPSERT) == [Counts(inserted=1)]
