"""`dbsync list` and `dbsync prune`: what is printed, how they are set, and their exit codes."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dbsync import api
from dbsync.cli.main import run
from dbsync.errors import StorageError
from dbsync.pipeline.retention import RetentionPolicy
from dbsync.storage.local import LocalStorage
from dbsync.storage.naming import archive_name
from tests.unit.cli.conftest import Ran
from tests.unit.pipeline.backups import archive, digest_of, rehearse, when

DAYS = ("2026-06-30T02:00:00", "2026-06-29T02:00:00", "2026-06-28T02:00:00")
NAMES = tuple(archive_name("shop", when(day)) for day in DAYS)


@pytest.fixture
def backups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with three archives, in a place without any settings."""
    folder = tmp_path / "backups"
    folder.mkdir()
    for name, day in zip(NAMES, DAYS, strict=True):
        (folder / name).write_bytes(archive("shop", day))
    monkeypatch.chdir(tmp_path)
    import os

    for variable in list(os.environ):
        if variable.startswith("DBSYNC_"):
            monkeypatch.delenv(variable)
    return folder


class _Command:
    def __init__(self, capfd: pytest.CaptureFixture[str]):
        self._capfd = capfd

    def __call__(self, *args: str) -> Ran:
        self._capfd.readouterr()
        code = run(list(args))
        captured = self._capfd.readouterr()
        return Ran(code, captured.out, captured.err)

    def json(self, *args: str, code: int = 0) -> Any:
        ran = self(*args, "--json")
        assert ran.code == code, ran.err
        return json.loads(ran.out)


@pytest.fixture
def dbsync(capfd: pytest.CaptureFixture[str]) -> _Command:
    """Runs a command line in this process."""
    return _Command(capfd)


def _rows(out: str) -> dict[str, str]:
    lines = [" ".join(line.split()) for line in out.splitlines()]
    return {line.split()[0]: line for line in lines if ".dbsync.tar" in line}


def test_list_shows_what_is_known_of_each(backups: Path, dbsync: _Command) -> None:
    """A line for each archive, the newest first, with state and rehearsal; then a sum."""
    data = archive("shop", DAYS[1])
    rehearse(LocalStorage(backups), NAMES[1], digest=digest_of(data))
    (backups / NAMES[2]).write_bytes(data[:3000])
    ran = dbsync("list", "backups/")
    assert ran.code == 0
    size = f"{len(data) / 1024:.1f} KiB"
    rows = _rows(ran.out)
    assert list(rows) == list(NAMES)
    assert rows[NAMES[0]] == f"{NAMES[0]} 2026-06-30 02:00:00 shop sqlite 3 2 5 {size} yes no"
    assert rows[NAMES[1]].endswith("yes 2026-07-01 03:00 passed")
    assert "2026-06-28 02:00:00 shop ? ? ? 2.9 KiB NO: E_TRUNCATED" in rows[NAMES[2]]
    assert "3 archives, 2 complete," in ran.out


def test_list_as_json(backups: Path, dbsync: _Command) -> None:
    """One object with everything that is known, also whether each is complete and rehearsed."""
    rehearse(
        LocalStorage(backups),
        NAMES[0],
        passed=False,
        digest=digest_of(archive("shop", DAYS[0])),
    )
    value = dbsync.json("list", "backups")
    assert [one["name"] for one in value["archives"]] == list(NAMES)
    first = value["archives"][0]
    assert first["archive"] == f"backups/{NAMES[0]}"
    assert first["time"] == "2026-06-30T02:00:00Z"
    assert (first["complete"], first["rehearsed"], first["rehearsal"]["result"]) == (
        True,
        False,
        "failed",
    )


@pytest.mark.usefixtures("backups")
def test_list_of_nothing(dbsync: _Command) -> None:
    """A folder without archives is no error; one that is not there is."""
    Path("empty").mkdir()
    assert dbsync("list", "empty").out == "no archives in empty\n"
    assert dbsync.json("list", "empty")["archives"] == []
    assert dbsync("list", "missing/").code == 5
    assert dbsync("list").code == 2


def test_prune_without_yes_is_a_preview(backups: Path, dbsync: _Command) -> None:
    """Every archive is listed with its fate and the reason, nothing is deleted, and it is said."""
    ran = dbsync("prune", "backups/", "--keep-daily", "1", "--keep-last", "1")
    assert ran.code == 0
    rows = _rows(ran.out)
    assert rows[NAMES[0]].endswith("keep last 1 of 1; daily 2026-06-30; newest complete")
    assert rows[NAMES[1]].endswith("DELETE no rule keeps it")
    assert "would delete 2 of 3 archives" in ran.out
    assert "nothing was deleted; --yes deletes what goes" in ran.out
    assert sorted(path.name for path in backups.iterdir()) == sorted(NAMES)
    assert "DELETE" in dbsync("prune", "backups/", "--keep-last", "1", "--yes", "--dry-run").out
    assert len(list(backups.iterdir())) == 3


