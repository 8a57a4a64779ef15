"""Who dbsync is on Google Drive: finding credentials and loading them.

What lives here: service-account keys, tokens of people, and Google's own chain of defaults. Must
not know: what is done on Drive. No message holds anything of a credential but the account's name.

Files of OAuth tokens are those of Google's libraries (``type`` is ``authorized_user``).
"""

from __future__ import annotations

import json
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import msgspec

from dbsync.errors import StorageError, UsageError

CREDENTIALS_VARIABLE = "DBSYNC_DRIVE_CREDENTIALS"

SCOPES = ("https://www.googleapis.com/auth/drive",)
"""``drive.file`` would not do: it hides a folder that a person made, and what others put there."""

TOKEN_URI = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address


class Account(msgspec.Struct, frozen=True):
    """Whose credentials are used, for messages."""

    name: str
    origin: str
    """Where they were found: a file, or Google's own chain."""
    is_service: bool = False


class DriveCredentials(msgspec.Struct, frozen=True):
    """Credentials of google-auth, and whose they are."""

    google: Any
    account: Account


def require_packages(*more: str) -> None:
    """Raise `UsageError` where Google's client libraries, or the modules `more`, are missing."""
    for module in ("googleapiclient", "google_auth_httplib2", *more):
        if find_spec(module) is None:
            raise UsageError(
                "gdrive:// locations need Google's client libraries",
                hint="pip install 'dbsync[drive]'",
            )


def default_token_path() -> Path:
    """Return where `dbsync auth drive` keeps a person's token unless told otherwise."""
    home = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(home).expanduser() / "dbsync" / "drive-token.json"


def load_credentials(path: str | None) -> DriveCredentials:
    """Load the file at `path`; without one the token of `dbsync auth drive`, or Google's defaults.

    Google's chain is GOOGLE_APPLICATION_CREDENTIALS, gcloud's own login, and the machine's service
    account on Google Cloud. Raises `StorageError`; nothing is sent anywhere but, at the end of
    that chain, to the metadata server.
    """
    if path is not None:
        return _load_file(Path(path).expanduser())
    token = default_token_path()
    if "GOOGLE_APPLICATION_CREDENTIALS" not in os.environ and token.is_file():
        return _load_file(token)
    return _google_defaults(token)


def _google_defaults(token: Path) -> DriveCredentials:
    import google.auth
    from google.auth.exceptions import GoogleAuthError

    try:
        found = cast("Any", google.auth.default(scopes=SCOPES))[0]
    except (GoogleAuthError, OSError, ValueError) as error:
        raise StorageError(
            f"there are no credentials for Google Drive: {CREDENTIALS_VARIABLE} is not set, "
            f"{token} does not exist, and Google's default credentials were not found",
            hint=f"set {CREDENTIALS_VARIABLE} or --drive-credentials to the key file of a service "
            "account, or sign in with `dbsync auth drive`",
        ) from error
    email = getattr(found, "service_account_email", None)
    origin = "Google's default credentials"
    if email:
        return DriveCredentials(found, Account(str(email), origin, is_service=True))
    name = getattr(found, "account", None) or "the signed-in user"
    return DriveCredentials(found, Account(str(name), origin))


def _load_file(path: Path) -> DriveCredentials:
    info = _read_json(path)
    kind = info.get("type")
    try:
        if kind == "service_account":
            return _service_account(info, path)
        if kind == "authorized_user":
            return _authorized_user(info, path)
        if kind in ("external_account", "impersonated_service_account"):
            return _other_kind(info, path)
    except (ValueError, KeyError, TypeError) as error:
        # The cause may quote the file: only its kind is shown, and nothing is chained.
        raise _unusable(path, f"it is incomplete or damaged ({type(error).__name__})") from None
    if "installed" in info or "web" in info:
        raise StorageError(
            f"{path} names an OAuth client, and no person who has signed in",
            hint=f"run `dbsync auth drive --client-secrets {path}` once, in front of a browser",
        )
    raise _unusable(path, "it is neither the key of a service account nor an OAuth token")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        text = path.read_bytes()
    except OSError as error:
        raise StorageError(
            f"cannot read the Drive credentials {path} ({CREDENTIALS_VARIABLE}): {error.strerror}",
            hint=f"set {CREDENTIALS_VARIABLE} or --drive-credentials to a file that can be read",
        ) from error
    try:
        info = json.loads(text)
    except ValueError:
        raise _unusable(path, "it is no JSON") from None
    if not isinstance(info, dict):
        raise _unusable(path, "it is no JSON object")
    return cast("dict[str, Any]", info)


def _unusable(path: Path, why: str) -> StorageError:
    return StorageError(
        f"the Drive credentials {path} ({CREDENTIALS_VARIABLE}) cannot be used: {why}",
        hint="download the service account's key as JSON again, or run `dbsync auth drive`",
    )


def _service_account(info: dict[str, Any], path: Path) -> DriveCredentials:
    from google.oauth2 import service_account

    loaded = service_account.Credentials.from_service_account_info(info, scopes=SCOPES)
    return DriveCredentials(loaded, Account(info["client_email"], str(path), is_service=True))


def _authorized_user(info: dict[str, Any], path: Path) -> DriveCredentials:
    from google.oauth2.credentials import Credentials

    # Built by hand: the library's own loader ignores the file's token_uri.
    loaded = Credentials(
        token=None,
        refresh_token=info["refresh_token"],
        token_uri=info.get("token_uri") or TOKEN_URI,
        client_id=info["client_id"],
        client_secret=info["client_secret"],
        quota_project_id=info.get("quota_project_id"),
    )
    name = str(info.get("account") or "the signed-in user")
    return DriveCredentials(loaded, Account(name, str(path)))


def _other_kind(info: dict[str, Any], path: Path) -> DriveCredentials:
    import google.auth

    loaded = cast("Any", google.auth.load_credentials_from_dict(info, scopes=SCOPES))[0]
    name = getattr(loaded, "service_account_email", None) or str(info["type"])
    return DriveCredentials(loaded, Account(str(name), str(path), is_service=True))
