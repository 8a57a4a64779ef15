"""Who is told: a webhook over HTTP, and a file for Prometheus."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dbsync.errors import StorageError, UsageError
from dbsync.service.metrics import MetricsFile
from dbsync.service.webhook import Webhook
from tests.unit.service.life import START, Life

TOKEN = "T0ken-in-the-path"


class Endpoint:
    """An HTTP server that keeps what it is sent and answers as it is told."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.status = 204
        self.headers: dict[str, str] = {}
        self.silent = threading.Event()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                endpoint.requests.append((self.command, self.path, dict(self.headers), body))
                if endpoint.silent.is_set():
                    return
                self.send_response(endpoint.status)
                for name, value in endpoint.headers.items():
                    self.send_header(name, value)
                self.end_headers()

            do_GET = do_POST

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hooks/{TOKEN}?key=1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """A webhook's other end."""
    made = Endpoint()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_success_and_failure_are_posted(endpoint: Endpoint) -> None:
    """Each run that ended for good is one POST of a JSON object; attempts between are none."""
    life = Life(recipients=[Webhook(endpoint.url, lambda value: value)], retries=1)
    life.fail("export", *[StorageError("the store is away", retryable=True)] * 3)
    life.live(days=3)
    bodies = [json.loads(body) for *_, body in endpoint.requests]
    assert [body["event"] for body in bodies] == ["failure", "success", "success"]
    failure, success, _ = bodies
    assert failure["error"]["message"] == "the store is away"
    assert (failure["error"]["stage"], failure["error"]["exit_code"]) == ("export", 5)
    assert (failure["attempt"], failure["archive"]) == (2, None)
    assert failure["next_run"] == "2024-03-03T02:00:00Z"
    assert (success["rows"], success["bytes"], success["kind"]) == (7, 4096, "backup")
    assert success["archive"].startswith("backups/shop-")
    method, path, headers, _ = endpoint.requests[0]
    assert (method, path) == ("POST", f"/hooks/{TOKEN}?key=1")
    assert headers["Content-Type"] == "application/json"


def test_what_is_posted_is_cleaned(endpoint: Endpoint) -> None:
    """Every text goes through the net that masks secrets."""

    def clean(value: Any) -> Any:
        return json.loads(json.dumps(value, default=str).replace("hunter2", "***"))

    life = Life(cron=None, recipients=[Webhook(endpoint.url, clean)], retries=0)
    life.fail("export", StorageError("password hunter2 is wrong"))
    with pytest.raises(StorageError):
        life.service.run_once()
    assert b"hunter2" not in endpoint.requests[0][3]
    assert b"***" in endpoint.requests[0][3]


@pytest.mark.parametrize("case", ["refused", "500", "redirect", "silent"])
def test_a_webhook_that_fails_fails_nothing(case: str, endpoint: Endpoint) -> None:
    """The backup succeeds, a warning says why, and the URL with its token is not in it."""
    if case == "refused":
        endpoint.server.shutdown()
        endpoint.server.server_close()
    elif case == "500":
        endpoint.status = 500
    elif case == "redirect":
        endpoint.status, endpoint.headers = 302, {"Location": f"/elsewhere/{TOKEN}"}
    else:
        endpoint.silent.set()
    life = Life(cron=None, recipients=[Webhook(endpoint.url, lambda v: v, timeout_s=1)])
    assert life.service.run_once().event == "success"
    (warning,) = life.listener.warnings
    assert warning.startswith("the webhook at 127.0.0.1 was not told: ")
    assert TOKEN not in warning
    assert len(endpoint.requests) == (0 if case == "refused" else 1)


@pytest.mark.parametrize(
    "url", ["", "host/path", "ftp://h/x", "file:///etc/passwd", "http://", "http://[x"]
)
def test_no_url_is_a_mistake_at_the_start(url: str) -> None:
    """What is no http URL is refused before the first run, without repeating it."""
    with pytest.raises(UsageError) as caught:
        Webhook(url, lambda value: value)
    assert not url or url not in str(caught.value)


def _numbers(path: Path) -> dict[str, float]:
    families = text_string_to_metric_families(path.read_text())
    return {sample.name: sample.value for family in families for sample in family.samples}


def test_metrics_are_what_prometheus_reads(tmp_path: Path) -> None:
    """Prometheus' own parser finds times, durations, bytes, rows, counts and the next run."""
    path = tmp_path / "dbsync.prom"
    life = Life(recipients=[MetricsFile(path)], retries=0, rehearses=True, rehearse_every=1)
    life.fail("export", StorageError("away", retryable=True))
    life.live(days=2)
    numbers = _numbers(path)
    night = START.replace(day=3, hour=2).timestamp()
    assert numbers["dbsync_last_success_timestamp_seconds"] == night
    assert numbers["dbsync_last_success_duration_seconds"] == 1.5
    assert numbers["dbsync_last_success_bytes"] == 4096
    assert numbers["dbsync_last_success_rows"] == 7
    assert numbers["dbsync_runs_total"] == 1
    assert numbers["dbsync_failures_total"] == 1
    assert numbers["dbsync_consecutive_failures"] == 0
    assert numbers["dbsync_last_run_success"] == 1
    assert numbers["dbsync_last_rehearsal_passed"] == 1
    assert numbers["dbsync_next_run_timestamp_seconds"] == night + timedelta(days=1).total_seconds()
    assert numbers["dbsync_build_info"] == 1


def test_metrics_exist_before_the_first_run(tmp_path: Path) -> None:
    """An alert on the next run works from the start; what is not known is left out."""
    path = tmp_path / "dbsync.prom"
    Life(recipients=[MetricsFile(path)]).live(hours=1)
    numbers = _numbers(path)
    assert numbers["dbsync_next_run_timestamp_seconds"] == START.replace(day=2, hour=2).timestamp()
    assert "dbsync_last_success_timestamp_seconds" not in numbers


def test_metrics_are_replaced_as_a_whole(tmp_path: Path) -> None:
    """A reader that opened the file before sees all of the old one; nothing else is left."""
    path = tmp_path / "dbsync.prom"
    path.write_text("old")
    with path.open() as before:
        Life(recipients=[MetricsFile(path)]).live(hours=1)
        assert before.read() == "old"
    assert list(tmp_path.iterdir()) == [path]
    assert path.stat().st_mode & 0o444 == 0o444


def test_labels_are_escaped(tmp_path: Path) -> None:
    """A location with quotes and backslashes is still one label."""
    from dbsync.service.metrics import exposition
    from dbsync.service.state import State

    state = State(
        location='a"b\\c/', since=START, timetable="", handled_until=START, rehearsals_until=START
    )
    families = list(text_string_to_metric_families(exposition(None, state)))
    assert families[0].samples[0].labels == {"location": 'a"b\\c/'}
