"""What `dbsync schedule` and `dbsync health` take from variables, print, and end with."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dbsync import api
from dbsync.cli.main import cli
from dbsync.cli.parameters import Argument, Option
from dbsync.config import HealthSettings, ScheduleSettings
from dbsync.errors import StorageError, UsageError
from dbsync.pipeline.retention import RetentionPolicy
from dbsync.service.state import State, Success, write_state
from tests.unit.cli.conftest import Library, Run
from tests.unit.cli.test_options import _OUTPUT, _PARTS, _VALUES, TREASURE_DATA

_OWN: dict[str, tuple[str, str, Any]] = {
    "archive": ("other/", "archive", "other/"),
    "include_schema": ("no", "include_schema", False),
    "older_than": ("9d", "policy", RetentionPolicy(older_than=timedelta(days=9))),
    **{
        name: ("9", "policy", RetentionPolicy(**{name: 9}))
        for name in ("keep_last", "keep_daily", "keep_weekly", "keep_monthly", "keep_yearly")
    },
    "cron": ("0 3 * * *", "cron", "0 3 * * *"),
    "timezone": ("Europe/Berlin", "timezone", "Europe/Berlin"),
    "jitter": ("10m", "jitter", timedelta(minutes=10)),
    "once": ("yes", "once", True),
    "retries": ("7", "retries", 7),
    "retry_pause": ("5s", "retry_pause", timedelta(seconds=5)),
    "rehearse_every": ("7", "rehearse_every", 7),
    "rehearse_cron": ("0 5 * * 0", "rehearse_cron", "0 5 * * 0"),
    "rehearse_url": ("sqlite:///r", "rehearse_url", "sqlite:///r"),
    "state": ("s.json", "state", Path("s.json")),
    "webhook": ("https://host/token", "webhook", "https://host/token"),
    "metrics": ("m.prom", "metrics", Path("m.prom")),
    "max_age": ("2d", "max_age", timedelta(days=2)),
    "rehearsed": ("1", "rehearsed", True),
}
_ALL = [
    (command, param)
    for command in ("schedule", "health")
    for param in cli.commands[command].params
    if isinstance(param, Option | Argument) and param.name not in _PARTS | _OUTPUT | TREASURE_DATA
]
_LEAST = {"DBSYNC_ARCHIVE": "backups/", "DBSYNC_URL": "sqlite:///x", "DBSYNC_CRON": "0 2 * * *"}


@pytest.mark.parametrize(("command", "param"), _ALL, ids=[f"{c} {p.opts[0]}" for c, p in _ALL])
def test_every_variable_arrives(
    command: str, param: Option | Argument, dbsync: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container needs no flag: each variable alone reaches the settings."""
    text, name, value = {**_VALUES, **_OWN}[param.name or ""]
    found: list[Any] = []
    settings = ScheduleSettings if command == "schedule" else HealthSettings
    original = settings.of

    def keep(given: Any) -> Any:
        found.append(original(given))
        raise UsageError("seen")

    monkeypatch.setattr(settings, "of", keep)
    for variable, usual in {**_LEAST, param.variable: text}.items():
        if command == "schedule" or variable in ("DBSYNC_ARCHIVE", param.variable):
            monkeypatch.setenv(variable, usual)
    ran = dbsync(command)
    assert "seen" in ran.err
    own = hasattr(found[0], name)
    assert getattr(found[0] if own else found[0].export, name) == value


def test_once_exports_and_says_so(dbsync: Run, library: Library, tmp_path: Path) -> None:
    """One run: checked by a dry run, exported, reported as one JSON object, remembered."""
    (tmp_path / "b").mkdir()
    ran = dbsync("schedule", "b/", "--url", "sqlite:///x", "--once", "--json", "--state", "s.json")
    assert ran.code == 0, ran.err
    report = json.loads(ran.out)
    assert (report["event"], report["rows"], report["archive"]) == ("success", 1200, "a.dbsync.tar")
    assert [call["dry_run"] for _, call in library.calls] == [True, False]
    assert dbsync("health", "--state", "s.json").code == 0


