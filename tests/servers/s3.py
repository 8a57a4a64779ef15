"""Private S3 servers for tests: moto, in a process of its own, on a free loopback port.

Must not know: pytest. Run as a program it is the server itself.

Real S3 decides about a conditional write in one step. moto looks and writes in two, so that of two
writers at once both could win; a lock around each request that changes something makes up for it.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from tests.servers.process import die_with_parent, free_port

REPOSITORY = Path(__file__).resolve().parents[2]
REGION = "eu-central-1"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "S3cr3t-7f3a",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/nonexistent",
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
}
"""What a client of the server needs, and nothing of whoever runs the tests."""


class S3Server:
    """One server; the buckets live in its memory."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> S3Server:
        """Start the server and wait until it answers."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.servers.s3", str(self.port)],
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # Short pages, so that every longer listing is one of several.
            env={**os.environ, **ENVIRONMENT, "MOTO_S3_DEFAULT_MAX_KEYS": "10"},
            preexec_fn=die_with_parent,  # noqa: PLW1509
        )
        deadline = time.monotonic() + 60
        while True:
            try:
                self.post("/moto-api/reset")
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("the S3 server of the tests does not start") from None
                time.sleep(0.05)
            else:
                return self

    def stop(self) -> None:
        """End the server."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def post(self, path: str, body: str = "") -> None:
        """Ask something of moto itself."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("POST", path, body, {"Content-Type": "text/plain"})
        connection.getresponse().read()
        connection.close()

    def bucket(self) -> str:
        """Make a bucket of a name that no other test has."""
        name = f"test-{uuid.uuid4().hex}"
        self.client().create_bucket(
            Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        return name

    def client(self, service: str = "s3", **settings: Any) -> Any:
        """Make a plain boto3 client, the tests' own eyes."""
        import boto3

        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            **{
                "aws_access_key_id": ENVIRONMENT["AWS_ACCESS_KEY_ID"],
                "aws_secret_access_key": ENVIRONMENT["AWS_SECRET_ACCESS_KEY"],
                **settings,
            },
        )


def _one_at_a_time(application: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    lock = threading.Lock()

    def serve(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return application(environ, start_response)
        # The body is read before the lock is taken, however slowly it comes.
        length = environ.get("CONTENT_LENGTH")
        body = environ["wsgi.input"].read(int(length) if length else -1)
        environ["wsgi.input"] = io.BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
        with lock:
            return list(application(environ, start_response))

    return serve


def main(port: int) -> None:
    """Serve until killed."""
    from moto.moto_server import werkzeug_app
    from moto.moto_server.utilities import RegexConverter
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import run_simple

    class WholeKeys(RegexConverter):
        """moto takes a line break for the end of a key, which S3 does not."""

        def __init__(self, url_map: Any, *items: Any):
            super().__init__(url_map, *items)
            self.regex = self.regex.replace(".+", r"[\s\S]+")

    werkzeug_app.RegexConverter = WholeKeys
    application = DomainDispatcherApplication(create_backend_app)
    run_simple("127.0.0.1", port, _one_at_a_time(application), threaded=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
