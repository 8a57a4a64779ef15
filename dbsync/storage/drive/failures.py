"""What went wrong on the way to Google Drive: which failures pass by themselves, and what to say.

What lives here: reading the reason codes of Drive's answers, and the one translation into
`dbsync.errors`. Must not know: uploads, folders or archives.

Reasons: https://developers.google.com/workspace/drive/api/guides/handle-errors
"""

from __future__ import annotations

import json
import ssl
from http.client import HTTPException
from typing import Any, cast

from dbsync.errors import StorageError
from dbsync.storage.drive.credentials import CREDENTIALS_VARIABLE, Account

_TRANSIENT_STATUS = {408, 429, 500, 502, 503, 504}
_RATE_LIMITS = {"rateLimitExceeded", "userRateLimitExceeded", "sharingRateLimitExceeded"}
_FULL = {"storageQuotaExceeded", "quotaExceeded", "teamDriveFileLimitExceeded"}
_SCOPES = {"insufficientPermissions", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"}
_DISABLED = {"accessNotConfigured", "SERVICE_DISABLED"}
_TRY_AGAIN = "try again later; what was written before is as it was"


class DriveAnswerError(Exception):
    """An answer of Drive that is no success: its status, and its reason code where it has one."""

    def __init__(self, status: int, reason: str, retry_after_s: float | None = None):
        super().__init__(f"HTTP {status} {reason}".rstrip())
        self.status = status
        self.reason = reason
        self.retry_after_s = retry_after_s


class LostSessionError(Exception):
    """Drive no longer knows the upload session."""


def answer_error(status: int, headers: Any, content: bytes) -> DriveAnswerError:
    """Read an answer that is no success; the text of its message is left aside."""
    after = str(headers.get("retry-after", ""))
    return DriveAnswerError(status, _reason(content), float(after) if after.isdigit() else None)


def is_transient(error: BaseException) -> bool:
    """Say whether the same request may succeed a little later."""
    if isinstance(error, DriveAnswerError):
        return error.status in _TRANSIENT_STATUS or (
            error.status == 403 and error.reason in _RATE_LIMITS
        )
    if isinstance(error, ssl.SSLCertVerificationError):
        return False
    from google.auth.exceptions import RefreshError, TransportError
    from httplib2 import HttpLib2Error

    if isinstance(error, RefreshError):
        return bool(error.retryable)
    return isinstance(error, OSError | HTTPException | HttpLib2Error | TransportError)


def is_failure(error: BaseException) -> bool:
    """Say whether `error` comes from Drive or from the way there, and not from a mistake here."""
    from google.auth.exceptions import GoogleAuthError
    from httplib2 import HttpLib2Error

    return isinstance(
        error, DriveAnswerError | GoogleAuthError | OSError | HTTPException | HttpLib2Error
    )


def drive_error(error: BaseException, doing: str, account: Account) -> StorageError:
    """Explain a failure; `doing` continues "cannot", such as "write gdrive://folder/name"."""
    from google.auth.exceptions import GoogleAuthError, TransportError

    if isinstance(error, DriveAnswerError):
        why, hint = _explain(error, account)
        retryable = is_transient(error)
    elif isinstance(error, GoogleAuthError) and not isinstance(error, TransportError):
        why = f"Google refuses the credentials of {account.name} ({account.origin})"
        hint, retryable = _sign_in(account), False
    else:
        why = f"Google Drive cannot be reached ({_describe(error)})"
        hint, retryable = "check the network, then run the command again", True
    return StorageError(f"cannot {doing}: {why}", hint=hint, retryable=retryable)


def _explain(error: DriveAnswerError, account: Account) -> tuple[str, str]:
    reason, who = error.reason, account.name
    shown = f" ({reason})" if reason else ""
    if error.status == 401:
        return f"Google refuses the credentials of {who} ({account.origin})", _sign_in(account)
    if reason in _FULL:
        if account.is_service:
            return (
                f"there is no storage left for {who}{shown}",
                "service accounts own no storage: use a folder in a shared drive, or sign in as "
                "a user with `dbsync auth drive`",
            )
        return (
            f"there is no storage left for {who}{shown}",
            "free space, prune old archives, or use a folder in a shared drive",
        )
    if reason in _DISABLED:
        return (
            f"the project of {who} does not use the Drive API",
            "enable the Google Drive API in the project's console, wait a minute, try again",
        )
    if reason in _SCOPES:
        return (
            f"the credentials of {who} ({account.origin}) do not extend to Drive{shown}",
            _sign_in(account),
        )
    if error.status == 404:
        return (
            f"it was not found, or is not shared with {who}",
            f"check the id, and share the folder with {who} as an editor",
        )
    if error.status == 403 and reason not in _RATE_LIMITS:
        return (
            f"{who} has no right to do so{shown}",
            f"give {who} the role of an editor on the folder, or of a content manager in the "
            "shared drive",
        )
    if error.status in _TRANSIENT_STATUS or reason in _RATE_LIMITS:
        return f"Google Drive is busy or fails: HTTP {error.status}{shown}", _TRY_AGAIN
    return f"Google Drive answers HTTP {error.status}{shown}", "check the location"


def _sign_in(account: Account) -> str:
    if account.is_service:
        return (
            f"{CREDENTIALS_VARIABLE} or --drive-credentials must name the key file of a service "
            "account that still exists"
        )
    return f"sign in again with `dbsync auth drive`, or set {CREDENTIALS_VARIABLE} to other ones"


def _describe(error: BaseException) -> str:
    # The text of an exception of the transport may hold an upload's address, which is a secret.
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__


def _reason(content: bytes) -> str:
    try:
        error = json.loads(content)["error"]
    except (ValueError, KeyError, TypeError):
        return ""
    if not isinstance(error, dict):
        return str(error)
    fields = cast("dict[str, Any]", error)
    for kind in ("errors", "details"):
        for item in fields.get(kind) or ():
            if isinstance(item, dict) and "reason" in item:
                return str(cast("dict[str, Any]", item)["reason"])
    return str(fields.get("status", ""))
