"""Backups in a folder that is not on a disk, from the first to the restore."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.drive import MANAGE, FakeDrive
from tests.integration.command import Done, dbsync
from tests.integration.rows import sqlite_rows
from tests.integration.s3 import settings
from tests.servers.s3 import S3Server

FOREIGN = b"nothing that dbsync wrote"


class Place:
    """A folder of archives: its location, the variables that open it, and its files by name."""

    def __init__(self, location: str, env: dict[str, str], put: Callable[[str, bytes], object]):
        self.location = location
        self.put = put
        self._env = env

    def run(self, *arguments: object, code: int = 0) -> Done:
        """Run a command that finds what it needs to open the folder in its environment."""
        return dbsync(*arguments, env=self._env, code=code)

    def listed(self) -> list[dict[str, Any]]:
        """List the folder, the newest archive first."""
        return self.run("list", self.location, "--json").json()["archives"]


@pytest.fixture(params=["s3", "drive"])
def place(request: pytest.FixtureRequest, s3_server: S3Server, tmp_path: Path) -> Iterator[Place]:
    """An empty folder on each kind of remote storage."""
    if request.param == "s3":
        bucket = s3_server.bucket()
        client = s3_server.client()
        yield Place(
            f"s3://{bucket}/nightly/",
            dict(settings(s3_server.url, tmp_path / "scratch")),
            lambda name, data: client.put_object(Bucket=bucket, Key=f"nightly/{name}", Body=data),
        )
    else:
        (tmp_path / "drive").mkdir()
        with FakeDrive(tmp_path / "drive") as fake:
            robot = "backup@project.example.com"
            shared = fake.drive.make_shared_drive("Backups", {robot: MANAGE})
            folder_id = fake.drive.make_folder("nightly", parent=shared)
            key = fake.accounts.service_account(tmp_path / "key.json", robot)
            yield Place(
                f"gdrive://{folder_id}/",
                {"DBSYNC_DRIVE_ENDPOINT": fake.root, "DBSYNC_DRIVE_CREDENTIALS": str(key)},
                lambda name, data: fake.drive.make_file(name, data, folder_id),
            )


@pytest.fixture
def shop(tmp_path: Path) -> str:
    """The URL of a database that grows by a row with each backup."""
    path = tmp_path / "shop.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT NOT NULL)")
    return f"sqlite:///{path}"


def add_item(shop: str, name: str) -> None:
    with closing(sqlite3.connect(shop.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("INSERT INTO item (name) VALUES (?)", (name,))


def test_a_folder_of_backups(place: Place, shop: str, tmp_path: Path) -> None:
    """Export, list, rehearse, prune with a preview, and restore the newest that is whole.

    What dbsync has not made is not touched, and the note of a rehearsal goes with its archive.
    """
    place.put("notes.txt", FOREIGN)
    made: list[str] = []
    for name in ("pen", "ink", "cup"):
        add_item(shop, name)
        # Names in a folder tell the second, so that two of one database are never of the same.
        while made and f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}" in made[-1]:
            time.sleep(0.05)
        made.append(place.run("export", "--url", shop, place.location, "--json").json()["archive"])
    place.run("rehearse", made[0])
    place.run("rehearse", place.location)
    place.put("shop-20991231T000000Z.dbsync.tar", b"cut" * 1000)

    listed = place.listed()
    assert [one["archive"] for one in listed[1:]] == [*reversed(made)]
    assert [one["complete"] for one in listed] == [False, True, True, True]
    assert [one["rows"] for one in listed[1:]] == [3, 2, 1]
    assert [one["rehearsed"] for one in listed] == [False, True, False, True]

    policy = ("prune", place.location, "--keep-last", "1")
    preview = place.run(*policy).out.decode()
    assert "newest" in preview
    assert len(place.listed()) == 4
    pruned = place.run(*policy, "--yes", "--json").json()
    assert pruned["deleted"] == 2
    left = place.listed()
    assert [one["complete"] for one in left] == [False, True]

    copy = tmp_path / "copy.sqlite"
    restored = place.run("import", place.location, "--url", f"sqlite:///{copy}", "--include-schema")
    assert "is not complete and is passed over" in restored.err
    assert sqlite_rows(copy) == sqlite_rows(shop.removeprefix("sqlite:///"))