def test_a_failed_run_ends_once_with_its_code(
    dbsync: Run, library: Library, tmp_path: Path
) -> None:
    """The exit code of --once is that of the failure, which is told on stderr with its hint."""
    (tmp_path / "b").mkdir()
    library.fail = StorageError("the token has expired", hint="renew AWS_SESSION_TOKEN")
    ran = dbsync("schedule", "b/", "--url", "sqlite:///x", "--once")
    assert ran.code == 5
    assert "AWS_SESSION_TOKEN" in ran.err


def test_mistakes_end_it_before_anything_is_touched(dbsync: Run, library: Library) -> None:
    """A wrong expression, zone or webhook is found before a database is opened."""
    least = ["schedule", "b/", "--url", "sqlite:///x"]
    for mistake in (
        ["--cron", "nightly"],
        ["--cron", "0 2 * * *", "--timezone", "Nowhere"],
        ["--once", "--webhook", "ftp://host/"],
        ["--once", "--rehearse-cron", "61 * * * *"],
        [],
    ):
        ran = dbsync(*least, *mistake)
        assert ran.code == 2, mistake
    assert library.calls == []


def test_events_as_json(dbsync: Run, library: Library, tmp_path: Path) -> None:
    """With JSON logs each line of stderr is an object, the report of the run among them."""
    (tmp_path / "b").mkdir()
    ran = dbsync("schedule", "b/", "--url", "sqlite:///x", "--once", "--log-format", "json")
    events = [json.loads(line)["event"] for line in ran.err.splitlines()]
    assert "run_started" in events
    assert "success" in events


def _remembered(folder: Path, **changes: Any) -> str:
    now = datetime.now(UTC)
    usual = {
        "since": now - timedelta(days=9),
        "last_success": Success(
            time=now - timedelta(hours=3), archive="b/new.tar", rows=1, bytes=1, seconds=1
        ),
    }
    state = State(
        location="b/",
        timetable="",
        handled_until=now,
        rehearsals_until=now,
        **{**usual, **changes},
    )
    write_state(folder / "s.json", state)
    return str(folder / "s.json")


def test_health_by_the_state_file(dbsync: Run, tmp_path: Path) -> None:
    """Young enough is 0, too old is 3, and the one line says how old and which archive."""
    path = _remembered(tmp_path)
    ran = dbsync("health", "--state", path)
    assert (ran.code, ran.out.count("\n")) == (0, 1)
    assert "3 h 00 min old" in ran.out
    assert "b/new.tar" in ran.out
    ran = dbsync("health", "--state", path, "--max-age", "2h", "--json")
    assert ran.code == 3
    answer = json.loads(ran.out)
    assert answer["healthy"] is False
    assert answer["age_s"] == pytest.approx(3 * 3600, abs=60)


def test_health_before_the_first_archive(dbsync: Run, tmp_path: Path) -> None:
    """A service that has just begun is healthy for as long as an archive may be old."""
    young = _remembered(tmp_path, last_success=None, since=datetime.now(UTC) - timedelta(hours=1))
    assert dbsync("health", "--state", young).code == 0
    old = _remembered(tmp_path, last_success=None)
    assert dbsync("health", "--state", old).code == 3


def test_health_of_rehearsed_archives(dbsync: Run, tmp_path: Path) -> None:
    """With --rehearsed an archive that was only completed does not count."""
    path = _remembered(tmp_path)
    assert dbsync("health", "--state", path, "--rehearsed").code == 3


def test_health_without_a_state_file(dbsync: Run, tmp_path: Path) -> None:
    """A service that never began is not healthy; a file of something else is a mistake."""
    assert dbsync("health", "--state", str(tmp_path / "none.json")).code == 3
    (tmp_path / "other.json").write_text("[]")
    assert dbsync("health", "--state", str(tmp_path / "other.json")).code == 2


def test_health_of_a_place_that_fails(
    dbsync: Run, monkeypatch: pytest.MonkeyPatch, library: Library
) -> None:
    """A store that cannot be asked is exit code 5, not an answer."""
    library.fail = StorageError("no way")
    monkeypatch.setattr(api, "list_archives", library.function("check"))
    assert dbsync("health", "b/").code == 5
