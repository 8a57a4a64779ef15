"""What went wrong on the way to Treasure Data: which failures pass by themselves, and what to say.

What lives here: `AnswerError`, and the one translation into `dbsync.errors`, for source and target
alike. Must not know: which request was sent; the caller says what it was doing.
"""

from __future__ import annotations

import ssl
from http.client import HTTPException
from typing import Any

from dbsync.connectors.redaction import redact
from dbsync.connectors.treasuredata.address import KEY_VARIABLE, REGIONS, Address
from dbsync.errors import DatabaseError, SourceError

SOURCE_REFUSED = (
    "Source database does not exist or access denied. Please verify your API key and source "
    "endpoint configuration."
)
TARGET_REFUSED = (
    "Authentication failed for destination table. Please verify your API key and destination "
    "endpoint configuration."
)

_TRANSIENT = frozenset({408, 425, 429})
_NEVER = frozenset({501, 505})
_NOT_TAKEN = frozenset({425, 429})
_AGAIN = "run the same command again; what was done before is not done twice"


class AnswerError(Exception):
    """An answer of the service that is no success.

    `fields` is its JSON body, empty where it had none; `text` is what it says for people.
    """

    def __init__(
        self,
        status: int,
        text: str = "",
        *,
        retry_after_s: float | None = None,
        fields: dict[str, Any] | None = None,
    ):
        super().__init__(f"HTTP {status} {text}".rstrip())
        self.status = status
        self.text = text
        self.retry_after_s = retry_after_s
        self.fields = fields or {}


class LostError(Exception):
    """The service did not answer, or not to the end; the cause is the transport's own error.

    `reached` is false where the connection could not even be made, so that nothing was asked;
    `misled` is true where most often the endpoint is not the service's.
    """

    def __init__(
        self, reason: str, *, reached: bool = True, passing: bool = True, misled: bool = False
    ):
        super().__init__(reason)
        self.reason = reason
        self.reached = reached
        self.passing = passing
        self.misled = misled or not reached


def lost(error: Exception) -> LostError:
    """Say in our words what the transport raised; its own text may hold addresses."""
    from urllib3 import exceptions as raised

    inner = getattr(error, "reason", None) if isinstance(error, raised.MaxRetryError) else None
    error = inner if isinstance(inner, Exception) else error
    cause = error.__context__
    for link in (error, cause, *error.args):
        if isinstance(link, ssl.SSLCertVerificationError):
            return LostError(
                f"its certificate is not trusted ({link.verify_message})",
                reached=False,
                passing=False,
            )
    match error:
        case raised.NameResolutionError():
            return LostError("its name is not known", reached=False)
        case raised.NewConnectionError() | ConnectionRefusedError():
            return LostError("the connection was refused", reached=False)
        case raised.ConnectTimeoutError():
            return LostError("no connection in time", reached=False)
        case raised.ReadTimeoutError() | TimeoutError():
            return LostError("no answer in time")
        case raised.ProxyError():
            return LostError("the proxy refuses the connection", reached=False)
        case raised.SSLError() | ssl.SSLError():
            return LostError("no TLS connection could be made", misled=True)
        case raised.LocationValueError():
            return LostError("it is no host name", reached=False, passing=False)
        case _:
            return LostError("the connection was dropped")


def is_failure(error: BaseException) -> bool:
    """Say whether `error` comes from the service or the way there, and not from a mistake here."""
    from tdclient.errors import APIError

    return isinstance(error, AnswerError | LostError | APIError) or is_lost(error)


def is_lost(error: BaseException) -> bool:
    """Say whether the transport raised `error`; a file's own error names the file."""
    from urllib3.exceptions import HTTPError

    if isinstance(error, OSError):
        return error.filename is None
    return isinstance(error, HTTPError | HTTPException)


def is_transient(error: BaseException) -> bool:
    """Say whether the same request may succeed a little later."""
    if isinstance(error, AnswerError):
        return error.status in _TRANSIENT or (error.status >= 500 and error.status not in _NEVER)
    return not isinstance(error, LostError) or error.passing


def may_have_landed(error: BaseException) -> bool:
    """Say whether the service may have done what was asked although it did not say so."""
    if isinstance(error, AnswerError):
        return error.status not in _NOT_TAKEN
    return not isinstance(error, LostError) or error.reached


def refused(side: type[DatabaseError], status: int, address: Address, doing: str) -> DatabaseError:
    """Make the error for a rejected key (401), a missing right (403) or an unknown database (404).

    `doing` continues "may not". The message is the same for the three, the hint tells them apart.
    """
    source = side is SourceError
    flag = "--from-td-api-key" if source else "--to-td-api-key"
    place = address.region or address.host
    match status:
        case 401:
            hint = (
                f"401: {place} rejects the API key. Keys belong to one region: check the endpoint, "
                f"and {KEY_VARIABLE} (in a clone also {flag})"
            )
        case 403:
            hint = (
                f"403: {place} knows the API key, but it may not {doing}. Ask an administrator of "
                "the account for the right, or use the key of another user; `dbsync check` lists "
                "what is needed"
            )
        case _:
            hint = (
                f"404: {place} knows the API key, but shows it no database {address.database}. "
                f"Check the name, and the region ({', '.join(REGIONS)})"
            )
    return side(SOURCE_REFUSED if source else TARGET_REFUSED, hint=hint)


def explain(
    error: Exception, doing: str, address: Address, side: type[DatabaseError]
) -> DatabaseError:
    """Translate a failure; `doing` continues "cannot", such as "list the tables of shop"."""
    place = address.region or address.host
    retryable = is_transient(error)
    if isinstance(error, AnswerError):
        if error.status in (401, 403):
            return refused(side, error.status, address, doing)
        said = f": {error.text}" if error.text else ""
        why = f"Treasure Data ({place}) answers HTTP {error.status}{said}"
        hint = _AGAIN if retryable else "check what was asked for"
        if error.status == 429:
            hint = "the account's limit of requests is reached: wait, then run it again"
    elif isinstance(error, LostError):
        why = f"Treasure Data cannot be reached at {address.endpoint}: {error.reason}"
        hint = _AGAIN
        if error.misled:
            hint = "check the endpoint and the network, then run the command again"
    else:
        why = f"Treasure Data ({place}) gave an answer that is none of its API"
        hint = "check that the endpoint is Treasure Data's and no other service or proxy answers"
    message = redact(f"cannot {doing}: {why}", address.secrets)
    return side(message, hint=hint, retryable=retryable)
