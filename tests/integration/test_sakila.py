"""Sakila on PostgreSQL: native DDL, sequences, and the losses of leaving the engine."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.integration.command import dbsync
from tests.integration.rows import pg_query, pg_rows, pg_sequences
from tests.servers import PostgresServer


def _ddl(server: PostgresServer, url: str) -> str:
    done = subprocess.run(
        [str(server.bin / "pg_dump"), "--schema-only", "-d", url],
        capture_output=True,
        text=True,
        check=True,
    )
    return re.sub(r"^\\(un)?restrict .*$", "", done.stdout, flags=re.MULTILINE)


@pytest.fixture
def path_with_pg_dump(pg_dump18: Path) -> dict[str, str]:
    """An environment in which PostgreSQL 18's pg_dump is found."""
    return {"DBSYNC_PG_DUMP": str(pg_dump18)}


def test_sakila_comes_back_identical(
    pg18: PostgresServer,
    sakila_url: str,
    pg_url: str,
    tmp_path: Path,
    path_with_pg_dump: dict[str, str],
) -> None:
    """Archive and back: the same DDL as pg_dump prints it, the same rows, the same next values."""
    archive = tmp_path / "sakila.dbsync.tar"
    dbsync("export", "--url", sakila_url, archive, env=path_with_pg_dump)
    dbsync("import", "--url", pg_url, "--include-schema", archive)
    assert _ddl(pg18, pg_url) == _ddl(pg18, sakila_url)
    assert pg_rows(pg_url) == pg_rows(sakila_url)
    assert pg_sequences(pg_url) == pg_sequences(sakila_url)
    assert pg_query(pg_url, "SELECT count(*) FROM film_list")[0][0] > 900
    assert pg_query(pg_url, "SELECT inventory_in_stock(1)") == [(True,)]
    found = pg_query(pg_url, "SELECT count(*) FROM film WHERE fulltext @@ to_tsquery('shark')")
    assert found[0][0] > 0
    dbsync("verify", archive, "--against", pg_url)


def test_sakila_without_pg_dump(
    sakila_url: str, pg_url: str, tmp_path: Path, pg18: PostgresServer
) -> None:
    """Without pg_dump the catalog's own definitions still bring back tables, rows and views."""
    archive = tmp_path / "sakila.dbsync.tar"
    dbsync("export", "--url", sakila_url, archive, env={"DBSYNC_PG_DUMP": str(tmp_path / "no")})
    dbsync("import", "--url", pg_url, "--include-schema", archive)
    assert pg_rows(pg_url) == pg_rows(sakila_url)
    assert pg_sequences(pg_url) == pg_sequences(sakila_url)
    assert pg_query(pg_url, "SELECT count(*) FROM film_list")[0][0] > 900


def test_portable_import_names_every_loss(
    sakila_url: str, tmp_path: Path, path_with_pg_dump: dict[str, str]
) -> None:
    """Into SQLite, each view, function, trigger and type that stays behind is named first."""
    archive, copy = tmp_path / "sakila.dbsync.tar", tmp_path / "copy.sqlite"
    dbsync("export", "--url", sakila_url, archive, env=path_with_pg_dump)
    refused = dbsync(
        "import", "--url", f"sqlite:///{copy}", "--include-schema", "--ddl", "portable",
        "--strict", archive, code=7,
    )  # fmt: skip
    assert not copy.exists()
    done = dbsync(
        "import", "--url", f"sqlite:///{copy}", "--include-schema", "--ddl", "portable",
        "--json", archive,
    )  # fmt: skip
    losses = " ".join(loss["object"] for loss in done.json()["plan"]["losses"])
    named = [
        name
        for (name,) in pg_query(
            sakila_url,
            "SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
            " WHERE relkind = 'v' AND nspname = 'public'"
            " UNION SELECT proname FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace"
            " WHERE nspname = 'public'"
            " UNION SELECT tgname FROM pg_trigger WHERE NOT tgisinternal",
        )
    ]
    assert len(named) == 18
    assert [name for name in named if name not in losses] == []
    assert "--strict" in refused.err
    dbsync("verify", archive, "--against", f"sqlite:///{copy}")
