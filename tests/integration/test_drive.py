"""Whole commands with archives on Google Drive, against a Drive of our own over HTTP."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.fakes.drive import MANAGE, FakeDrive
from tests.integration.command import DBSYNC, Done, dbsync, environment
from tests.integration.rows import sqlite_rows

ROBOT = "backup@project.example.com"
ROWS = 12_000


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database whose archive takes two requests, as no compression makes it smaller."""
    path = tmp_path_factory.mktemp("shop") / "shop.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, data BLOB NOT NULL)")
        connection.executemany(
            "INSERT INTO item VALUES (?, ?)", ((n, os.urandom(1500)) for n in range(ROWS))
        )
        connection.execute("CREATE TABLE small (id INTEGER PRIMARY KEY, name TEXT)")
        connection.execute("INSERT INTO small VALUES (1, 'one')")
    return path


class Shared:
    """A shared drive with a folder, and a service account that may use it."""

    def __init__(self, fake: FakeDrive, folder: Path):
        self.fake = fake
        drive = fake.drive.make_shared_drive("Backups", {ROBOT: MANAGE})
        fake.drive.limits[ROBOT] = 0
        self.folder = fake.drive.make_folder("nightly", parent=drive)
        self.key = fake.accounts.service_account(folder / "key.json", ROBOT)
        self.env = {
            "DBSYNC_DRIVE_ENDPOINT": fake.root,
            "DBSYNC_DRIVE_CREDENTIALS": str(self.key),
        }

    def run(self, *arguments: object, code: int = 0) -> Done:
        """Run a command that finds its credentials in the environment."""
        return dbsync(*arguments, env=self.env, code=code)

    def visible(self) -> list[str]:
        """Name every file with content."""
        return sorted(item.name for item in self.fake.drive.items.values() if item.revisions)


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Shared]:
    (tmp_path / "drive").mkdir()
    with FakeDrive(tmp_path / "drive") as fake:
        yield Shared(fake, tmp_path)


def test_there_and_back(shared: Shared, shop: Path, tmp_path: Path) -> None:
    """Export, inspect, verify and import by name, in a shared drive, with a service account."""
    place = f"gdrive://{shared.folder}/shop.dbsync.tar"
    done = shared.run("export", place, "--url", f"sqlite:///{shop}", "--json").json()
    assert done["archive"] == place
    assert shared.visible() == ["shop.dbsync.tar"]
    assert len(shared.fake.requests("chunk")) == 1
    names = [t["table"]["name"] for t in shared.run("inspect", place, "--json").json()["tables"]]
    assert sorted(names) == ["item", "small"]
    shared.run("verify", place)
    copy = tmp_path / "copy.sqlite"
    shared.run("import", place, "--url", f"sqlite:///{copy}", "--include-schema")
    assert sqlite_rows(copy) == sqlite_rows(shop)


def test_a_folder_names_the_archive_and_gives_the_newest(
    shared: Shared, shop: Path, tmp_path: Path
) -> None:
    """An export into a folder is named after database and time; an import takes the newest."""
    place = f"gdrive://{shared.folder}/"
    shared.fake.drive.make_file("shop-20200101T000000Z.dbsync.tar", b"old", shared.folder)
    done = shared.run("export", place, "--url", f"sqlite:///{shop}", "--json").json()
    assert done["archive"].startswith(f"{place}shop-2")
    copy = tmp_path / "copy.sqlite"
    shared.run("import", place, "--url", f"sqlite:///{copy}", "--include-schema")
    assert sqlite_rows(copy) == sqlite_rows(shop)


def test_a_second_export_to_one_name_is_refused(shared: Shared, shop: Path) -> None:
    """The second export ends with exit code 8, the first is intact, and a flag replaces it."""
    place = f"gdrive://{shared.folder}/shop.dbsync.tar"
    export = ("export", place, "--url", f"sqlite:///{shop}")
    first = shared.run(*export, "--json").json()["archive_id"]
    refused = shared.run(*export, code=8)
    assert "already exists" in refused.err
    assert "--overwrite-archive" in refused.err
    assert shared.run("inspect", place, "--json").json()["archive_id"] == first
    shared.run(*export, "--overwrite-archive")
    assert shared.run("inspect", place, "--json").json()["archive_id"] != first
    shared.run("verify", place)
    assert shared.visible() == ["shop.dbsync.tar"]


