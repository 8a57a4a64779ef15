"""S3: an export to a local server beside one to disk, and beside boto3's upload of that file."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.benchmark import report
from scripts.benchmark.measure import Contestant, compete
from scripts.benchmark.sqlite import fill
from tests.servers.s3 import ENVIRONMENT, S3Server

_UPLOAD = """
import sys, boto3
client = boto3.client("s3", endpoint_url=sys.argv[1])
client.upload_file(sys.argv[2], sys.argv[3], "copy")
"""

_STREAM = """
import sys
from dbsync.storage.options import StorageOptions
from dbsync.storage.s3 import S3Storage
store = S3Storage(sys.argv[3], "", StorageOptions(s3_endpoint=sys.argv[1]))
with open(sys.argv[2], "rb") as file, store.put_stream("shop", overwrite=True) as writer:
    while piece := file.read(1 << 20):
        writer.write(piece)
"""


def contests(folder: Path, tables: Sequence[str], rows: int, repeat: int) -> None:
    """Run the contest for each table, and print it; the server is moto, in its own process."""
    server = S3Server().start()
    try:
        bucket = server.bucket()
        for table in tables:
            source, archive = folder / f"{table}.sqlite", folder / f"{table}.dbsync.tar"
            fill(source, table, rows)
            title = f"{table}, {rows:,} rows, {source.stat().st_size / report.MB:.0f} MB on disk"
            contestants = _contestants(server, bucket, source, archive)
            report.contest(f"S3 export: {title}", compete(contestants, repeat))
            report.contest(
                f"S3 upload: {title}", compete(_uploads(server, bucket, archive), repeat)
            )
            print(f"\n{archive.stat().st_size / report.MB:.0f} MB of archive", flush=True)
    finally:
        server.stop()


def _uploads(server: S3Server, bucket: str, archive: Path) -> list[Contestant]:
    """The finished file through dbsync's writer, and through boto3's own transfer."""
    place = [server.url, archive, bucket]
    return [
        Contestant("dbsync's writer", [[sys.executable, "-c", _STREAM, *place]]),
        Contestant("boto3's upload_file", [[sys.executable, "-c", _UPLOAD, *place]]),
    ]


def _contestants(server: S3Server, bucket: str, source: Path, archive: Path) -> list[Contestant]:
    os.environ.update(ENVIRONMENT)
    environment = {"DBSYNC_URL": f"sqlite:///{source}", "DBSYNC_S3_ENDPOINT": server.url}
    export = ["dbsync", "export", "--no-progress", "--overwrite-archive"]
    to_disk = [*export, archive]
    upload = [sys.executable, "-c", _UPLOAD, server.url, archive, bucket]

    def empty() -> None:
        # The server keeps every byte in memory.
        for key in ("shop", "copy"):
            server.client().delete_object(Bucket=bucket, Key=key)

    def on_disk() -> None:
        if not archive.exists():
            raise RuntimeError("the archive to upload is missing")

    return [
        Contestant(
            "dbsync export to S3",
            [[*export, f"s3://{bucket}/shop"]],
            prepare=empty,
            environment=environment,
        ),
        Contestant(
            "dbsync export to disk",
            [to_disk],
            prepare=empty,
            check=on_disk,
            environment=environment,
        ),
        Contestant(
            "dbsync export to disk, then boto3's upload_file",
            [to_disk, upload],
            prepare=empty,
            check=on_disk,
            environment=environment,
        ),
    ]
