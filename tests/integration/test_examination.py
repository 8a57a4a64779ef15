"""What cannot arrive is refused before the first write, with all that is needed to find it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.command import dbsync
from tests.integration.engines import ENGINES, query, tables
from tests.integration.maria_rows import maria_query

SOURCE = """
SET sql_mode = 'ALLOW_INVALID_DATES';
CREATE TABLE t (id int PRIMARY KEY, b bigint unsigned, d decimal(10,2), w date,
                s varchar(10) COLLATE utf8mb4_bin) CHARACTER SET utf8mb4;
INSERT INTO t VALUES (1, 1, 1.10, '2024-02-29', 'abc'), (2, NULL, NULL, NULL, NULL),
  (6, 9223372036854775807, 999.99, '9999-12-31', 'x'),
  (7, 9223372036854775808, 1000.00, '0000-00-00', 'abcd'),
  (8, 18446744073709551615, 2, '2023-02-29', 'X')
"""
EXISTING = {
    "postgresql": "CREATE TABLE t (id int PRIMARY KEY, b bigint, d numeric(5,2), w date,"
    " s varchar(3))",
    "mysql": "CREATE TABLE t (id int PRIMARY KEY, b bigint, d decimal(5,2), w date,"
    " s varchar(3) UNIQUE) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci",
    "sqlite": "CREATE TABLE t (id integer PRIMARY KEY, b bigint, d numeric(5,2), w date,"
    " s text COLLATE NOCASE UNIQUE)",
}
_RANGE, _DIGITS, _DATES = "column b: 2 values", "column d: 1 value", "column w: 2 values"
_LENGTH, _MERGING = "column s: 1 value", "key (s): 1 key of different rows"
EXPECTED = {
    "postgresql": {_RANGE, _DIGITS, _DATES, _LENGTH},
    # The same engine takes its own dates, and SQLite counts neither digits nor characters.
    "mysql": {_RANGE, _DIGITS, _LENGTH, _MERGING},
    "sqlite": {_RANGE, _DATES, _MERGING},
}


@pytest.fixture
def source(maria_url: str) -> str:
    """A database with a value beyond each limit."""
    maria_query(maria_url, SOURCE)
    return maria_url


@pytest.fixture
def new_url(
    new_pg_url: Callable[[], str], new_maria_url: Callable[[], str], tmp_path: Path
) -> Callable[[str], str]:
    """A function that gives the URL of an empty database of an engine."""

    def create(engine: str) -> str:
        if engine == "sqlite":
            return f"sqlite:///{tmp_path / 'new.sqlite'}"
        return new_pg_url() if engine == "postgresql" else new_maria_url()

    return create


@pytest.mark.parametrize("engine", ENGINES)
def test_an_existing_table_keeps_its_rows(
    source: str, new_url: Callable[[str], str], tmp_path: Path, engine: str
) -> None:
    """Range, digits, dates, length and merging keys: one line each, exit code 7, no row written."""
    archive, target = tmp_path / "a.dbsync.tar", new_url(engine)
    dbsync("export", "--url", source, archive)
    query(target, EXISTING[engine])
    query(target, "INSERT INTO t (id, s) VALUES (100, 'old')")
    for more in ((), ("--dry-run",), ("--existing", "overwrite")):
        done = dbsync("import", archive, "--url", target, *more, code=7)
        lines = [line for line in done.err.splitlines() if "table t, " in line]
        told = {line.partition("table t, ")[2] for line in lines}
        missing = {e for e in EXPECTED[engine] if not any(line.startswith(e) for line in told)}
        assert (missing, len(lines)) == (set(), len(EXPECTED[engine])), done.err
        assert all("id=7" in line or "key (s)" in line for line in told), done.err
        assert "nothing was written" in done.err
        assert query(target, "SELECT id, s FROM t") == [(100, "old")]
        assert tables(target) == ["t"]


@pytest.mark.parametrize("engine", ENGINES)
def test_the_key_of_a_row_is_left_out_with_its_column(
    source: str, new_url: Callable[[str], str], tmp_path: Path, engine: str
) -> None:
    """A message never shows what the user kept out of the archive, and the count is still there."""
    archive, target = tmp_path / "a.dbsync.tar", new_url(engine)
    dbsync("export", "--url", source, archive, "--columns", "t:b,d")
    query(target, "CREATE TABLE t (b smallint, d numeric(5,2), id int DEFAULT 0)")
    expected = _RANGE if engine == "sqlite" else "column b: 3 values"
    done = dbsync("import", archive, "--url", target, code=7)
    assert f"table t, {expected}" in done.err
    assert "in the row" not in done.err
    assert "id=" not in done.err
    assert query(target, "SELECT count(*) FROM t") == [(0,)]
