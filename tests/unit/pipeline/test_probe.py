"""Looking whether a folder can take archives."""

from __future__ import annotations

from pathlib import Path

import pytest

from dbsync.errors import StorageError, UsageError
from dbsync.pipeline.probe import probe_folder


def test_nothing_is_left(tmp_path: Path) -> None:
    """A folder that can be written to is as it was."""
    probe_folder(f"{tmp_path}/")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder(tmp_path: Path) -> None:
    """A folder that is not there is found out now, not in the night."""
    with pytest.raises(StorageError, match="gone"):
        probe_folder(f"{tmp_path}/gone/")


def test_a_place_without_room_for_names() -> None:
    """A folder in which no file can be made is refused, also to root."""
    with pytest.raises(StorageError):
        probe_folder("/proc/self/")


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    """A location that does not end in / is a mistake."""
    with pytest.raises(UsageError, match="no folder"):
        probe_folder(f"{tmp_path}/a.dbsync.tar")
