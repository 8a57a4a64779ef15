"""What users write for a place, and how archives in a folder are named and found."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from dbsync.errors import StorageError, UsageError
from dbsync.storage.local import LocalStorage
from dbsync.storage.location import Location, archive_name, newest, open_location, stream_location
from dbsync.storage.memory import MemoryStorage
from dbsync.storage.options import StorageOptions
from dbsync.storage.s3 import S3Storage
from dbsync.storage.stdio import PipeStorage

NOON = datetime(2025, 1, 31, 12, 0, 0, tzinfo=UTC)


def folder_with(*names: str) -> Location:
    store = MemoryStorage()
    for name in names:
        with store.put_stream(name):
            pass
    return Location(storage=store, key="", display="backups/", is_folder=True)


@pytest.mark.parametrize(
    ("text", "root", "key"),
    [
        ("shop.dbsync.tar", ".", "shop.dbsync.tar"),
        ("./a b.tar", ".", "a b.tar"),
        ("/x/y/shop", "/x/y", "shop"),
        ("../shop", "..", "shop"),
        ("file:///x/a%20b%23.tar", "/x", "a b#.tar"),
        ("file://localhost/x/y", "/x", "y"),
        ("FILE:///x/y", "/x", "y"),
        ("c:d", ".", "c:d"),
        ("100%25", ".", "100%25"),
    ],
)
def test_paths_and_file_urls(text: str, root: str, key: str) -> None:
    """A path is taken as it is, a file:// URL is decoded, and the display is what was written."""
    location = open_location(text)
    assert isinstance(location.storage, LocalStorage)
    assert (location.storage.root, location.key) == (Path(root), key)
    assert (location.display, location.is_folder, location.sequential) == (text, False, False)


@pytest.mark.parametrize(
    ("text", "root"),
    [("a/b/", "a/b"), ("/", "/"), ("./", "."), ("file:///x/", "/x"), ("../", "..")],
)
def test_a_slash_at_the_end_means_a_folder(text: str, root: str) -> None:
    """A location that ends in a slash is a folder whose archives are named by dbsync."""
    location = open_location(text)
    assert location.is_folder
    assert location.key == ""
    assert isinstance(location.storage, LocalStorage)
    assert location.storage.root == Path(root)
    inside = location.join("x.dbsync.tar")
    assert (inside.key, inside.display) == ("x.dbsync.tar", text + "x.dbsync.tar")
    assert not inside.is_folder


@pytest.mark.parametrize("text", ["-", "/dev/stdin", "/dev/stdout"])
def test_pipes(text: str) -> None:
    """A hyphen and the names of the standard streams mean a pipe."""
    location = open_location(text)
    assert isinstance(location.storage, PipeStorage)
    assert location.sequential


def test_special_files_are_sequential(tmp_path: Path) -> None:
    """A named pipe or a device on disk is read from its beginning only."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_bytes(b"")
    assert open_location(str(tmp_path / "pipe")).sequential
    assert open_location("/dev/null").sequential
    assert not open_location(str(tmp_path / "file")).sequential
    assert not open_location(str(tmp_path / "missing")).sequential


def test_an_open_stream_is_a_location() -> None:
    """A program's own stream is a sequential location."""
    with Path("/dev/null").open("rb") as stream:
        location = stream_location(stream)
        assert location.sequential
        with location.storage.open(location.key) as reader:
            assert reader.read() == b""


