"""A database whose archive takes several parts, and commands that keep archives on S3."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.servers.s3 import ENVIRONMENT, S3Server

CANARY = ENVIRONMENT["AWS_SECRET_ACCESS_KEY"]


def make_database(path: Path, *, blobs: int = 3200) -> str:
    """Make a database of a small and a large table, which does not compress; returns its URL."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT)")
        connection.executemany("INSERT INTO person VALUES (?, ?)", [(1, "Ann"), (2, "Bob")])
        connection.execute("CREATE TABLE photo (id INTEGER PRIMARY KEY, data BLOB)")
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
            "INSERT INTO photo SELECT i, randomblob(4096) FROM n",
            (blobs,),
        )
    return f"sqlite:///{path}"


def rows(path: Path) -> list[Any]:
    """Return every row of both tables."""
    with closing(sqlite3.connect(path)) as connection:
        return [
            *connection.execute("SELECT * FROM person ORDER BY id"),
            *connection.execute("SELECT * FROM photo ORDER BY id"),
        ]


def settings(endpoint: str, scratch: Path) -> Mapping[str, str]:
    """Return the variables of a command that uses the server at `endpoint`.

    Temporary files, if there were any, would go into `scratch`.
    """
    scratch.mkdir(exist_ok=True)
    return {
        **ENVIRONMENT,
        "DBSYNC_S3_ENDPOINT": endpoint,
        "DBSYNC_S3_PART_BYTES": "5MiB",
        "TMPDIR": str(scratch),
    }


def objects(server: S3Server, bucket: str) -> list[str]:
    """List the keys of a bucket."""
    found = server.client().list_objects_v2(Bucket=bucket)
    return [item["Key"] for item in found.get("Contents", [])]


def uploads(server: S3Server, bucket: str) -> list[str]:
    """List the keys of uploads under way."""
    found = server.client().list_multipart_uploads(Bucket=bucket)
    return sorted(item["Key"] for item in found.get("Uploads", []))
