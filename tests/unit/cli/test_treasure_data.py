"""The options of Treasure Data: by variable, in every command that has them, and never a key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dbsync import errors
from dbsync.cli.main import cli
from dbsync.config import ScheduleSettings
from dbsync.errors import UsageError
from tests.unit.cli.conftest import Library, Ran, Run
from tests.unit.cli.test_options import TREASURE_DATA

KEY = "1234/c4n4ry5678canary"
TD = "td://eu01/shop"
_COMMANDS = {
    "export": ["export", "a", "--url", TD],
    "import": ["import", "a", "--url", TD],
    "clone": ["clone", "--from", TD, "--to", "td://us/copy"],
    "verify": ["verify", "a", "--against", TD],
    "to-parquet": ["to-parquet", TD, "orders", "d"],
    "check": ["check", "--url", TD],
    "schedule": ["schedule", "--once", "a/", "--url", TD],
}
_VALUES: dict[str, tuple[str, str, Any]] = {
    "td_time_range": ("0,9", "time_range", (0, 9)),
    "td_time": ("drop", "keep_time", False),
    "td_time_column": ("a:b\nc", "time_columns", {"a": "b", "*": "c"}),
    "timeout": ("15m", "timeout_s", 900),
    "table_parallelism": ("3", "table_parallelism", 3),
    "download_parallelism": ("5", "download_parallelism", 5),
}
_ARRIVING = [
    (command, param.name or "")
    for command in _COMMANDS
    for param in cli.commands[command].params
    if param.name in _VALUES
]


def test_where_they_are() -> None:
    """Every command that reaches Treasure Data takes a key, and no other one any of the options."""
    reaching = {*_COMMANDS, "rehearse"}
    taking = {
        name: {param.name for param in command.params} & TREASURE_DATA
        for name, command in cli.commands.items()
    }
    assert {name for name, options in taking.items() if "td_api_key" in options} == reaching
    assert {name for name, options in taking.items() if options} == reaching
    assert taking["clone"] == TREASURE_DATA


@pytest.mark.parametrize(("command", "option"), _ARRIVING)
def test_every_variable_arrives(
    command: str,
    option: str,
    dbsync: Run,
    library: Library,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A variable alone reaches the library as the option would."""
    found: list[Any] = []
    original = ScheduleSettings.of

    def keep(given: Any) -> Any:
        found.append(original(given).export.treasure_data)
        raise UsageError("seen")

    monkeypatch.setattr(ScheduleSettings, "of", keep)
    text, field, value = _VALUES[option]
    monkeypatch.setenv("DBSYNC_TD_API_KEY", KEY)
    monkeypatch.setenv(f"DBSYNC_{option.upper()}", text)
    ran = dbsync(*_COMMANDS[command])
    if command != "schedule":
        assert ran.code == 0, ran.err
        found.append(library.arguments["treasure_data"])
    assert getattr(found[0], field) == value


@pytest.mark.parametrize(
    ("variables", "source", "target"),
    [
        ({"TD_API_KEY": "a"}, "td://:a@eu01/shop", "td://:a@us/copy"),
        (
            {"FROM_TD_API_KEY": "a", "TO_TD_API_KEY": "b"},
            "td://:a@eu01/shop",
            "td://:b@us/copy",
        ),
        ({"TD_API_KEY": "a", "TO_TD_API_KEY": "b"}, "td://:a@eu01/shop", "td://:b@us/copy"),
    ],
)
def test_keys_of_a_clone(
    variables: dict[str, str],
    source: str,
    target: str,
    dbsync: Run,
    library: Library,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One key serves both sides, and each side may have its own."""
    for name, value in variables.items():
        monkeypatch.setenv(f"DBSYNC_{name}", value)
    assert dbsync(*_COMMANDS["clone"]).code == 0
    assert (library.arguments["source"], library.arguments["target"]) == (source, target)


def _no_key(ran: Ran) -> None:
    for form in (KEY, KEY.replace("/", "%2F"), "c4n4ry"):
        assert form not in ran.out + ran.err


@pytest.mark.parametrize("flags", [[], ["-v"], ["--json"], ["--debug"], ["--log-format", "json"]])
def test_no_key_is_ever_printed(
    flags: list[str],
    dbsync: Run,
    library: Library,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Keys from flags, variables, files and .env, in every command, are masked in all output."""
    library.fail = errors.SourceError(f"refused: TD1 {KEY}", hint=f"{KEY} for td://:{KEY}@eu01/d")
    commands = [command for name, command in _COMMANDS.items() if name != "schedule"]
    for command in commands:
        _no_key(dbsync(*command, "--td-api-key", KEY, *flags))
    sides = ("--from-td-api-key", KEY, "--to-td-api-key", KEY + "2")
    _no_key(dbsync(*_COMMANDS["clone"], *sides, *flags))
    _no_key(dbsync("check", "--url", f"td://:{KEY}@eu01/shop", *flags))
    (tmp_path / "key").write_text(KEY + "\n")
    monkeypatch.setenv("DBSYNC_TD_API_KEY_FILE", str(tmp_path / "key"))
    for command in commands:
        _no_key(dbsync(*command, *flags))
    monkeypatch.delenv("DBSYNC_TD_API_KEY_FILE")
    (tmp_path / ".env").write_text(f"DBSYNC_TD_API_KEY={KEY}\n")
    for command in commands:
        _no_key(dbsync(*command, *flags))
    assert len(library.calls) == 3 * len(commands) + 2


def test_a_misplaced_key(dbsync: Run) -> None:
    """A key where a user or a second one stands is not repeated in the usage error."""
    _no_key(dbsync("check", "--url", f"td://{KEY}@eu01/shop", "extra"))
    ran = dbsync("check", "--url", f"td://:{KEY}@eu01/shop", "--td-api-key", KEY + "3")
    assert ran.code == 2
    _no_key(ran)


def test_a_visible_key_is_mentioned(dbsync: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """With -v, a key among the arguments is pointed out, with the variable that hides it."""
    ran = dbsync("check", "--url", TD, "--td-api-key", KEY, "-v")
    assert "list of processes" in ran.err
    assert "DBSYNC_TD_API_KEY_FILE" in ran.err
    monkeypatch.setenv("DBSYNC_TD_API_KEY", KEY)
    assert "list of processes" not in dbsync("check", "--url", TD, "-v").err
