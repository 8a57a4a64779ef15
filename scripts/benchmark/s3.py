"""S3: an export to a local server beside one to disk, and beside boto3's upload of that file.

The server is ``rclone serve s3``, in memory where the system has such a folder, so that neither a
slow disk nor a slow server is measured: that of the tests takes seconds to complete an upload.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from scripts.benchmark import report
from scripts.benchmark.measure import Contestant, compete
from scripts.benchmark.sqlite import fill
from tests.servers.process import die_with_parent, free_port
from tests.servers.s3 import ENVIRONMENT

_UPLOAD = """
import sys, boto3
client = boto3.client("s3", endpoint_url=sys.argv[1])
client.upload_file(sys.argv[2], sys.argv[3], "copy")
"""

_STREAM = """
import os, sys
from dbsync.storage.options import StorageOptions
from dbsync.storage.s3 import S3Storage
store = S3Storage(sys.argv[3], "", StorageOptions(s3_endpoint=sys.argv[1]))
size = os.path.getsize(sys.argv[2])
with (
    open(sys.argv[2], "rb") as file,
    store.put_stream("shop", overwrite=True, size_hint=size) as writer,
):
    while piece := file.read(1 << 20):
        writer.write(piece)
"""


_BUCKET = "bench"


def contests(folder: Path, tables: Sequence[str], rows: int, repeat: int) -> None:
    """Run the contest for each table, and print it; the server is a process of its own."""
    with _server() as url:
        for table in tables:
            source, archive = folder / f"{table}.sqlite", folder / f"{table}.dbsync.tar"
            fill(source, table, rows)
            title = f"{table}, {rows:,} rows, {source.stat().st_size / report.MB:.0f} MB on disk"
            contestants = _contestants(url, source, archive)
            report.contest(f"S3 export: {title}", compete(contestants, repeat))
            report.contest(f"S3 upload: {title}", compete(_uploads(url, archive), repeat))
            print(f"\n{archive.stat().st_size / report.MB:.0f} MB of archive", flush=True)


@contextmanager
def _server() -> Generator[str]:
    """Serve an empty bucket and yield the address; the environment then holds the credentials."""
    import boto3
    from botocore.exceptions import BotoCoreError

    os.environ.update(ENVIRONMENT)
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as place:
        (Path(place) / _BUCKET).mkdir()
        key = f"{ENVIRONMENT['AWS_ACCESS_KEY_ID']},{ENVIRONMENT['AWS_SECRET_ACCESS_KEY']}"
        address = f"127.0.0.1:{free_port()}"
        server = subprocess.Popen(
            ["rclone", "serve", "s3", "--addr", address, "--auth-key", key, place],
            stderr=subprocess.DEVNULL,
            preexec_fn=die_with_parent,  # noqa: PLW1509
        )
        try:
            client = boto3.client("s3", endpoint_url=f"http://{address}")
            for _ in range(100):
                try:
                    client.list_objects_v2(Bucket=_BUCKET)
                    break
                except BotoCoreError:
                    time.sleep(0.1)
            yield f"http://{address}"
        finally:
            server.kill()
            server.wait()


def _uploads(url: str, archive: Path) -> list[Contestant]:
    """The finished file through dbsync's writer, and through boto3's own transfer."""
    place = [url, archive, _BUCKET]
    return [
        Contestant("dbsync's writer", [[sys.executable, "-c", _STREAM, *place]]),
        Contestant("boto3's upload_file", [[sys.executable, "-c", _UPLOAD, *place]]),
    ]


def _contestants(url: str, source: Path, archive: Path) -> list[Contestant]:
    environment = {"DBSYNC_URL": f"sqlite:///{source}", "DBSYNC_S3_ENDPOINT": url}
    export = ["dbsync", "export", "--no-progress", "--overwrite-archive"]
    to_disk = [*export, archive]
    upload = [sys.executable, "-c", _UPLOAD, url, archive, _BUCKET]

    def on_disk() -> None:
        if not archive.exists():
            raise RuntimeError("the archive to upload is missing")

    return [
        Contestant(
            "dbsync export to S3",
            [[*export, f"s3://{_BUCKET}/shop"]],
            environment=environment,
        ),
        Contestant(
            "dbsync export to disk",
            [to_disk],
            check=on_disk,
            environment=environment,
        ),
        Contestant(
            "dbsync export to disk, then boto3's upload_file",
            [to_disk, upload],
            check=on_disk,
            environment=environment,
        ),
    ]