@pytest.mark.parametrize(
    ("text", "bucket", "prefix", "key"),
    [
        ("s3://bucket/shop.tar", "bucket", "", "shop.tar"),
        ("S3://bucket/a/b/c", "bucket", "a/b/", "c"),
        ("s3://bucket/100%25 #?&=+ü", "bucket", "", "100%25 #?&=+ü"),
        ("s3://bucket/", "bucket", "", ""),
        ("s3://bucket/a/b/", "bucket", "a/b/", ""),
    ],
)
def test_s3_locations(text: str, bucket: str, prefix: str, key: str) -> None:
    """A key is taken as it is written; the store is rooted in the folder that the key is in."""
    location = open_location(text, StorageOptions(s3_region="nowhere-1"))
    assert isinstance(location.storage, S3Storage)
    assert (location.storage.bucket, location.storage.prefix) == (bucket, prefix)
    assert (location.key, location.is_folder, location.sequential) == (key, key == "", False)
    assert location.display == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("a\0b", "NUL"),
        (".", "folder"),
        ("a/..", "folder"),
        ("s3://", "needs a bucket and a key"),
        ("s3:///key", "needs a bucket and a key"),
        ("s3://bucket", "needs a bucket and a key"),
        ("s3://bucket/a//b", "not a usable name"),
        ("s3://bucket//b", "not a usable name"),
        ("s3://bucket/../b", "not a usable name"),
        ("s3://bucket/a/..", "not a usable name"),
        ("gdrive://folder", "needs the id of a folder and a name"),
        ("gdrive:///name", "needs the id of a folder and a name"),
        ("gdrive://folder/sub/", "needs the id of a folder and a name"),
        ("gdrive://folder/a/../b", "not a usable name"),
        ("postgresql://u:secret@h/d", "database"),
        ("postgresql+psycopg2://u:secret@h/d", "database"),
        ("sqlite:///x.db", "database"),
        ("ftp://u:secret@h/x", "ftp:// locations are unknown"),
        ("file://server/share/x", "no file on this machine"),
        ("file://", "empty"),
    ],
)
def test_refused_locations(text: str, words: str) -> None:
    """What names no place is refused with a next step, and a password in it is not repeated."""
    with pytest.raises(UsageError, match=words) as caught:
        open_location(text)
    assert caught.value.exit_code == 2
    assert caught.value.hint
    assert "secret" not in f"{caught.value} {caught.value.hint}"


def test_archive_names() -> None:
    """The name is the database, the time in UTC and the suffix."""
    assert archive_name("shop", NOON) == "shop-20250131T120000Z.dbsync.tar"
    east = NOON.astimezone(timezone(timedelta(hours=9)))
    assert archive_name("shop-2.x_y", east) == "shop-2.x_y-20250131T120000Z.dbsync.tar"


def test_archive_names_are_safe_and_distinct() -> None:
    """No name of a database can make a path, an option or the archive of another database."""
    databases = ["a/b", "a b", "a_b", "../x", "-rf", ".hidden", "", "日本", "é", "x" * 300, "a\n"]
    names = [archive_name(database, NOON) for database in databases]
    assert len(set(names)) == len(names)
    for name in names:
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
        assert name[0] not in ".-"
        assert len(name) < 200


def test_the_newest_is_chosen_by_the_time_in_the_name() -> None:
    """The time of writing does not matter, and neither do other files."""
    folder = folder_with(
        "shop-20250131T120000Z.dbsync.tar",
        "shop-20250101T120000Z.dbsync.tar",
        "shop-20991301T000000Z.dbsync.tar",
        "shop-20990101T000000Z.dbsync.tar.part",
        "shop-latest.dbsync.tar",
        "shop-2099.dbsync.tar",
        "old/shop-20990101T000000Z.dbsync.tar",
        "-20990101T000000Z.dbsync.tar",
    )
    found = newest(folder)
    assert found.key == "shop-20250131T120000Z.dbsync.tar"
    assert found.display == "backups/shop-20250131T120000Z.dbsync.tar"
    assert found.storage is folder.storage


def test_the_newest_of_one_database() -> None:
    """A database whose name begins like another's is told apart from it."""
    folder = folder_with(
        archive_name("sales", NOON),
        archive_name("sales-2024", NOON + timedelta(days=1)),
        archive_name("sa/les", NOON + timedelta(days=2)),
    )
    assert newest(folder).key == archive_name("sa/les", NOON + timedelta(days=2))
    assert newest(folder, "sales").key == archive_name("sales", NOON)
    assert newest(folder, "sa/les").key == archive_name("sa/les", NOON + timedelta(days=2))


def test_no_archive_in_the_folder() -> None:
    """An empty folder, or one without the database, is a storage error that names both."""
    with pytest.raises(StorageError, match="no archive in backups/"):
        newest(folder_with("readme"))
    with pytest.raises(StorageError, match="of the database shop in backups/"):
        newest(folder_with(archive_name("other", NOON)), "shop")


def test_the_newest_file_on_disk_is_a_complete_one(tmp_path: Path) -> None:
    """An archive that is still being written is not found, and subfolders are not searched."""
    location = open_location(f"{tmp_path}/")
    done = location.join(archive_name("shop", NOON))
    with done.storage.put_stream(done.key) as writer:
        writer.write(b"x")
    running = archive_name("shop", NOON + timedelta(days=1))
    with location.storage.put_stream(running):
        assert newest(location).key == done.key
    assert newest(location).key == running
