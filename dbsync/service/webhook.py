"""Telling an HTTP endpoint how a run went.

Must not know: what a run is. The URL counts as a secret, since many services put a token into it:
messages name its host alone.
"""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import msgspec

from dbsync import __version__
from dbsync.errors import StorageError, UsageError
from dbsync.service.report import RunReport
from dbsync.service.state import State

TIMEOUT_S = 10.0


class Webhook:
    """Posts the report of each run that ended for good as a JSON object."""

    name = "webhook"

    def __init__(self, url: str, clean: Callable[[Any], Any], timeout_s: float = TIMEOUT_S):
        """Check the URL; `clean` masks secrets in a JSON value. Raises `UsageError`."""
        try:
            parts = urlsplit(url)
            host = parts.hostname
        except ValueError:
            host, parts = None, None
        if parts is None or parts.scheme not in ("http", "https") or not host:
            raise UsageError("--webhook is not an http or https URL", hint="check DBSYNC_WEBHOOK")
        self._url = url
        self._host = host
        self._clean = clean
        self._timeout_s = timeout_s

    def tell(self, report: RunReport | None, state: State) -> None:  # noqa: ARG002 - a Recipient
        """Post the report; raises `StorageError` where that fails."""
        if report is None or not report.final:
            return
        body = {**msgspec.to_builtins(report), "writer": f"dbsync {__version__}"}
        request = urllib.request.Request(  # noqa: S310 - checked above
            self._url,
            data=msgspec.json.encode(self._clean(body)),
            headers={"Content-Type": "application/json", "User-Agent": f"dbsync/{__version__}"},
            method="POST",
        )
        try:
            with _opener().open(request, timeout=self._timeout_s) as answer:
                answer.read(1024)
        except urllib.error.HTTPError as error:
            error.close()
            raise self._failed(f"status {error.code}") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", error)
            # The library's own words may repeat the URL.
            words = getattr(reason, "strerror", None) or type(reason).__name__
            raise self._failed(words) from None

    def _failed(self, why: str) -> StorageError:
        return StorageError(f"the webhook at {self._host} was not told: {why}", retryable=True)


def _opener() -> urllib.request.OpenerDirector:
    """Make an opener that follows nothing: a redirected POST would arrive as an empty GET."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
    ):
        opener.add_handler(handler)
    return opener
