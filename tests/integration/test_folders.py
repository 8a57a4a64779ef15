"""A folder in place of an archive: whole commands on real files of several databases."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.integration.command import dbsync


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Two databases, and a folder with an archive of each."""
    import subprocess
    import sys

    for name in ("shop", "blog"):
        demo = REPOSITORY / "scripts" / "demo_data.py"
        subprocess.run([sys.executable, demo, f"{name}.sqlite"], cwd=tmp_path, check=True)
    (tmp_path / "backups").mkdir()
    for name in ("shop", "blog"):
        dbsync("export", "--url", f"sqlite:///{name}.sqlite", "backups/", cwd=tmp_path)
    return tmp_path


def _name(place: Path, database: str) -> str:
    (path,) = (place / "backups").glob(f"{database}-*")
    return path.name


def test_each_command_takes_the_newest_of_one_database(place: Path) -> None:
    """Import by the target's name, verify by that of --against, the others by --database."""
    done = dbsync(
        "import", "--url", "sqlite:///new/../shop.sqlite", "backups/", cwd=place, code=None
    )
    assert done.code != 2, done.err
    info = dbsync("inspect", "backups/", "--database", "blog", "--json", cwd=place).json()
    assert info["archive"] == f"backups/{_name(place, 'blog')}"
    against = ("verify", "backups/", "--against", "sqlite:///shop.sqlite", "--json")
    assert dbsync(*against, cwd=place).json()["archive"] == f"backups/{_name(place, 'shop')}"
    dbsync("extract", "backups/", "out", "--database", "shop", cwd=place)
    assert (place / "out" / "customer").is_dir()


def test_none_is_guessed(place: Path) -> None:
    """With several databases and no name, the error lists them and nothing is changed."""
    for arguments in (
        ("inspect", "backups/"),
        ("verify", "backups/"),
        ("import", "--url", "sqlite:///other.sqlite", "--include-schema", "backups/"),
    ):
        done = dbsync(*arguments, cwd=place, code=2)
        assert "backups/ holds archives of several databases: blog, shop" in done.err
    assert not (place / "other.sqlite").exists()
    assert (
        "of the database nobody"
        in dbsync("inspect", "backups/", "--database", "nobody", cwd=place, code=5).err
    )


def test_an_archive_that_is_cut_is_passed_over(place: Path) -> None:
    """The newest complete one is restored where a newer one was interrupted."""
    name = _name(place, "shop")
    whole = (place / "backups" / name).read_bytes()
    (place / "backups" / "shop-20991231T000000Z.dbsync.tar").write_bytes(whole[:-512])
    info = dbsync("inspect", "backups/", "--database", "shop", "--json", cwd=place).json()
    assert info["archive"] == f"backups/{name}"
    done = dbsync("import", "--url", "sqlite:///shop.sqlite", "backups/", cwd=place)
    assert f"from backups/{name} in" in done.out.decode()
    assert "shop-20991231T000000Z.dbsync.tar is not complete and is passed over" in done.err


def test_prune_keeps_what_a_rehearsal_proved(place: Path) -> None:
    """Listing, pruning and restoring work together from the command line alone."""
    listed = json.loads(dbsync("list", "backups/", "--json", cwd=place).out)["archives"]
    assert {one["database"] for one in listed} == {"shop", "blog"}
    assert all(one["complete"] and one["tables"] == 4 for one in listed)
    dbsync("prune", "backups/", "--older-than", "1s", "--yes", cwd=place)
    assert len(list((place / "backups").iterdir())) == 2
