"""Fixtures that every suite shares: real servers, fresh databases, the sample data."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.servers import MariaServer, PostgresServer, install
from tests.servers.certificates import Certificates, make_certificates
from tests.servers.mariadb import BINLOG
from tests.servers.process import temporary_folder
from tests.servers.s3 import S3Server

REPOSITORY = Path(__file__).resolve().parent.parent
TEST_TIMEOUT_S = 300


def pytest_configure() -> None:
    """Let commands be interrupted, whatever the shell that began the run makes them ignore.

    What runs in the background without job control, or under nohup, inherits signals that are
    ignored, and so would every process that a test starts.
    """
    if threading.current_thread() is threading.main_thread():
        for number, usual in (
            (signal.SIGINT, signal.default_int_handler),
            (signal.SIGHUP, signal.SIG_DFL),
            (signal.SIGTERM, signal.SIG_DFL),
        ):
            if signal.getsignal(number) is signal.SIG_IGN:
                signal.signal(number, usual)


@pytest.fixture(autouse=True)
def _end_a_hang(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that hangs, with a message and where it stood, instead of waiting for ever."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(*_: object) -> None:
        raise TimeoutError(f"{request.node.nodeid} took more than {TEST_TIMEOUT_S} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(TEST_TIMEOUT_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _serve(major: int) -> Iterator[PostgresServer]:
    server = PostgresServer(major).start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """A private S3 server, one for each worker of the test run; tests make their own buckets."""
    server = S3Server()
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture(scope="session")
def pg18() -> Iterator[PostgresServer]:
    """A private PostgreSQL 18, one for each worker of the test run."""
    yield from _serve(18)


@pytest.fixture(scope="session")
def pg16() -> Iterator[PostgresServer]:
    """A private PostgreSQL 16, one for each worker of the test run."""
    yield from _serve(16)


def _databases(server: PostgresServer | MariaServer) -> Iterator[Callable[[], str]]:
    names: list[str] = []

    def create() -> str:
        names.append(server.create_database())
        return server.url(names[-1])

    try:
        yield create
    finally:
        for name in names:
            server.drop_database(name)


@pytest.fixture
def new_pg_url(pg18: PostgresServer) -> Iterator[Callable[[], str]]:
    """A function that creates an empty database on PostgreSQL 18 and returns its URL."""
    yield from _databases(pg18)


@pytest.fixture
def new_pg16_url(pg16: PostgresServer) -> Iterator[Callable[[], str]]:
    """A function that creates an empty database on PostgreSQL 16 and returns its URL."""
    yield from _databases(pg16)


@pytest.fixture
def pg_url(new_pg_url: Callable[[], str]) -> str:
    """The URL of an empty database on PostgreSQL 18; dropped after the test."""
    return new_pg_url()


@pytest.fixture
def pg16_url(new_pg16_url: Callable[[], str]) -> str:
    """The URL of an empty database on PostgreSQL 16; dropped after the test."""
    return new_pg16_url()


@pytest.fixture(scope="session")
def serve_maria() -> Iterator[Callable[..., MariaServer]]:
    """A function that gives a private MariaDB with further settings, and keeps it for the next.

    ``serve_maria({"local-infile": "0"})``: the same settings give the same server.
    """
    servers: dict[tuple[tuple[str, str | None], ...], MariaServer] = {}

    def serve(settings: Mapping[str, str | None] | None = None) -> MariaServer:
        key = tuple(sorted((settings or {}).items()))
        if key not in servers:
            servers[key] = MariaServer(settings).start()
        return servers[key]

    try:
        yield serve
    finally:
        for server in servers.values():
            server.stop()


@pytest.fixture(scope="session")
def maria(serve_maria: Callable[..., MariaServer]) -> MariaServer:
    """A private MariaDB without a binary log, one for each worker of the test run."""
    return serve_maria()


@pytest.fixture(scope="session")
def maria_with_binlog(serve_maria: Callable[..., MariaServer]) -> MariaServer:
    """A private MariaDB that writes a binary log."""
    return serve_maria(BINLOG)


@pytest.fixture(scope="session")
def maria_without_load_data(serve_maria: Callable[..., MariaServer]) -> MariaServer:
    """A private MariaDB on which LOAD DATA LOCAL is disabled."""
    return serve_maria({"local-infile": "0"})


@pytest.fixture(scope="session")
def certificates() -> Iterator[Certificates]:
    """A certificate for 127.0.0.1 and the authority that signed it, where servers can read them."""
    folder = temporary_folder("dbsync-tls-")
    try:
        yield make_certificates(folder)
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def maria_with_tls(
    serve_maria: Callable[..., MariaServer], certificates: Certificates
) -> MariaServer:
    """A private MariaDB that offers TLS for 127.0.0.1 with `certificates`."""
    return serve_maria({
        "ssl-ca": str(certificates.authority),
        "ssl-cert": str(certificates.certificate),
        "ssl-key": str(certificates.key),
    })  # fmt: skip


@pytest.fixture
def new_maria_url(maria: MariaServer) -> Iterator[Callable[[], str]]:
    """A function that creates an empty database on MariaDB and returns its URL."""
    yield from _databases(maria)


@pytest.fixture
def maria_url(new_maria_url: Callable[[], str]) -> str:
    """The URL of an empty database on MariaDB; dropped after the test."""
    return new_maria_url()


@pytest.fixture
def pg_dump18(pg18: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put PostgreSQL 18's client programs first on PATH, and return the path of its pg_dump."""
    monkeypatch.setenv("PATH", f"{pg18.bin}{os.pathsep}{os.environ.get('PATH', '')}")
    monkeypatch.delenv("DBSYNC_PG_DUMP", raising=False)
    return pg18.bin / "pg_dump"


@pytest.fixture
def no_pg_dump(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Make pg_dump unusable, so that the connector falls back to the catalog."""
    monkeypatch.setenv("DBSYNC_PG_DUMP", str(tmp_path / "absent"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of Chinook and Sakila; skips where it is absent."""
    given = os.environ.get("DBSYNC_SHARED_DATA")
    folder = Path(given) if given else REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no sample data at {folder} (set DBSYNC_SHARED_DATA)")
    return folder


def load_sql(url: str, *files: Path) -> None:
    """Run SQL scripts, ``COPY ... FROM stdin`` blocks included, with the wheel's psql."""
    for file in files:
        command = [str(install(18) / "bin" / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1"]
        done = subprocess.run(
            [*command, "-f", str(file), url], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def sakila_template(pg18: PostgresServer, shared_data: Path) -> Iterator[str]:
    """The name of a database on PostgreSQL 18 with Sakila loaded, to be used as a template."""
    name = pg18.create_database("sakila_template")
    folder = shared_data / "sakila"
    load_sql(
        pg18.url(name),
        folder / "postgres-sakila-schema.sql",
        folder / "postgres-sakila-insert-data-using-copy.sql",
    )
    yield name
    pg18.drop_database(name)


@pytest.fixture
def sakila_url(pg18: PostgresServer, sakila_template: str) -> Iterator[str]:
    """The URL of a fresh copy of Sakila on PostgreSQL 18; dropped after the test."""
    name = pg18.create_database(options=f"TEMPLATE {sakila_template}")
    yield pg18.url(name)
    pg18.drop_database(name)
