"""A container's whole life, set up by environment variables alone, against an S3 server.

Runs, prunes, rehearsals, health, signals, a broken network and expired credentials.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from dbsync.cli.main import run
from dbsync.service.state import State, read_state, write_state
from tests.conftest import REPOSITORY
from tests.integration.command import DBSYNC, environment
from tests.servers import proxy as faults
from tests.servers.proxy import Answer, Proxy, Request
from tests.servers.s3 import ENVIRONMENT, S3Server
from tests.unit.service.life import FakeClock

START = datetime(2024, 3, 28, 12, 0, tzinfo=UTC)
ARCHIVE = re.compile(r"/shop/\w+-\d{8}T\d{6}Z\.dbsync\.tar$")


class Container:
    """What a container has: variables, a volume, and a bucket behind a network."""

    def __init__(self, server: S3Server, proxy: Proxy, folder: Path):
        self.bucket, self.proxy, self.folder = server.bucket(), proxy, folder
        self.plain = server.client()
        self.state = folder / "state.json"
        database = folder / "shop.sqlite"
        demo = REPOSITORY / "scripts" / "demo_data.py"
        subprocess.run([sys.executable, demo, database], check=True, capture_output=True)
        self.variables = {
            **ENVIRONMENT,
            "DBSYNC_URL": f"sqlite:///{database}",
            "DBSYNC_ARCHIVE": f"s3://{self.bucket}/shop/",
            "DBSYNC_S3_ENDPOINT": proxy.url,
            "DBSYNC_CRON": "0 2 * * *",
            "DBSYNC_STATE": str(self.state),
            "DBSYNC_METRICS": str(folder / "dbsync.prom"),
            "DBSYNC_PROGRESS": "no",
        }

    def archives(self) -> list[str]:
        found = self.plain.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        return [item["Key"] for item in found if item["Key"].endswith(".dbsync.tar")]

    def uploads(self) -> list[str]:
        found = self.plain.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])
        return [item["Key"] for item in found]

    def miss_a_run(self) -> None:
        """Remember a past in which a run was missed, so that the next start makes one at once."""
        before = datetime.now(UTC) - timedelta(days=2)
        write_state(
            self.state,
            State(
                location=self.variables["DBSYNC_ARCHIVE"],
                since=before,
                timetable="0 2 * * * UTC",
                handled_until=before,
                rehearsals_until=before,
            ),
        )

    @contextmanager
    def started(self, **variables: str) -> Iterator[subprocess.Popen[str]]:
        """Start ``dbsync schedule`` as a container does: without an argument."""
        process = subprocess.Popen(
            [*DBSYNC, "schedule"],
            env=environment({**self.variables, **variables}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


@pytest.fixture
def container(s3_server: S3Server, tmp_path: Path) -> Iterator[Container]:
    """A container with a small database, before its first start."""
    with Proxy(s3_server.port) as proxy:
        yield Container(s3_server, proxy, tmp_path)


class Life:
    """Time for a service in this process: everything that asks for it gets the fake clock's."""

    def __init__(self, container: Container, monkeypatch: pytest.MonkeyPatch):
        self.clock = clock = FakeClock(START)

        class Now(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> datetime:
                return clock.time.astimezone(tz)

        for module in ("pipeline.access", "archive.writer", "api.folders", "cli.health"):
            monkeypatch.setattr(f"dbsync.{module}.datetime", Now)
        monkeypatch.setattr("dbsync.service.clock.SystemClock", lambda: clock)
        # The client's own patience is real time, of which a test has little.
        monkeypatch.setattr("dbsync.storage.s3.calls.Patience.delay_s", lambda *_, **__: 0.001)
        for name in [name for name in os.environ if name.startswith(("DBSYNC_", "AWS_"))]:
            monkeypatch.delenv(name)
        for name, value in container.variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(container.folder)

    def live(self, **span: float) -> int:
        """Let the container run for a time, until it is stopped between runs."""
        self.clock.until = self.clock.time + timedelta(**span)
        return run(["schedule"])


def test_it_exports_prunes_and_is_healthy(
    container: Container, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Ten nights leave what the policy keeps; the health check sees when they end."""
    container.variables |= {"DBSYNC_KEEP_LAST": "2", "DBSYNC_KEEP_WEEKLY": "2"}
    life = Life(container, monkeypatch)
    assert life.live(days=10) == 0
    # Sundays were 31 March and 7 April; the two last are those of the 6th and 7th.
    assert container.archives() == [
        "shop/shop-20240331T020000Z.dbsync.tar",
        "shop/shop-20240406T020000Z.dbsync.tar",
        "shop/shop-20240407T020000Z.dbsync.tar",
    ]
    state = read_state(container.state)
    assert state is not None
    assert (state.runs, state.failures) == (10, 0)
    assert run(["health"]) == 0
    life.clock.pass_by(days=2)
    capfd.readouterr()
    assert run(["health"]) == 3
    assert "2 days 10 h old" in capfd.readouterr().out
    location = container.variables["DBSYNC_ARCHIVE"]
    assert run(["health", location]) == 3
    assert run(["health", location, "--max-age", "3d"]) == 0


def test_it_rehearses_what_it_made(
    container: Container, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Every second archive is restored; pruning keeps the newest that passed; health can ask."""
    container.variables |= {"DBSYNC_KEEP_LAST": "1", "DBSYNC_REHEARSE_EVERY": "2"}
    life = Life(container, monkeypatch)
    assert life.live(days=5) == 0
    found = container.plain.list_objects_v2(Bucket=container.bucket)["Contents"]
    assert [item["Key"] for item in found] == [
        "shop/shop-20240401T020000Z.dbsync.tar",
        "shop/shop-20240401T020000Z.dbsync.tar.rehearsed.json",
        "shop/shop-20240402T020000Z.dbsync.tar",
    ]
    state = read_state(container.state)
    assert state is not None
    assert state.last_rehearsal is not None
    assert state.last_rehearsal.passed
    assert state.last_rehearsal.passed_of == datetime(2024, 4, 1, 2, tzinfo=UTC)
    for place in ([], [container.variables["DBSYNC_ARCHIVE"]]):
        assert run(["health", *place, "--max-age", "30h"]) == 0
        assert run(["health", *place, "--max-age", "30h", "--rehearsed"]) == 3
        assert run(["health", *place, "--max-age", "36h", "--rehearsed"]) == 0
    numbers = (container.folder / "dbsync.prom").read_text()
    assert "dbsync_last_rehearsal_passed" in numbers


def test_it_rehearses_at_times_of_its_own(
    container: Container, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """On Sunday morning the newest archive is restored, and one that is damaged is reported."""
    container.variables["DBSYNC_REHEARSE_CRON"] = "0 5 * * SUN"
    life = Life(container, monkeypatch)
    assert life.live(days=3) == 0
    assert "rehearsal done" in capfd.readouterr().err
    key = "shop/shop-20240407T020000Z.dbsync.tar"

    def damage() -> None:
        body = container.plain.get_object(Bucket=container.bucket, Key=key)["Body"].read()
        middle = len(body) // 2
        broken = body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]
        container.plain.put_object(Bucket=container.bucket, Key=key, Body=broken)

    assert life.live(days=6, hours=16) == 0
    damage()
    assert life.live(hours=4) == 0
    assert "rehearsal failed in rehearse, exit code 6" in capfd.readouterr().err


def test_a_broken_network_is_survived(
    container: Container, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A network that is down at the start and in one night delays that night's archive, no more."""
    life = Life(container, monkeypatch)
    nights = {datetime(2024, 3, 30, 2, tzinfo=UTC)}

    def is_down(_request: Request) -> bool:
        return life.clock.time == START or life.clock.time in nights

    container.proxy.fail(is_down, faults.reset, times=float("inf"))
    assert life.live(days=3) == 0
    assert container.archives() == [
        "shop/shop-20240329T020000Z.dbsync.tar",
        "shop/shop-20240330T020100Z.dbsync.tar",
        "shop/shop-20240331T020000Z.dbsync.tar",
    ]
    said = capfd.readouterr().err
    assert "tried again by each run" in said
    assert "tried again at 2024-03-30 02:01:00 UTC" in said


def test_sigterm_during_a_run_leaves_nothing(container: Container) -> None:
    """The run is undone and the exit code 143; the next start makes up for it, and ends with 0."""
    container.miss_a_run()
    under_way = threading.Event()

    def hold(_handler: Any, _request: Request, _ask: Any) -> Answer:
        under_way.set()
        return Answer(0, {}, then="stall")

    def publishes(request: Request) -> bool:
        wanted = request.is_complete or (request.method == "PUT" and not request.query)
        return wanted and ARCHIVE.search(request.path) is not None

    container.proxy.fail(publishes, hold)
    with container.started() as process:
        assert under_way.wait(60)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 143, said
    assert "interrupted by SIGTERM" in said
    assert (container.archives(), container.uploads()) == ([], [])
    with container.started() as process:
        assert process.stderr is not None
        assert any("next backup at" in line for line in process.stderr)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert len(container.archives()) == 1


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory as Linux shows it")
def test_a_service_that_waits_keeps_no_memory(container: Container) -> None:
    """After a run the process gives back what it kept for the next chunk."""
    with closing(sqlite3.connect(container.folder / "shop.sqlite")) as database:
        database.execute(
            "CREATE TABLE large AS WITH RECURSIVE n(n) AS "
            "(SELECT 1 UNION ALL SELECT n + 1 FROM n LIMIT 400) SELECT n, randomblob(200000) FROM n"
        )
        database.commit()
    container.miss_a_run()
    with container.started() as process:
        assert process.stderr is not None
        assert any("next backup at" in line for line in process.stderr)
        status = Path(f"/proc/{process.pid}/status").read_text()
    memory = {name: int(re.findall(rf"^{name}:\s+(\d+) kB", status, re.M)[0]) for name in _MEMORY}
    assert memory["VmRSS"] < memory["VmHWM"] / 2


_MEMORY = ("VmHWM", "VmRSS")
"""The largest resident memory that a process had, and what it has now."""

SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "yellow-bird-Aws5ecret",
    "AWS_SESSION_TOKEN": "yellow-bird-T0ken/+=",
    "DBSYNC_PASSWORD": "yellow-bird-P@ss w0rd%41",
}
WEBHOOK = "yellow-bird-We8hook"


@pytest.fixture
def canary_role(pg_url: str) -> Iterator[dict[str, str]]:
    """A role with a secret password, as variables of its database."""
    import psycopg2

    parts = urlsplit(pg_url)
    with closing(psycopg2.connect(pg_url)) as connection:
        connection.autocommit = True
        password = SECRETS["DBSYNC_PASSWORD"]
        with connection.cursor() as cursor:
            cursor.execute("CREATE ROLE keeper LOGIN SUPERUSER PASSWORD %s", (password,))
            cursor.execute("CREATE TABLE a AS SELECT i, md5(i::text) FROM generate_series(1, 99) i")
            yield {
                "DBSYNC_ENGINE": "postgresql",
                "DBSYNC_HOST": parts.hostname or "",
                "DBSYNC_PORT": str(parts.port),
                "DBSYNC_USERNAME": "keeper",
                "DBSYNC_DATABASE": parts.path.lstrip("/"),
            }
            cursor.execute("DROP ROLE keeper")


def _expired(handler: Any, request: Request, ask: Any) -> Answer:
    return faults.status(400, "ExpiredToken")(handler, request, ask)


@pytest.mark.usefixtures("pg_dump18")
@pytest.mark.parametrize("when", ["never", "at the start", "during a run"])
def test_an_expired_credential(
    when: str, container: Container, canary_role: dict[str, str], tmp_path: Path
) -> None:
    """It ends the service with exit code 5 and the variable's name, and no secret is anywhere.

    Where it never expires, the archive is written, and no secret is in it either.
    """
    container.miss_a_run()
    del container.variables["DBSYNC_URL"]
    variables = canary_role | SECRETS
    (tmp_path / "password").write_text(variables.pop("DBSYNC_PASSWORD"))
    variables["DBSYNC_PASSWORD_FILE"] = str(tmp_path / "password")
    begun = threading.Event()

    def is_expired(request: Request) -> bool:
        if ARCHIVE.search(request.path) is not None:
            begun.set()
        return when == "at the start" or (when == "during a run" and begun.is_set())

    container.proxy.fail(is_expired, _expired, times=float("inf"))
    with _webhook() as (url, bodies), _seen_processes() as seen:
        variables["DBSYNC_WEBHOOK"] = f"{url}/{WEBHOOK}"
        once = {"DBSYNC_ONCE": "1"} if when == "never" else {}
        variables |= {"DBSYNC_DEBUG": "1", "DBSYNC_VERBOSE": "1", "DBSYNC_LOG_FORMAT": "json"}
        with container.started(**variables, **once) as process:
            out, err = process.communicate(timeout=120)
    assert process.returncode == (0 if when == "never" else 5), err
    assert len(container.archives()) == (1 if when == "never" else 0)
    assert len(bodies) == 1
    assert json.loads(bodies[0])["event"] == ("success" if when == "never" else "failure")
    if when != "never":
        assert "AWS_SESSION_TOKEN" in err
        assert b"AWS_SESSION_TOKEN" in bodies[0]
    written = [container.state.read_bytes(), *(f.read_bytes() for f in tmp_path.glob("*.prom"))]
    for key in container.archives():
        body = container.plain.get_object(Bucket=container.bucket, Key=key)["Body"]
        written.append(body.read())
    everything = [out.encode(), err.encode(), *bodies, *written, *seen]
    assert any(b"dbsync" in line for line in seen)
    for secret in (*SECRETS.values(), WEBHOOK):
        assert [place for place in everything if secret.encode() in place] == []
    assert [place for place in everything if b"yellow-bird" in place] == []


@contextmanager
def _webhook() -> Iterator[tuple[str, list[bytes]]]:
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", bodies
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def _seen_processes() -> Iterator[set[bytes]]:
    """Collect the command line of every process that can be seen meanwhile."""
    seen: set[bytes] = set()
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.02):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(path.read_bytes())
                except OSError:
                    continue

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()