def test_inspecting_reads_the_tail_only(shared: Shared, shop: Path) -> None:
    """Inspect transfers little of an archive, and one small table little more."""
    place = f"gdrive://{shared.folder}/shop.dbsync.tar"
    shared.run("export", place, "--url", f"sqlite:///{shop}")
    with shared.fake.counting("media") as requests:
        shared.run("inspect", place)
    assert sum(logged.content_bytes for logged in requests) < 2 << 20


def wait_for_stall(shared: Shared, process: subprocess.Popen[str]) -> None:
    """Wait until the process hangs on a request; fail at once if it ends before."""
    while not shared.fake.stalled.wait(0.05):
        assert process.poll() is None, process.communicate()


@pytest.mark.parametrize("stage", ["start", "chunk", "final"])
def test_a_killed_export_leaves_nothing_to_be_seen(
    shared: Shared, shop: Path, stage: str, tmp_path: Path
) -> None:
    """An export that is killed while it sends leaves no file, and the next one succeeds."""
    place = f"gdrive://{shared.folder}/shop.dbsync.tar"
    shared.fake.fail(stage, "stall")  # type: ignore[arg-type]
    process = subprocess.Popen(
        [*DBSYNC, "export", place, "--url", f"sqlite:///{shop}"],
        env=environment({**shared.env, "TMPDIR": str(tmp_path)}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for_stall(shared, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert shared.visible() == []
    shared.run("export", place, "--url", f"sqlite:///{shop}")
    shared.run("verify", place)


def test_an_interrupted_export_leaves_nothing(shared: Shared, shop: Path) -> None:
    """Ctrl-C in the middle of an upload ends with 130, and the upload is cancelled."""
    place = f"gdrive://{shared.folder}/shop.dbsync.tar"
    shared.fake.fail("chunk", "stall")
    process = subprocess.Popen(
        [*DBSYNC, "export", place, "--url", f"sqlite:///{shop}"],
        env=environment(shared.env),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for_stall(shared, process)
    process.send_signal(signal.SIGINT)
    shared.fake.release()  # a piece that is on its way is waited for
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert shared.visible() == []
    assert shared.fake.drive.sessions == {}


def test_a_broken_network_and_a_busy_drive_are_ridden_out(shared: Shared, shop: Path) -> None:
    """An export through several faults at once ends in an archive that verifies."""
    place = f"gdrive://{shared.folder}/shop.dbsync.tar"
    shared.fake.fail("start", "status", status=429, reason="rateLimitExceeded", retry_after="0")
    shared.fake.fail("chunk", "reset", size=5_000_000)
    shared.fake.fail("chunk", "partial", size=1 << 20, times=2)
    shared.fake.fail("final", "lost")
    shared.run("export", place, "--url", f"sqlite:///{shop}")
    shared.fake.fail("media", "short", size=1000, skip=2)
    shared.fake.fail("media", "reset")
    shared.run("verify", place)


def test_expired_credentials_are_named_and_no_secret_is(
    shared: Shared, shop: Path, tmp_path: Path
) -> None:
    """Exit code 5 with account, file and variable; no secret in any output, not with --debug."""
    shared.fake.accounts.revoke(ROBOT)
    place = f"gdrive://{shared.folder}/shop.dbsync.tar"
    done = shared.run("export", place, "--url", f"sqlite:///{shop}", "--debug", code=5)
    assert ROBOT in done.err
    assert str(shared.key) in done.err
    assert "DBSYNC_DRIVE_CREDENTIALS" in done.err
    private = json.loads(shared.key.read_text())["private_key"].splitlines()[1]
    assert private not in done.err + done.out.decode()
    assert shared.visible() == []


def test_an_account_without_storage_is_told_so(shared: Shared, shop: Path) -> None:
    """A service account in a folder of My Drive ends with exit code 5 and the way out."""
    folder = shared.fake.drive.make_folder("mine", owner="ann@example.com", rights={ROBOT: MANAGE})
    place = f"gdrive://{folder}/shop.dbsync.tar"
    done = shared.run("export", place, "--url", f"sqlite:///{shop}", code=5)
    assert "service accounts own no storage" in done.err
    assert shared.visible() == []
