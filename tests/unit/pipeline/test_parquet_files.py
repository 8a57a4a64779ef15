"""A set of Parquet files appears whole, or not at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dbsync.errors import ConflictError, StorageError
from dbsync.model.schema import Name
from dbsync.pipeline.parquet_files import folder_names, new_set, write_file


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _fill(folder: Path, *names: str, overwrite: bool = False, data: bytes = b"x") -> None:
    with new_set(folder, overwrite=overwrite) as hidden:
        for name in names:
            write_file(hidden / name, data)


def test_nothing_is_visible_before_the_end(tmp_path: Path) -> None:
    """While the set is written its folder does not exist; then it holds the files alone."""
    folder = tmp_path / "a" / "orders"
    with new_set(folder, overwrite=False) as hidden:
        write_file(hidden / "00000001.parquet", b"1")
        assert not folder.exists()
        assert hidden.name.startswith(".")
    assert _names(folder) == ["00000001.parquet"]
    assert _names(folder.parent) == ["orders"]


def test_an_exception_leaves_nothing(tmp_path: Path) -> None:
    """What was begun goes, and an old set stays as it was."""
    folder = tmp_path / "orders"
    _fill(folder, "00000001.parquet", data=b"old")

    def interrupted() -> None:
        with new_set(folder, overwrite=True) as hidden:
            write_file(hidden / "00000001.parquet", b"new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert _names(tmp_path) == ["orders"]
    assert (folder / "00000001.parquet").read_bytes() == b"old"


def test_replacing_a_set(tmp_path: Path) -> None:
    """All of the old set goes, and only when it is asked for."""
    folder = tmp_path / "orders"
    _fill(folder, "00000001.parquet", "00000002.parquet", data=b"old")
    with pytest.raises(ConflictError):
        _fill(folder, "00000001.parquet")
    _fill(folder, "00000001.parquet", overwrite=True, data=b"new")
    assert _names(folder) == ["00000001.parquet"]
    assert (folder / "00000001.parquet").read_bytes() == b"new"
    assert _names(tmp_path) == ["orders"]


@pytest.mark.parametrize("foreign", ["thesis.docx", "00000001.parquet.bak", ".hidden"])
def test_only_a_set_is_replaced(foreign: str, tmp_path: Path) -> None:
    """A folder with anything else in it is never touched, whatever was asked for."""
    folder = tmp_path / "orders"
    _fill(folder, "00000001.parquet")
    (folder / foreign).write_text("mine")
    with pytest.raises(ConflictError, match="not replaced"):
        _fill(folder, "00000001.parquet", overwrite=True)
    assert _names(folder) == sorted(["00000001.parquet", foreign])


def test_what_comes_while_it_is_written(tmp_path: Path) -> None:
    """A set that another run has finished meanwhile is not replaced unasked."""
    folder = tmp_path / "orders"
    with pytest.raises(ConflictError), new_set(folder, overwrite=False):
        _fill(folder, "00000001.parquet", data=b"other")
    assert (folder / "00000001.parquet").read_bytes() == b"other"
    assert _names(tmp_path) == ["orders"]


def test_places_that_are_none(tmp_path: Path) -> None:
    """A file or a link in the place of the folder is refused, and so is an unwritable parent."""
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    for name in ("file", "link"):
        with pytest.raises(ConflictError, match="no folder of its own"):
            _fill(tmp_path / name, overwrite=True)
    with pytest.raises(StorageError):
        _fill(tmp_path / "file" / "orders")
    (tmp_path / "empty").mkdir()
    _fill(tmp_path / "empty", "00000001.parquet")
    assert _names(tmp_path / "empty") == ["00000001.parquet"]


_KILLED = """
import os, sys
from pathlib import Path
from dbsync.pipeline.parquet_files import new_set, write_file
with new_set(Path(sys.argv[1]), overwrite=True) as hidden:
    write_file(hidden / "00000001.parquet", b"new")
    os._exit(9)
"""


def test_what_a_killed_run_leaves(tmp_path: Path) -> None:
    """Its hidden folder goes with the next run of the same set, not with that of another one."""
    folder = tmp_path / "orders"
    _fill(folder, "00000001.parquet", data=b"old")
    subprocess.run([sys.executable, "-c", _KILLED, str(folder)], check=False)
    assert len(_names(tmp_path)) == 2
    assert (folder / "00000001.parquet").read_bytes() == b"old"
    _fill(tmp_path / "orders2", "00000001.parquet")
    assert len(_names(tmp_path)) == 3
    _fill(folder, "00000001.parquet", overwrite=True)
    assert _names(tmp_path) == ["orders", "orders2"]


def test_a_run_beside_another_is_left_alone(tmp_path: Path) -> None:
    """The hidden folder of a run that is alive is not taken for a leftover."""
    folder = tmp_path / "orders"
    with new_set(folder, overwrite=True) as hidden:
        write_file(hidden / "00000001.parquet", b"first")
        _fill(folder, "00000001.parquet", data=b"second")
        assert (hidden / "00000001.parquet").read_bytes() == b"first"
    assert (folder / "00000001.parquet").read_bytes() == b"first"


def test_killed_between_two_renames(tmp_path: Path) -> None:
    """An old set that was moved aside, and whose place is empty, comes back."""
    folder = tmp_path / "orders"
    _fill(folder, "00000001.parquet", data=b"old")
    folder.rename(tmp_path / ".orders.0123abcd.old")
    with pytest.raises(ConflictError):
        _fill(folder, "00000001.parquet")
    assert (folder / "00000001.parquet").read_bytes() == b"old"


def test_folder_names() -> None:
    """Names that trouble file systems are replaced, and those that become alike get numbers."""
    names = [
        Name(None, "a/b"),
        Name(None, "a_b"),
        Name(None, "A_B"),
        Name("s", "..x"),
        Name(None, "."),
    ]
    assert list(folder_names(names).values()) == ["a_b", "a_b_2", "A_B_3", "s...x", "table"]
