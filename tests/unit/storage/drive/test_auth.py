"""Signing in as a person: the test takes the browser's part, the fake that of Google."""

from __future__ import annotations

import json
import stat
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from dbsync.errors import ConflictError, StorageError, UsageError
from dbsync.storage.drive import auth, open_drive
from dbsync.storage.options import StorageOptions
from tests.unit.storage.drive.conftest import ANN, Lab


@pytest.fixture(autouse=True)
def plain_http(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library insists on https for the token; the fake speaks plain http."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")


def browser(answer: Callable[[dict[str, str]], dict[str, str]]) -> Callable[[str], None]:
    """Visit the address that is announced, and be sent back with what `answer` gives."""

    def visit(text: str) -> None:
        address = text.rpartition(" ")[2]
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        back = f"{asked['redirect_uri']}?{urlencode(answer(asked))}"
        # The flow listens already, and answers once the announcement is over.
        threading.Thread(target=lambda: urllib.request.urlopen(back).read()).start()  # noqa: S310

    return visit


def sign_in(lab: Lab, token: Path, **options: Any) -> auth.Account:
    consent = browser(lambda asked: {"state": asked["state"], "code": lab.fake.accounts.code(ANN)})
    arguments: dict[str, Any] = {
        "announce": consent,
        "open_browser": False,
        "endpoint": lab.fake.root,
    }
    client = str(lab.fake.accounts.client(lab.path / "client.json"))
    return auth.sign_in(client, str(token), **(arguments | options))


def test_a_person_signs_in_and_the_token_serves(lab: Lab) -> None:
    """The stored token names the account, only its owner may read it, and the store works by it."""
    token = lab.path / "new" / "token.json"
    account = sign_in(lab, token)
    assert (account.name, account.origin) == (ANN, str(token))
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert stat.S_IMODE(token.parent.stat().st_mode) == 0o700
    assert sorted(path.name for path in token.parent.iterdir()) == ["token.json"]
    options = StorageOptions(drive_credentials=str(token), drive_endpoint=lab.fake.root)
    store = open_drive(lab.folder, options)
    with store.put_stream("a") as writer:
        writer.write(b"x")
    assert [info.key for info in store.list()] == ["a"]


def test_what_is_asked_of_google(lab: Lab) -> None:
    """The scope of Drive is asked for, with consent and offline, so that the token lasts."""
    asked: dict[str, str] = {}

    def answer(query: dict[str, str]) -> dict[str, str]:
        asked.update(query)
        return {"state": query["state"], "code": lab.fake.accounts.code(ANN)}

    sign_in(lab, lab.path / "t.json", announce=browser(answer))
    assert asked["scope"] == "https://www.googleapis.com/auth/drive"
    assert (asked["access_type"], asked["prompt"]) == ("offline", "consent")
    assert asked["redirect_uri"].startswith("http://localhost:")


def test_signing_in_again_replaces_the_token(lab: Lab) -> None:
    """A second sign-in replaces the first token."""
    token = lab.path / "token.json"
    sign_in(lab, token)
    first = json.loads(token.read_text())["refresh_token"]
    sign_in(lab, token)
    assert json.loads(token.read_text())["refresh_token"] != first


@pytest.mark.parametrize("content", ['{"type": "service_account"}', "notes", "[]"])
def test_another_file_is_never_replaced(lab: Lab, content: str) -> None:
    """The key of a service account, or any other file, is left alone, before any sign-in."""
    token = lab.path / "key.json"
    token.write_text(content)
    with pytest.raises(ConflictError, match="holds no token of a person"):
        sign_in(lab, token, announce=pytest.fail)
    assert token.read_text() == content


@pytest.mark.parametrize("content", [None, "notes", "[]", '{"type": "service_account"}'])
def test_a_file_that_is_no_client_is_refused(lab: Lab, content: str | None) -> None:
    """What is no OAuth client is refused with the way to get one."""
    client = lab.path / "other.json"
    if content is not None:
        client.write_text(content)
    with pytest.raises((UsageError, StorageError)) as caught:
        auth.sign_in(str(client), str(lab.path / "t.json"), announce=pytest.fail)
    assert str(client) in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda asked: {"state": asked["state"], "error": "access_denied"}, "access_denied"),
        (lambda asked: {"state": "forged", "code": "x"}, "mismatching_state"),
        (lambda asked: {"state": asked["state"], "code": "wrong"}, "invalid_grant"),
    ],
)
def test_a_sign_in_that_fails_stores_nothing(lab: Lab, answer: Any, message: str) -> None:
    """A refusal, a forged answer and a wrong code end in exit code 5, without a file."""
    token = lab.path / "token.json"
    with pytest.raises(StorageError, match=message) as caught:
        sign_in(lab, token, announce=browser(answer))
    assert "dbsync auth drive" in (caught.value.hint or "")
    assert not token.exists()


def test_a_narrower_grant_is_refused(lab: Lab) -> None:
    """A person who leaves Drive unticked is told, instead of failing later."""
    lab.fake.accounts.scope = "openid"
    with pytest.raises(StorageError, match="access to Google Drive was not granted"):
        sign_in(lab, lab.path / "token.json")
    assert not (lab.path / "token.json").exists()
