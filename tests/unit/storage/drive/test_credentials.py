"""Where credentials are found, and what is said when they are missing, damaged or refused."""

from __future__ import annotations

import json
import threading
import traceback
from pathlib import Path
from typing import Any

import pytest

from dbsync.errors import StorageError, UsageError
from dbsync.storage.drive import credentials, open_drive
from dbsync.storage.drive.credentials import default_token_path, load_credentials
from dbsync.storage.options import StorageOptions
from tests.unit.storage.drive.conftest import ANN, Lab

CANARY = "canary-e7b1f2"
ROBOT = "backup@project.example.com"


@pytest.fixture(autouse=True)
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is signed in on this machine."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    monkeypatch.setenv("NO_GCE_CHECK", "true")


def listed(lab: Lab, path: Path | None) -> list[object]:
    options = StorageOptions(
        drive_credentials=str(path) if path else None, drive_endpoint=lab.fake.root
    )
    return list(open_drive(lab.folder, options).list())


def test_a_service_account_signs_in_with_its_key(lab: Lab) -> None:
    """The key file is enough: a signed request gives a token for the scope of Drive."""
    lab.drive.items[lab.folder].rights[ROBOT] = 1
    path = lab.fake.accounts.service_account(lab.path / "key.json", ROBOT)
    assert listed(lab, path) == []
    assert load_credentials(str(path)).account.name == ROBOT


def test_the_token_of_dbsync_auth_is_found_by_itself(lab: Lab) -> None:
    """Without a setting, the token that `dbsync auth drive` stores is used."""
    default_token_path().parent.mkdir(parents=True)
    lab.token.rename(default_token_path())
    assert listed(lab, None) == []
    assert {logged.account for logged in lab.fake.requests("list")} == {ANN}


def test_googles_own_variable_is_found(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a setting, GOOGLE_APPLICATION_CREDENTIALS is used, and beats a stored token."""
    default_token_path().parent.mkdir(parents=True)
    lab.token.rename(default_token_path())
    lab.drive.items[lab.folder].rights[ROBOT] = 1
    path = lab.fake.accounts.service_account(lab.path / "key.json", ROBOT)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    assert listed(lab, None) == []
    assert {logged.account for logged in lab.fake.requests("list")} == {ROBOT}


def test_no_credentials_name_the_variable(lab: Lab) -> None:
    """Where nothing is found, the message says what was looked at and what to set."""
    with pytest.raises(StorageError, match="there are no credentials") as caught:
        listed(lab, None)
    assert caught.value.exit_code == 5
    assert "DBSYNC_DRIVE_CREDENTIALS" in caught.value.message
    assert str(default_token_path()) in caught.value.message
    assert "dbsync auth drive" in (caught.value.hint or "")


def test_missing_packages_name_the_extra(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Google's libraries, the message says what to install."""
    monkeypatch.setattr(credentials, "find_spec", lambda _name: None)
    with pytest.raises(UsageError, match="client libraries") as caught:
        listed(lab, lab.token)
    assert caught.value.hint == "pip install 'dbsync[drive]'"


def test_opening_a_store_asks_for_nothing() -> None:
    """Credentials are looked for when Drive is first used, not when a location is read."""
    open_drive("folder", StorageOptions(drive_credentials="/nowhere"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        ("", "it is no JSON"),
        (f'{{"private_key": "{CANARY}"', "it is no JSON"),
        ("[]", "it is no JSON object"),
        ({"hello": CANARY}, "neither the key of a service account nor an OAuth token"),
        ({"type": "service_account", "private_key": CANARY}, "incomplete or damaged"),
        (
            {
                "type": "service_account",
                "private_key": f"-----BEGIN PRIVATE KEY-----\n{CANARY}",
                "client_email": ROBOT,
                "token_uri": "https://oauth2.googleapis.com/token",
            },
            "incomplete or damaged",
        ),
        ({"type": "authorized_user", "refresh_token": CANARY}, "incomplete or damaged"),
        ({"installed": {"client_secret": CANARY}}, "names an OAuth client, and no person"),
    ],
)
def test_a_file_that_is_no_credential(tmp_path: Path, content: Any, message: str) -> None:
    """Each is refused by path, with a next step, and shows nothing of what it holds."""
    path = tmp_path / "credentials.json"
    if content is not None:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(StorageError, match=message) as caught:
        load_credentials(str(path))
    assert str(path) in caught.value.message
    assert caught.value.hint
    shown = "".join(traceback.format_exception(caught.value))
    assert CANARY not in shown
    assert "dbsync auth drive" in caught.value.hint or "DBSYNC_DRIVE" in caught.value.hint


def test_nothing_else_is_asked_of_google(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """google-auth's own thread, which asks where an account may be used from, is never started.

    A process that ended while that thread ran crashed inside OpenSSL.
    """
    path = lab.fake.accounts.service_account(lab.path / "key.json", ROBOT)
    lab.drive.items[lab.folder].rights[ROBOT] = 1
    start, started = threading.Thread.start, list[tuple[threading.Thread, threading.Thread]]()

    def noted(thread: threading.Thread) -> None:
        started.append((threading.current_thread(), thread))
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", noted)
    assert listed(lab, path) == []
    assert [thread for by, thread in started if by is threading.current_thread()] == []


def test_a_token_may_be_refused_twice(lab: Lab) -> None:
    """A new token is asked for after each refusal, as often as google-auth itself would."""
    lab.fake.fail("list", "status", status=401, reason="authError", times=2)
    assert listed(lab, lab.token) == []
    assert len(lab.fake.requests("token")) == 3


@pytest.mark.parametrize("kind", ["user", "service"])
def test_revoked_credentials_say_to_sign_in_again(lab: Lab, kind: str) -> None:
    """A revoked grant is exit code 5 with account, file and next step, without a retry."""
    who = ANN if kind == "user" else ROBOT
    path = lab.token
    if kind == "service":
        path = lab.fake.accounts.service_account(lab.path / "key.json", ROBOT)
    lab.fake.accounts.revoke(who)
    with pytest.raises(StorageError, match="Google refuses the credentials") as caught:
        listed(lab, path)
    assert caught.value.exit_code == 5
    assert not caught.value.retryable
    assert who in caught.value.message
    assert str(path) in caught.value.message
    assert "DBSYNC_DRIVE_CREDENTIALS" in (caught.value.hint or "")
    assert len(lab.fake.requests("token")) == 1
    secrets = json.loads(path.read_text())
    shown = "".join(traceback.format_exception(caught.value))
    for name in ("refresh_token", "client_secret", "private_key"):
        assert secrets.get(name) is None or secrets[name] not in shown


def test_a_grant_that_ends_during_an_upload(lab: Lab) -> None:
    """Credentials that are revoked half-way end the upload with that message, and leave nothing."""
    lab.fake.before("chunk", lambda: lab.fake.accounts.revoke(ANN))
    with pytest.raises(StorageError, match=r"Google refuses the credentials of ann@example\.com"):
        lab.put(lab.store(), b"x" * 2_000_000)
    assert lab.visible() == []
