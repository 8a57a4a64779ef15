"""Variables, .env files, secrets in files, booleans."""

from __future__ import annotations

from pathlib import Path

import pytest

from dbsync.config.environment import Environment, Found, Origin, parse_boolean
from dbsync.errors import UsageError


def test_the_process_beats_the_file(tmp_path: Path) -> None:
    """A variable of the process wins over the same one in the .env file; others come from it."""
    file = tmp_path / "settings.env"
    file.write_text("DBSYNC_HOST=from-file\nDBSYNC_PORT='54'\n# comment\nexport DBSYNC_A=${B}x\n")
    environment = Environment.load({"DBSYNC_HOST": "here"}, str(file))
    assert environment.find("DBSYNC_HOST") == Found("here", Origin.ENVIRONMENT, "DBSYNC_HOST")
    assert environment.find("DBSYNC_PORT") == Found("54", Origin.ENV_FILE, "DBSYNC_PORT")
    assert environment.find("DBSYNC_NONE") is None


def test_default_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """./.env is read where it is a file; none, or a folder of that name, is no error."""
    monkeypatch.chdir(tmp_path)
    assert Environment.load({}).find("DBSYNC_HOST") is None
    (tmp_path / ".env").mkdir()
    assert Environment.load({}).find("DBSYNC_HOST") is None
    (tmp_path / ".env").rmdir()
    (tmp_path / ".env").write_text("DBSYNC_HOST=h\n")
    found = Environment.load({}).find("DBSYNC_HOST")
    assert found is not None
    assert found.value == "h"


def test_bad_files(tmp_path: Path) -> None:
    """A named file that is missing, and a line that is no assignment, are errors without quotes."""
    with pytest.raises(UsageError, match=r"none\.env"):
        Environment.load({}, str(tmp_path / "none.env"))
    bad = tmp_path / "bad.env"
    bad.write_text("DBSYNC_HOST=h\nDBSYNC_PASSWORD='never closed canary\n")
    with pytest.raises(UsageError, match="line 2") as caught:
        Environment.load({}, str(bad))
    assert "canary" not in str(caught.value)
    bad.write_bytes(b"DBSYNC_HOST=\xff\n")
    with pytest.raises(UsageError, match="UTF-8"):
        Environment.load({}, str(bad))


def test_secret_in_a_file(tmp_path: Path) -> None:
    """<VARIABLE>_FILE names a file; its last line break is not part of the secret, blanks are."""
    secret = tmp_path / "secret"
    secret.write_text(" a b \n")
    variables = {"DBSYNC_PASSWORD_FILE": str(secret)}
    found = Environment(variables).find("DBSYNC_PASSWORD", secret=True)
    assert found == Found(" a b ", Origin.ENVIRONMENT, "DBSYNC_PASSWORD_FILE")
    assert Environment(variables).find("DBSYNC_PASSWORD") is None
    # Both forms exclude each other in one place; over two places the process wins.
    with pytest.raises(UsageError, match="both set"):
        Environment({**variables, "DBSYNC_PASSWORD": "x"}).find("DBSYNC_PASSWORD", secret=True)
    layered = Environment({"DBSYNC_PASSWORD": "x"}, variables)
    found = layered.find("DBSYNC_PASSWORD", secret=True)
    assert found is not None
    assert found.value == "x"


def test_bad_secret_files(tmp_path: Path) -> None:
    """A missing or empty secret file is an error that names variable and file."""
    with pytest.raises(UsageError, match=r"DBSYNC_URL_FILE.*absent"):
        Environment({"DBSYNC_URL_FILE": str(tmp_path / "absent")}).find("DBSYNC_URL", secret=True)
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(UsageError, match="empty"):
        Environment({"DBSYNC_URL_FILE": str(tmp_path / "empty")}).find("DBSYNC_URL", secret=True)


def test_empty_is_not_set() -> None:
    """An empty variable counts as not set, so a lower place is asked."""
    environment = Environment({"DBSYNC_HOST": ""}, {"DBSYNC_HOST": "h"})
    found = environment.find("DBSYNC_HOST")
    assert found is not None
    assert found.value == "h"


def test_misspelt() -> None:
    """Near misses of known variables are found; foreign and known ones are left alone."""
    environment = Environment(
        {"DBSYNC_TABELS": "a", "DBSYNC_SHARED_DATA": "x", "DBSYNC_URL": "u", "TABLES": "y"},
        {"DBSYNC_PASWORD": "p"},
    )
    known = ["DBSYNC_TABLES", "DBSYNC_URL", "DBSYNC_PASSWORD", "DBSYNC_DATABASE"]
    assert environment.misspelt(known) == [
        ("DBSYNC_PASWORD", "DBSYNC_PASSWORD"),
        ("DBSYNC_TABELS", "DBSYNC_TABLES"),
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", True),
        ("TRUE", True),
        (" yes ", True),
        ("on", True),
        ("0", False),
        ("False", False),
        ("no", False),
        ("off", False),
    ],
)
def test_booleans(text: str, value: bool) -> None:
    """The usual words for yes and no are read, in any case."""
    assert parse_boolean(text, "DBSYNC_STRICT") is value


def test_no_boolean() -> None:
    """Any other word is an error that names the variable."""
    with pytest.raises(UsageError, match="DBSYNC_STRICT"):
        parse_boolean("perhaps", "DBSYNC_STRICT")
