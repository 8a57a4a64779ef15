"""An export to S3 that is killed at any stage: nothing is visible, and the next run cleans up."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.command import DBSYNC, dbsync, environment
from tests.integration.s3 import make_database, objects, rows, settings, uploads
from tests.servers import proxy as faults
from tests.servers.proxy import Proxy, Request
from tests.servers.s3 import S3Server


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "shop.sqlite"
    make_database(path)
    return path


def _begins(request: Request) -> bool:
    return request.method == "POST" and "uploads" in request.query


_STAGES: dict[str, Callable[[Request], bool]] = {
    "before the first mark": _begins,
    "before the upload": lambda r: _begins(r) and ".dbsync-upload-" not in r.path,
    "before the second mark": lambda r: _begins(r) and ".dbsync-upload-" in r.path
    and "-new-" not in r.path,
    "before the first mark goes": lambda r: r.method == "DELETE",
    "at the first part": lambda r: r.is_part(1),
    "at the third part": lambda r: r.is_part(3),
    "before it is published": lambda r: r.is_complete,
}  # fmt: skip


@pytest.mark.parametrize(
    ("stage", "place"),
    [*((stage, "backups/shop.tar") for stage in _STAGES), ("at the third part", "backups/")],
)
def test_a_killed_export(
    stage: str, place: str, database: Path, s3_server: S3Server, tmp_path: Path
) -> None:
    """kill -9 leaves no object; the next run, to the same key or folder, leaves no upload."""
    bucket = s3_server.bucket()
    command = ["export", "--url", f"sqlite:///{database}", f"s3://{bucket}/{place}"]
    scratch = tmp_path / "scratch"
    with Proxy(s3_server.port) as proxy:
        started = threading.Event()
        process: subprocess.Popen[bytes]

        def kill() -> None:
            started.wait()
            os.kill(process.pid, signal.SIGKILL)
            process.wait()

        proxy.fail(_STAGES[stage], faults.call(kill, forward=False))
        process = subprocess.Popen(
            [*DBSYNC, *command],
            env=environment(settings(proxy.url, scratch)),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        started.set()
        assert process.wait(120) == -signal.SIGKILL
    assert objects(s3_server, bucket) == []
    left = uploads(s3_server, bucket)
    assert (left == []) == (stage == "before the first mark")
    assert list(scratch.iterdir()) == []
    # A foreign upload to the same key stays.
    s3_server.client().create_multipart_upload(Bucket=bucket, Key="backups/foreign")
    env = settings(s3_server.url, scratch)
    dbsync(*command, env=env)
    assert uploads(s3_server, bucket) == ["backups/foreign"]
    (key,) = objects(s3_server, bucket)
    assert key.startswith(place)
    if stage == "at the third part":
        target = tmp_path / "back.sqlite"
        archive = f"s3://{bucket}/{key}"
        dbsync("import", "--url", f"sqlite:///{target}", "--include-schema", archive, env=env)
        assert rows(target) == rows(database)


def test_an_interrupted_export_cleans_up_itself(
    database: Path, s3_server: S3Server, tmp_path: Path
) -> None:
    """SIGTERM in the middle of a part ends with 143 and leaves neither object nor upload."""
    bucket = s3_server.bucket()
    with Proxy(s3_server.port) as proxy:
        started = threading.Event()
        process: subprocess.Popen[bytes]

        def interrupt() -> None:
            started.wait()
            os.kill(process.pid, signal.SIGTERM)

        proxy.fail(lambda r: r.is_part(2), faults.call(interrupt))
        process = subprocess.Popen(
            [*DBSYNC, "export", "--url", f"sqlite:///{database}", f"s3://{bucket}/x"],
            env=environment(settings(proxy.url, tmp_path / "scratch")),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        started.set()
        _, err = process.communicate(timeout=120)
    assert process.returncode == 143, err
    assert (objects(s3_server, bucket), uploads(s3_server, bucket)) == ([], [])
