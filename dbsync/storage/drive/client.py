"""The wire to Google Drive: requests, over one connection per thread, tried again.

What lives here: building Google's client from the description that it ships (nothing is looked up
over the network), and retrying what passes by itself. Must not know: folders, uploads, tokens.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar, cast

from dbsync.errors import DbsyncError, StorageError
from dbsync.storage.drive.connection import Connection
from dbsync.storage.drive.credentials import Account, DriveCredentials
from dbsync.storage.drive.failures import (
    DriveAnswerError,
    answer_error,
    drive_error,
    is_failure,
    is_transient,
)

T = TypeVar("T")

ROOT = "https://www.googleapis.com/"

ATTEMPTS = 8
"""With pauses of 1, 2, 4 ... 32 seconds at most, about a minute and a half of failure."""

_LONGEST_PAUSE_S = 32.0


class Answer(NamedTuple):
    """What Drive answered; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class DriveClient:
    """Sends requests as one account; may be used from several threads at once.

    `root` is the service's address with a slash at its end. `timeout_s` limits each wait for
    bytes, not a whole request. Pauses between attempts are multiplied by `patience`.
    """

    def __init__(
        self,
        credentials: DriveCredentials,
        root: str = ROOT,
        *,
        timeout_s: float = 60,
        patience: float = 1,
    ):
        from googleapiclient.discovery import build_from_document
        from googleapiclient.discovery_cache import get_static_doc

        self.account: Account = credentials.account
        self.root = root
        self.patience = patience
        self._credentials = credentials.google
        self._timeout_s = timeout_s
        self._local = threading.local()
        document = json.loads(cast("str", get_static_doc("drive", "v3")))
        document["rootUrl"] = root
        document.pop("mtlsRootUrl", None)
        # Every request is sent by `send`, so the service itself needs no working transport.
        service = cast("Any", build_from_document(document, http=cast("Any", object())))
        self.about = service.about()
        self.files = service.files()
        self.revisions = service.revisions()

    def connect(self) -> Connection:
        """Make a connection of its own, for one thread at a time."""
        return Connection(self._credentials, self._timeout_s)

    def send(
        self,
        method: str,
        uri: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | memoryview | str | None = None,
        connection: Connection | None = None,
    ) -> Answer:
        """Send one request once; 308 counts as success.

        Raises `DriveAnswerError` for every other answer from 300 on, and what the transport
        raises.
        """
        response, content = (connection or self._own_connection()).request(
            uri, method=method, headers=headers or {}, body=body
        )
        status = int(response.status)
        if status >= 300 and status != 308:
            raise answer_error(status, response, content)
        return Answer(status, response, content)

    def call(self, request: Any, doing: str) -> dict[str, Any]:
        """Run a request of `files` or `revisions`, again where that helps; returns its JSON."""

        def attempt() -> dict[str, Any]:
            answer = self.send(
                request.method, request.uri, headers=request.headers, body=request.body
            )
            return read_json(answer.content) if answer.content else {}

        return self.retry(attempt, doing)

    def retry(self, attempt: Callable[[], T], doing: str) -> T:
        """Call `attempt` until it succeeds, fails for good, or has failed `ATTEMPTS` times.

        A missing object stays a `DriveAnswerError` of status 404, since only the caller knows
        what it means; all else is translated.
        """
        failures = 0
        while True:
            try:
                return attempt()
            except DbsyncError:
                raise
            except Exception as error:
                failures += 1
                if isinstance(error, DriveAnswerError) and error.status == 404:
                    raise
                if failures == ATTEMPTS or not is_transient(error):
                    raise self.explain(error, doing) from error
                time.sleep(backoff_s(failures, error) * self.patience)

    def explain(self, error: BaseException, doing: str) -> StorageError:
        """Translate a failure of this account; raises `error` itself where it is a bug."""
        if not is_failure(error):
            raise error
        return drive_error(error, doing, self.account)

    def _own_connection(self) -> Connection:
        """Return the calling thread's."""
        if not hasattr(self._local, "connection"):
            self._local.connection = self.connect()
        return cast("Connection", self._local.connection)


def read_json(content: bytes) -> dict[str, Any]:
    """Parse what a successful answer holds; anything else than an object is a failing gateway."""
    try:
        found = json.loads(content)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise DriveAnswerError(502, "no JSON")
    return cast("dict[str, Any]", found)


def backoff_s(failures: int, error: BaseException) -> float:
    """Return how long to wait after so many failures in a row; the server's own wish wins."""
    asked = error.retry_after_s if isinstance(error, DriveAnswerError) else None
    if asked is not None:
        return min(asked, _LONGEST_PAUSE_S)
    longest = min(_LONGEST_PAUSE_S, 2.0 ** (failures - 1))
    return longest * random.uniform(0.5, 1)  # noqa: S311 - spreads clients, guards nothing
