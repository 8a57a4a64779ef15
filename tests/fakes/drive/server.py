"""The fake Drive's server: its life, its log, and the faults that are arranged on it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.fakes.drive.accounts import Accounts
from tests.fakes.drive.faults import Action, Fault, Kind
from tests.fakes.drive.handler import Handler
from tests.fakes.drive.state import Drive


@dataclass
class Logged:
    """One request, and how many bytes of content it carried or its answer did."""

    kind: Kind
    account: str | None
    query: dict[str, str]
    headers: dict[str, str]
    content_bytes: int = 0


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    fake: FakeDrive

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of connections that break: that is what many tests are about."""


class FakeDrive:
    """A running server on a free port of loopback; a context manager.

    `drive` is its state, `accounts` makes credentials files, `root` is what the product is given
    as the service's address.
    """

    def __init__(self, folder: Path, port: int = 0):
        self.drive = Drive(folder)
        self.log: list[Logged] = []
        self.stalled = threading.Event()
        """Set once a request of a fault that stalls has arrived."""
        self._release = threading.Event()
        self._faults: list[Fault] = []
        self._hooks: list[tuple[Kind, Any]] = []
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", port), Handler)
        self._server.fake = self
        self.root = f"http://127.0.0.1:{self._server.server_address[1]}/"
        self.accounts = Accounts(self.root)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._release.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def fail(self, kind: Kind, action: Action = "status", **settings: Any) -> Fault:
        """Arrange a fault; faults of one kind strike in the order in which they were arranged."""
        fault = Fault(kind, action, **settings)
        with self._lock:
            self._faults.append(fault)
        return fault

    def before(self, kind: Kind, function: Any) -> None:
        """Call `function` once, when the next request of a kind has arrived."""
        with self._lock:
            self._hooks.append((kind, function))

    def requests(self, kind: Kind) -> list[Logged]:
        """Return the requests of a kind so far."""
        return [logged for logged in self.log if logged.kind == kind]

    @contextmanager
    def counting(self, kind: Kind) -> Iterator[list[Logged]]:
        """Collect the requests of a kind that come within the context."""
        before = len(self.requests(kind))
        found: list[Logged] = []
        yield found
        found += self.requests(kind)[before:]

    # For the handler

    def arrived(self, logged: Logged) -> Fault | None:
        """Log a request and choose its fault."""
        with self._lock:
            self.log.append(logged)
            hook = next((hook for hook in self._hooks if hook[0] == logged.kind), None)
            if hook:
                self._hooks.remove(hook)
            # Only the first one of a kind that is not used up counts this request.
            waiting = (f for f in self._faults if f.kind == logged.kind and f.struck < f.times)
            fault = next(waiting, None)
            fault = fault if fault and fault.strikes(logged.kind) else None
        if hook:
            hook[1]()
        return fault

    def release(self) -> None:
        """Reset what stalls, now and from now on."""
        self._release.set()

    def stall(self) -> None:
        """Keep a request waiting until `release`, or until the server ends."""
        self.stalled.set()
        self._release.wait()
