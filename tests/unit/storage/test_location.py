"""What users write for a place of an archive."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dbsync.errors import UsageError
from dbsync.storage.local import LocalStorage
from dbsync.storage.location import open_folder, open_location, stream_location
from dbsync.storage.options import StorageOptions
from dbsync.storage.s3 import S3Storage
from dbsync.storage.stdio import PipeStorage


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


@pytest.mark.parametrize(
    ("text", "root"), [("a/b", "a/b"), ("a/b/", "a/b"), (".", "."), ("/", "/")]
)
def test_a_folder_needs_no_slash_where_only_a_folder_can_be_meant(text: str, root: str) -> None:
    """A place that is listed or pruned is a folder, however it is written."""
    location = open_folder(text)
    assert location.is_folder
    assert isinstance(location.storage, LocalStorage)
    assert location.storage.root == Path(root)
    assert location.join("x").display.endswith("/x")


def test_a_pipe_is_no_folder() -> None:
    """There is nothing to list in a pipe."""
    with pytest.raises(UsageError, match="a pipe holds no list"):
        open_folder("-")
