"""One import at a time: a second one is refused, and a lock dies with its holder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import dbsync as library
from dbsync.connectors.mysql.lock import lock_name
from dbsync.errors import TargetError
from dbsync.pipeline.events import ChunkWritten, Event
from tests.faults.rerun import kill
from tests.integration.command import dbsync
from tests.integration.engines import ENGINES, query, tables
from tests.integration.rows import sqlite_script
from tests.servers import MariaServer


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An archive of 3,000 rows in several chunks."""
    path = tmp_path / "source.sqlite"
    sqlite_script(
        path,
        "CREATE TABLE people (id integer PRIMARY KEY, name text);"
        "WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < 3000)"
        "INSERT INTO people SELECT n, hex(randomblob(40)) FROM i;",
    )
    archive = tmp_path / "a.dbsync.tar"
    library.export_database(f"sqlite:///{path}", str(archive), chunk_bytes=16 << 10)
    return archive


@pytest.fixture(params=ENGINES)
def url(
    request: pytest.FixtureRequest,
    new_pg_url: Callable[[], str],
    new_maria_url: Callable[[], str],
    tmp_path: Path,
) -> str:
    """An empty target of each engine."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'target.sqlite'}"
    return new_pg_url() if request.param == "postgresql" else new_maria_url()


def test_the_second_is_refused(archive: Path, url: str) -> None:
    """While one import runs, another into the same database ends with 8 and changes nothing."""
    refused: list[tuple[int, str]] = []

    def meanwhile(event: Event) -> None:
        if isinstance(event, ChunkWritten) and not refused:
            arguments = ["import", "--url", url, "--include-schema", archive]
            done = dbsync(*arguments, code=None)
            refused.append((done.code, done.err))

    library.import_archive(str(archive), url, include_schema=True, on_event=meanwhile)
    ((code, message),) = refused
    assert code == 8, message
    assert "next:" in message
    assert query(url, "SELECT count(*) FROM people") == [(3000,)]
    assert tables(url) == ["people"]


def test_the_lock_dies_with_its_holder(archive: Path, url: str) -> None:
    """After kill -9 of the holder the next import begins at once, and ends."""
    kill(archive, url, "chunk_written", 1)
    dbsync("import", "--url", url, "--include-schema", archive)
    assert query(url, "SELECT count(*) FROM people") == [(3000,)]


def test_a_dry_run_needs_no_lock(archive: Path, url: str) -> None:
    """A plan can be made while an import runs."""
    codes: list[int | None] = []

    def meanwhile(event: Event) -> None:
        if isinstance(event, ChunkWritten) and not codes:
            arguments = ["import", "--url", url, "--include-schema", "--dry-run", archive]
            codes.append(dbsync(*arguments, code=None).code)

    library.import_archive(str(archive), url, include_schema=True, on_event=meanwhile)
    assert codes == [0]


@pytest.mark.parametrize("single_transaction", [False, True])
def test_nothing_is_committed_without_the_lock(
    archive: Path, maria: MariaServer, maria_url: str, single_transaction: bool
) -> None:
    """Where the server drops the connection that holds the lock, the import stops before the rows.

    Others have connections of their own, and another import may have begun already.
    """
    name = maria_url.rpartition("/")[2]
    killed: list[int] = []

    def cut(event: Event) -> None:
        if isinstance(event, ChunkWritten) and not killed:
            ((holder,),) = maria.execute(f"SELECT IS_USED_LOCK('{lock_name(name)}')")
            killed.append(holder)
            maria.execute(f"KILL {holder}")

    maria.execute("CREATE TABLE people (id int PRIMARY KEY, name text)", name)
    with pytest.raises(TargetError) as caught:
        library.import_archive(
            str(archive), maria_url, jobs=1, single_transaction=single_transaction, on_event=cut
        )
    assert killed
    assert caught.value.retryable
    ((rows,),) = query(maria_url, "SELECT count(*) FROM people")
    assert rows < 1000, "of many chunks, only those before the loss may be there"
    library.import_archive(str(archive), maria_url, single_transaction=single_transaction)
    assert query(maria_url, "SELECT count(*) FROM people") == [(3000,)]
