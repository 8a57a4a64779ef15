"""A fake Drive for each test, and the store on it as a test wants it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dbsync.storage.drive import DriveStorage, upload
from dbsync.storage.drive.client import DriveClient
from dbsync.storage.drive.credentials import load_credentials
from tests.fakes.drive import FakeDrive

ANN = "ann@example.com"
KEY = "shop.dbsync.tar"
PIECE = 512 << 10
"""Small pieces, so that small uploads have several."""


class Lab:
    """A fake Drive with one folder of Ann's, and stores on it."""

    def __init__(self, fake: FakeDrive, folder: Path):
        self.fake = fake
        self.drive = fake.drive
        self.path = folder
        self.token = fake.accounts.user(folder / "ann.json", ANN)
        self.folder = fake.drive.make_folder("backups", owner=ANN)

    def store(
        self,
        *,
        folder: str | None = None,
        credentials: Path | None = None,
        timeout_s: float = 20,
    ) -> DriveStorage:
        """Open a store that does not wait between attempts."""
        loaded = load_credentials(str(credentials or self.token))

        def connect() -> DriveClient:
            return DriveClient(loaded, self.fake.root, timeout_s=timeout_s, patience=0)

        return DriveStorage(folder or self.folder, connect)

    def put(self, store: DriveStorage, data: bytes, key: str = KEY, **options: bool) -> None:
        """Write one object."""
        with store.put_stream(key, **options) as writer:
            writer.write(data)

    def visible(self) -> list[str]:
        """Name every file that a person sees, whatever its place."""
        return [item.name for item in self.drive.items.values() if item.revisions]


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.setattr(upload, "PIECE_BYTES", PIECE)
    (tmp_path / "drive").mkdir()
    with FakeDrive(tmp_path / "drive") as fake:
        yield Lab(fake, tmp_path)
