"""No secret is ever printed, whatever a layer below lets slip."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbsync import errors
from dbsync.cli.redaction import Redactor
from tests.unit.cli.conftest import COMMANDS, EXPORTED, Library, Ran, Run

CANARY = "s3cr3t/canary@1 \"'\\é"
URL = f"postgresql://user:{quote(CANARY, safe='')}@db.example/shop"


def _no_canary(ran: Ran) -> None:
    for text in (ran.out, ran.err):
        for form in (CANARY, quote(CANARY), quote(CANARY, safe=""), "canary"):
            assert form not in text


_FLAGS = [
    [],
    ["-v"],
    ["--json"],
    ["--log-format", "json"],
    ["--debug"],
    ["--json", "-v", "--debug"],
]


@pytest.mark.parametrize("flags", _FLAGS, ids=" ".join)
def test_canary_in_everything(
    flags: list[str], dbsync: Run, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Errors, traces, results, warnings, logs and prints that hold the password are masked."""
    args = ["export", "a", "--url", URL, *flags]
    _no_canary(dbsync(*args))

    library.results["export_database"] = replace(archive=f"to {CANARY}", warnings=(CANARY, URL))
    ran = dbsync(*args)
    assert ran.code == 0
    _no_canary(ran)

    def talkative(**_arguments: object) -> object:
        print(CANARY)
        print(repr(CANARY), URL, file=sys.stderr)
        record = logging.LogRecord("driver", 40, "", 0, "with %s", (CANARY,), None)
        logging.StreamHandler().emit(record)
        raise ValueError(CANARY) from OSError(f"cannot connect to {URL}")

    monkeypatch.setattr("dbsync.api.export_database", talkative)
    ran = dbsync(*args)
    assert ran.code == 1
    _no_canary(ran)

    def expected(**_arguments: object) -> object:
        raise errors.SourceError(f"refused: {URL}", hint=f"try {CANARY}")

    monkeypatch.setattr("dbsync.api.export_database", expected)
    _no_canary(dbsync(*args))


def replace(**changes: object) -> object:
    from msgspec.structs import replace as change

    return change(EXPORTED, **changes)


def test_every_way_to_give_a_secret(
    dbsync: Run, library: Library, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Passwords from flags, variables, files and .env, in every command, are all known."""
    library.fail = errors.SourceError(f"refused: password is {CANARY}")
    (tmp_path / "secret").write_text(CANARY + "\n")
    parts = ["--engine", "postgresql", "--host", "h", "--username", "u", "--database", "d"]
    _no_canary(dbsync("export", "a", *parts, "--password", CANARY, "-v"))
    _no_canary(dbsync("check", *parts, "--password", CANARY))
    _no_canary(dbsync("clone", "--from", URL, "--to", "sqlite:///x"))
    _no_canary(dbsync("clone", "--to", URL, "--from", "sqlite:///x"))
    _no_canary(dbsync("verify", "a", "--against", URL))
    monkeypatch.setenv("DBSYNC_PASSWORD_FILE", str(tmp_path / "secret"))
    _no_canary(dbsync("import", "a", *parts))
    monkeypatch.delenv("DBSYNC_PASSWORD_FILE")
    monkeypatch.setenv("DBSYNC_URL", URL)
    _no_canary(dbsync("import", "a", "-v"))
    monkeypatch.delenv("DBSYNC_URL")
    (tmp_path / ".env").write_text(f"DBSYNC_URL={URL}\n")
    ran = dbsync("import", "a", "-v")
    assert len(library.calls) == 8
    _no_canary(ran)


def test_misplaced_secrets(dbsync: Run) -> None:
    """A URL in the wrong place is not repeated with its password in the usage error."""
    _no_canary(dbsync("export", "a", URL, URL))
    _no_canary(dbsync("export", "a", "--url", URL, "--host", "h"))
    _no_canary(dbsync("export", "a", "--url", URL, "--password", CANARY))
    _no_canary(dbsync("export", "a", "--tables", URL + ",,", "--url", "sqlite:///x"))


def test_visible_password_is_mentioned(dbsync: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """With -v, a password among the arguments is pointed out once; one in a variable is not."""
    ran = dbsync("export", "a", "--url", URL, "-v")
    assert ran.err.count("list of processes") == 1
    assert "DBSYNC_URL_FILE" in ran.err
    assert "list of processes" not in dbsync("export", "a", "--url", URL).err
    monkeypatch.setenv("DBSYNC_URL", URL)
    assert "list of processes" not in dbsync("export", "a", "-v").err


def test_weak_passwords_do_not_garble(dbsync: Run, library: Library) -> None:
    """A password that is also user or engine is masked in URLs, and the rest stays readable."""
    library.fail = errors.SourceError("no postgres at postgresql://postgres:postgres@h/postgres")
    ran = dbsync("export", "a", "--url", "postgresql://postgres:postgres@h/postgres")
    assert "no postgres at postgresql://postgres:***@h/postgres" in ran.err


def test_json_stays_json(dbsync: Run, library: Library) -> None:
    """A password that is a word of the JSON itself does not break it."""
    for password in ("rows", "true", "1200", "archive_id"):
        ran = dbsync("export", "a", "--url", f"postgresql://u:{password}@h/d", "--json")
        assert json.loads(ran.out)["rows"] == 1200


@given(
    st.text(alphabet=st.characters(codec="utf-8"), min_size=4, max_size=30),
    st.text(max_size=20),
)
def test_learned_secrets_go(secret: str, around: str) -> None:
    """A secret standing by itself in any text is masked, raw, encoded, and in JSON or repr."""
    redactor = Redactor()
    redactor.learn(secret)
    for form in (secret, quote(secret, safe=""), repr(secret)[1:-1], json.dumps(secret)[1:-1]):
        assert redactor.clean(f" {form} ") == " *** "
        cleaned = redactor.clean(f"{around} {form} {around}")
        assert f" {form} " not in cleaned or form in "*** "


def test_streams_are_given_back(dbsync: Run) -> None:
    """After a run inside another program its streams are what they were."""
    before = sys.stdout, sys.stderr
    dbsync(*COMMANDS["inspect"])
    assert (sys.stdout, sys.stderr) == before
