"""A person signs in to Google Drive, once, in front of a browser; the token is kept.

What lives here: the flow of an installed application and the storing of its outcome. Must not
know: terminals. Untested against Google's service: the tests take the browser's and Google's part.
"""

from __future__ import annotations

import io
import json
import webbrowser
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, cast

from dbsync.errors import ConflictError, StorageError, UsageError
from dbsync.storage.drive.client import ROOT, DriveClient
from dbsync.storage.drive.credentials import (
    SCOPES,
    TOKEN_URI,
    Account,
    DriveCredentials,
    default_token_path,
    require_packages,
)
from dbsync.storage.drive.failures import DriveAnswerError
from dbsync.storage.oserrors import storage_error
from dbsync.storage.publish import publish_file

_WAIT_S = 600


def sign_in(
    client_secrets: str,
    token: str | None,
    *,
    announce: Callable[[str], None],
    open_browser: bool = True,
    callback_port: int = 0,
    endpoint: str | None = None,
) -> Account:
    """Let a person sign in and store the token, which only its owner may read.

    `client_secrets` is the file of an OAuth client for desktop applications; `token` None means
    `default_token_path()`. `announce` is given the address to visit; the browser's answer comes
    to `callback_port` (0 chooses one) of loopback. Returns whose token it is, and where. Raises
    `UsageError`, `StorageError`, and `ConflictError` instead of replacing what is no such token.
    """
    require_packages("google_auth_oauthlib")
    path = Path(token).expanduser() if token else default_token_path()
    _refuse_other_file(path)
    client = _read_client(Path(client_secrets).expanduser())
    google = _run_flow(client, announce, open_browser=open_browser, port=callback_port)
    name = _email(google, path, endpoint or ROOT)
    stored = {
        "type": "authorized_user",
        "account": name,
        "client_id": google.client_id,
        "client_secret": google.client_secret,
        "refresh_token": google.refresh_token,
        "token_uri": google.token_uri or TOKEN_URI,
        "scopes": list(SCOPES),
    }
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(error, "write into", path.parent) from error
    with publish_file(path, overwrite=True) as file:
        file.write(json.dumps(stored, indent=1).encode())
    return Account(name, str(path))


def _read_client(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise storage_error(error, "read", path) from error
    except ValueError:
        found = None
    if not isinstance(found, dict) or not ("installed" in found or "web" in found):
        raise UsageError(
            f"{path} names no OAuth client",
            hint="in the Google Cloud console, make an OAuth client ID of the type Desktop app "
            "and download it as JSON",
        )
    return cast("dict[str, Any]", found)


def _run_flow(
    client: dict[str, Any], announce: Callable[[str], None], *, open_browser: bool, port: int
) -> Any:
    from google.auth.exceptions import GoogleAuthError
    from google_auth_oauthlib.flow import InstalledAppFlow, WSGITimeoutError
    from oauthlib.oauth2 import OAuth2Error
    from requests import RequestException

    try:
        flow = cast("Any", InstalledAppFlow).from_client_config(client, scopes=SCOPES)
        with redirect_stdout(_Lines(announce)):  # the flow prints the address
            found = flow.run_local_server(
                port=port,
                open_browser=open_browser and _has_browser(),
                authorization_prompt_message="visit {url}",
                success_message="dbsync is signed in. You may close this window.",
                timeout_seconds=_WAIT_S,
                # Without both, a second sign-in gives no refresh token.
                access_type="offline",
                prompt="consent",
            )
    except OAuth2Error as error:
        raise _failed(f"Google answered {error.error}") from error
    except WSGITimeoutError as error:
        raise _failed(f"nobody answered within {_WAIT_S} seconds") from error
    except Warning as error:  # oauthlib's way to say that another scope was granted
        raise _failed("access to Google Drive was not granted") from error
    except ValueError:
        raise _failed("the file of the OAuth client is incomplete") from None
    except (RequestException, GoogleAuthError, OSError) as error:
        raise _failed(f"{type(error).__name__}: Google or the port cannot be reached") from error
    if not found.refresh_token:
        raise _failed("Google gave no token that lasts")
    return found


def _failed(why: str) -> StorageError:
    return StorageError(
        f"the sign-in to Google Drive was not completed: {why}",
        hint="run `dbsync auth drive` again, and allow access to Google Drive in the browser",
    )


def _email(google: Any, path: Path, root: str) -> str:
    account = Account("the person who signed in", str(path))
    client = DriveClient(DriveCredentials(google, account), f"{root.rstrip('/')}/")
    doing = "ask Google Drive who signed in"
    try:
        found = client.call(client.about.get(fields="user(emailAddress)"), doing)
    except DriveAnswerError as error:
        raise client.explain(error, doing) from error
    return str(found.get("user", {}).get("emailAddress") or "the signed-in user")


def _refuse_other_file(path: Path) -> None:
    """Protect the key of a service account, which the same variable may name."""
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return
    except OSError as error:
        raise storage_error(error, "write", path) from error
    except ValueError:
        found = None
    if not isinstance(found, dict) or cast("dict[str, Any]", found).get("type") != (
        "authorized_user"
    ):
        raise ConflictError(
            f"{path} exists and holds no token of a person, so it is not replaced",
            hint="name another file with --drive-credentials",
        )


def _has_browser() -> bool:
    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    return True


class _Lines(io.TextIOBase):
    """Hands on each line that is printed."""

    def __init__(self, announce: Callable[[str], None]):
        self._announce = announce

    def write(self, text: str, /) -> int:
        if text.strip():
            self._announce(text.strip())
        return len(text)
