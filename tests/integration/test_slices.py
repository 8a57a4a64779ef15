"""A slice of a database: chosen tables, columns and rows, on every engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.command import dbsync
from tests.integration.engines import query
from tests.integration.rows import sqlite_script

SCRIPT = """
CREATE TABLE customer (id integer PRIMARY KEY, name text NOT NULL, secret text);
CREATE TABLE purchase (id integer PRIMARY KEY, customer_id integer REFERENCES customer (id));
CREATE TABLE audit (line text);
INSERT INTO customer VALUES (1, 'a', 's1'), (2, 'b', 's2'), (3, 'c', 's3');
INSERT INTO purchase VALUES (10, 1), (11, 2), (12, 3);
INSERT INTO audit VALUES ('x');
"""


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def urls(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    new_pg_url: Callable[[], str],
    new_maria_url: Callable[[], str],
) -> tuple[str, str]:
    """A filled source and an empty target of the same engine."""
    if request.param == "sqlite":
        sqlite_script(tmp_path / "source.sqlite", SCRIPT)
        return f"sqlite:///{tmp_path}/source.sqlite", f"sqlite:///{tmp_path}/target.sqlite"
    new_url = new_pg_url if request.param == "postgresql" else new_maria_url
    source = new_url()
    query(source, SCRIPT)
    return source, new_url()


def test_columns_and_rows(urls: tuple[str, str], tmp_path: Path) -> None:
    """--tables, --columns and --where together create and fill just what was chosen."""
    source, target = urls
    archive = tmp_path / "slice.dbsync.tar"
    dbsync(
        "export", "--url", source, "--tables", "customer,purch*", "--columns", "customer:id,name",
        "--where", "customer: id <= 2", "--where", "purchase: customer_id <= 2", archive,
    )  # fmt: skip
    assert b"s1" not in archive.read_bytes()
    dbsync("import", "--url", target, "--include-schema", archive)
    assert query(target, "SELECT * FROM customer ORDER BY id") == [(1, "a"), (2, "b")]
    assert query(target, "SELECT * FROM purchase ORDER BY id") == [(10, 1), (11, 2)]
    with pytest.raises(Exception, match="audit"):
        query(target, "SELECT * FROM audit")


def test_one_table_of_an_archive(urls: tuple[str, str], tmp_path: Path) -> None:
    """Importing one table leaves out the others and reports the reference that hangs."""
    source, target = urls
    archive = tmp_path / "all.dbsync.tar"
    dbsync("export", "--url", source, archive)
    done = dbsync(
        "import", "--url", target, "--include-schema", "--tables", "purchase", "--json", archive
    ).json()
    assert "purchase" in " ".join(loss["object"] for loss in done["plan"]["losses"])
    assert query(target, "SELECT count(*) FROM purchase") == [(3,)]


def test_merge_and_skip(urls: tuple[str, str], tmp_path: Path) -> None:
    """merge keeps what is there where a NULL comes in; skip leaves present rows alone."""
    source, target = urls
    archive = tmp_path / "all.dbsync.tar"
    dbsync("export", "--url", source, archive)
    dbsync("import", "--url", target, "--include-schema", archive)
    query(source, "UPDATE customer SET secret = NULL WHERE id = 1")
    query(target, "UPDATE customer SET name = 'changed'")
    newer = tmp_path / "newer.dbsync.tar"
    dbsync("export", "--url", source, newer)
    dbsync("import", "--url", target, "--on-conflict", "skip", "--exclude-tables", "audit", newer)
    assert query(target, "SELECT DISTINCT name FROM customer") == [("changed",)]
    dbsync("import", "--url", target, "--on-conflict", "merge", "--exclude-tables", "audit", newer)
    rows = query(target, "SELECT name, secret FROM customer ORDER BY id")
    assert rows == [("a", "s1"), ("b", "s2"), ("c", "s3")]


def test_existing_modes(urls: tuple[str, str], tmp_path: Path) -> None:
    """error refuses, skip leaves alone, overwrite replaces the rows of existing tables."""
    source, target = urls
    archive = tmp_path / "all.dbsync.tar"
    dbsync("export", "--url", source, archive)
    dbsync("import", "--url", target, "--include-schema", archive)
    query(target, "INSERT INTO audit VALUES ('mine')")
    refused = dbsync("import", "--url", target, "--existing", "error", archive, code=4)
    assert "exists" in refused.err
    dbsync("import", "--url", target, "--skip-existing", archive)
    assert query(target, "SELECT count(*) FROM audit") == [(2,)]
    keyless = dbsync("import", "--url", target, archive, code=7)
    assert "audit" in keyless.err
    dbsync("import", "--url", target, "--overwrite", archive)
    assert query(target, "SELECT line FROM audit") == [("x",)]
    dbsync("import", "--url", target, "--overwrite", "--single-transaction", archive)
    assert query(target, "SELECT line FROM audit") == [("x",)]
