"""One call to the store: made again while that can help, and for how long.

What lives here: which failures pass by themselves, the delays between attempts, and `CallFailed`,
the one shape in which a failure leaves. The client's own retries are switched off, so that this is
the only place. Must not know: what is stored, or how to explain a failure to a user.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from dbsync.storage.s3.client import Client

_PASSING_STATUS = {408, 429, 500, 502, 503, 504}
_PASSING_CODES = {
    "InternalError",
    "OperationAborted",
    "RequestTimeout",
    "RequestTimeoutException",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
    # What arrived is not what was sent.
    "BadDigest",
    "XAmzContentSHA256Mismatch",
    "XAmzContentChecksumMismatch",
    "IncompleteBody",
}


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How long to wait for a store; every wait is bounded."""

    connect_s: float = 20
    read_s: float = 60
    """Silence on a connection that counts as a failure."""
    attempts: int = 8
    first_attempts: int = 4
    """As long as nothing has ever answered: the address may simply be wrong."""
    total_s: float = 300
    """No further attempt is made when a call has taken as long as this."""
    first_delay_s: float = 0.5
    longest_delay_s: float = 20

    def delay_s(self, failures: int, at_least_s: float = 0) -> float:
        """Return how long to wait after so many failures, with jitter."""
        delay = min(self.longest_delay_s, self.first_delay_s * 2 ** (failures - 1))
        return max(min(at_least_s, self.longest_delay_s), delay * random.uniform(0.5, 1))  # noqa: S311


class CallFailed(Exception):
    """A call that failed for good; `code` is the store's, or the name of what the client raised."""

    def __init__(self, code: str, status: int | None, *, passing: bool, retry_after_s: float = 0):
        super().__init__(code)
        self.code = code
        self.status = status
        self.passing = passing
        self.retry_after_s = retry_after_s


class Calls:
    """The calls to one store; its client is made with the first. For any number of threads."""

    def __init__(self, make_client: Callable[[Patience], Client], patience: Patience):
        self.patience = patience
        self._make_client = make_client
        self._client: Client | None = None
        self._lock = threading.Lock()
        self._answered = False

    @property
    def client(self) -> Client:
        """The client; raises `CallFailed` where none can be made."""
        with self._lock:
            if self._client is None:
                try:
                    self._client = self._make_client(self.patience)
                except ValueError as error:  # what boto3 says of an endpoint
                    raise CallFailed("InvalidEndpoint", None, passing=False) from error
                except Exception as error:
                    raise _describe(error) from error
            return self._client

    def make(
        self,
        operation: str,
        *,
        stop: threading.Event | None = None,
        attempts: int | None = None,
        **arguments: Any,
    ) -> dict[str, Any]:
        """Make one call until it succeeds; raises `CallFailed` when it cannot or takes too long.

        A `Body` must be one that can be rewound. `stop` ends the waiting between attempts.
        """
        method = getattr(self.client.api, operation)
        deadline = monotonic() + self.patience.total_s
        failures = 0
        while True:
            try:
                response: dict[str, Any] = method(**arguments)
            except Exception as error:
                failed = _describe(error)
                self._answered = self._answered or failed.status is not None
                failures += 1
                most = self.patience.attempts if self._answered else self.patience.first_attempts
                delay = self.patience.delay_s(failures, failed.retry_after_s)
                over = failures >= (attempts or most) or monotonic() + delay > deadline
                if not failed.passing or over or (stop or threading.Event()).wait(delay):
                    raise failed from error
                if "Body" in arguments:
                    arguments["Body"].seek(0)
            else:
                self._answered = True
                return response


def _describe(error: Exception) -> CallFailed:
    """Say what kind of failure an exception of the client is; re-raises what is none."""
    from botocore import exceptions, parsers

    if isinstance(error, exceptions.ClientError):
        response: Any = error.response
        metadata = response.get("ResponseMetadata", {})
        code, status = response.get("Error", {}).get("Code", ""), metadata.get("HTTPStatusCode")
        after = str(metadata.get("HTTPHeaders", {}).get("retry-after", ""))
        return CallFailed(
            code,
            status,
            passing=status in _PASSING_STATUS or code in _PASSING_CODES,
            retry_after_s=float(after) if after.isdecimal() else 0,
        )
    name = type(error).__name__
    if isinstance(error, exceptions.SSLError):
        return CallFailed(name, None, passing=False)
    if isinstance(
        error,
        exceptions.ConnectionError | exceptions.HTTPClientError | parsers.ResponseParserError,
    ):
        return CallFailed(name, None, passing=True)
    if isinstance(error, exceptions.BotoCoreError):
        return CallFailed(name, None, passing=False)
    raise error