def test_prune_says_which_notes_go(backups: Path, dbsync: _Command) -> None:
    """The note of an archive that is gone is named before it is deleted."""
    note = "shop-20200101T000000Z.dbsync.tar.rehearsed.json"
    (backups / note).write_text("{}")
    ran = dbsync("prune", "backups/", "--keep-last", "3")
    assert f"backups/{note} goes too" in ran.out
    assert "--yes deletes what goes" in ran.out
    dbsync("prune", "backups/", "--keep-last", "3", "--yes")
    assert sorted(path.name for path in backups.iterdir()) == sorted(NAMES)


def test_prune_with_yes_deletes(backups: Path, dbsync: _Command) -> None:
    """What goes is gone, and the result says so for people and programs."""
    (backups / "notes.txt").write_text("mine")
    value = dbsync.json("prune", "backups/", "--keep-last", "2", "--yes")
    assert (value["ok"], value["deleted"], value["dry_run"]) == (True, 1, False)
    assert [one["deleted"] for one in value["archives"]] == [False, False, True]
    ran = dbsync("prune", "backups/", "--keep-last", "1", "--yes")
    assert "deleted 1 of 2 archives" in ran.out
    assert sorted(path.name for path in backups.iterdir()) == ["notes.txt", NAMES[0]]


def test_prune_names_what_stays_where_a_deletion_fails(
    backups: Path, dbsync: _Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others go, the exit code is that of storage, and the reason is given."""
    delete = LocalStorage.delete

    def refuse(self: LocalStorage, key: str) -> None:
        if key == NAMES[1]:
            raise StorageError(f"cannot delete {key}: permission denied")
        delete(self, key)

    monkeypatch.setattr(LocalStorage, "delete", refuse)
    ran = dbsync("prune", "backups/", "--keep-last", "1", "--yes")
    assert ran.code == 5
    assert f"backups/{NAMES[1]} is still there: cannot delete" in ran.err
    assert "FAILED" in _rows(ran.out)[NAMES[1]]
    assert sorted(path.name for path in backups.iterdir()) == sorted(NAMES[:2])
    value = dbsync.json("prune", "backups/", "--keep-last", "1", "--yes", code=5)
    assert (value["ok"], value["failed"]) == (False, [f"backups/{NAMES[1]}"])


@pytest.mark.usefixtures("backups")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "no policy"),
        (["--keep-last", "0"], "no policy"),
        (["--keep-last", "-1"], "keep-last"),
        (["--older-than", "soon"], "older-than"),
        (["--older-than", "0d"], "older-than"),
        (["--keep-last", "1", "--timezone", "Mars/Base"], "time zone"),
    ],
)
def test_prune_refuses_what_is_no_policy(
    arguments: list[str], words: str, dbsync: _Command
) -> None:
    """Mistakes in the policy are usage errors with a next step, and delete nothing."""
    ran = dbsync("prune", "backups/", "--yes", *arguments)
    assert ran.code == 2
    assert words in ran.err
    assert "next:" in ran.err
    assert len(list(Path("backups").iterdir())) == 3


@pytest.mark.usefixtures("backups")
def test_everything_arrives_from_the_environment(
    dbsync: _Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folder, rules, zone and consent can be set by variables, as in a container."""
    calls: list[dict[str, Any]] = []
    prune = api.prune

    def record(**arguments: Any) -> object:
        calls.append(arguments)
        return prune(**{**arguments, "dry_run": True})

    monkeypatch.setattr(api, "prune", record)
    for name, value in {
        "ARCHIVE": "backups/",
        "DATABASE": "/data/shop.sqlite",
        "KEEP_LAST": "1",
        "KEEP_DAILY": "2",
        "KEEP_WEEKLY": "3",
        "KEEP_MONTHLY": "4",
        "KEEP_YEARLY": "5",
        "OLDER_THAN": "1w 12h",
        "TIMEZONE": "Europe/Berlin",
        "INCLUDE_INCOMPLETE": "yes",
        "YES": "1",
    }.items():
        monkeypatch.setenv(f"DBSYNC_{name}", value)
    ran = dbsync("prune")
    assert ran.code == 0, ran.err
    assert "time (Europe/Berlin)" in ran.out
    assert "2026-06-30 04:00:00" in ran.out
    (arguments,) = calls
    del arguments["storage_options"]
    assert arguments == {
        "location": "backups/",
        "database": "shop",
        "policy": RetentionPolicy(
            keep_last=1,
            keep_daily=2,
            keep_weekly=3,
            keep_monthly=4,
            keep_yearly=5,
            older_than=timedelta(days=7, hours=12),
        ),
        "timezone": "Europe/Berlin",
        "incomplete": True,
        "dry_run": False,
    }


def test_the_library_lists_and_prunes(backups: Path) -> None:
    """The package offers both, with the policy as one value."""
    import dbsync as library

    assert [one.name for one in library.list_archives("backups")] == list(NAMES)
    result = library.prune("backups/", library.RetentionPolicy(keep_last=1), now=when(DAYS[0]))
    assert result.deleted == 2
    assert [path.name for path in backups.iterdir()] == [NAMES[0]]
