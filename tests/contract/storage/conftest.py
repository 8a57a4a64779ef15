"""The stores that the contract suite runs on; a new store is one more entry here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dbsync.storage.base import Storage
from dbsync.storage.drive import open_drive
from dbsync.storage.local import LocalStorage
from dbsync.storage.memory import MemoryStorage
from dbsync.storage.options import StorageOptions
from dbsync.storage.s3 import S3Storage
from tests.fakes.drive import FakeDrive
from tests.servers.s3 import ENVIRONMENT, S3Server


@pytest.fixture(scope="session")
def drive_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeDrive]:
    with FakeDrive(tmp_path_factory.mktemp("drive")) as fake:
        yield fake


def drive_storage(fake: FakeDrive, tmp_path: Path) -> Storage:
    token = fake.accounts.user(tmp_path / "token.json", "ann@example.com")
    folder = fake.drive.make_folder("backups", owner="ann@example.com")
    options = StorageOptions(drive_credentials=str(token), drive_endpoint=fake.root)
    return open_drive(folder, options)


def s3_storage(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Storage:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    options = StorageOptions(s3_endpoint=server.url, s3_part_bytes=5 << 20)
    return S3Storage(server.bucket(), "backups/", options)


@pytest.fixture(params=["local", "memory", "drive", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "local":
        return LocalStorage(tmp_path)
    if request.param == "s3":
        return s3_storage(
            request.getfixturevalue("s3_server"), request.getfixturevalue("monkeypatch")
        )
    if request.param == "drive":
        return drive_storage(request.getfixturevalue("drive_server"), tmp_path)
    return MemoryStorage()
