"""The fake Treasure Data's server: its life, its log, what is arranged on it, and its control."""

from __future__ import annotations

import shutil
import tempfile
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

# The routes register themselves when they are imported.
from tests.fakes.treasuredata import import_routes, job_routes, table_routes  # noqa: F401
from tests.fakes.treasuredata.accounts import Key, Keys, Right
from tests.fakes.treasuredata.bulk_imports import BulkImports
from tests.fakes.treasuredata.catalog import Catalog
from tests.fakes.treasuredata.faults import Action, Fault, Faults
from tests.fakes.treasuredata.handler import Handler
from tests.fakes.treasuredata.jobs import Jobs
from tests.fakes.treasuredata.results import Stored
from tests.fakes.treasuredata.seeding import fill

DROP = object()
"""What a hook returns that wants the request to have no effect."""


@dataclass
class Logged:
    """One request, and how many bytes its body had."""

    operation: str
    path: str
    headers: dict[str, str]
    body_bytes: int = 0
    dropped: bool = False


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    fake: FakeTreasureData

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of connections that break: that is what many tests are about."""


class FakeTreasureData:
    """A running service on a free port of loopback; a context manager.

    One instance is one endpoint (one region); it serves several accounts, which keys tell apart.
    """

    def __init__(self, port: int = 0):
        self._folder = Path(tempfile.mkdtemp(prefix="treasuredata-"))
        self.keys = Keys()
        self.faults = Faults()
        self.jobs = Jobs(self._folder, self.faults)
        self.imports = BulkImports(self._folder, self.jobs, self.faults)
        self.log: list[Logged] = []
        self.imported: set[tuple[str, str, str, str]] = set()
        """Streaming imports that were taken; the same one again is taken for granted."""
        self.integer_timestamps = False
        """Whether table lists give `last_log_timestamp` as an integer."""
        self.encodes_results = True
        """Whether results in plain msgpack travel with `Content-Encoding: gzip` if accepted."""
        self.bytes_per_s: int | None = None
        """The bandwidth of each connection, in each direction."""
        self.stalled = threading.Event()
        """Set once a request of a fault that stalls has arrived."""
        self._release = threading.Event()
        self._accounts: dict[str, Catalog] = {}
        self._hooks: list[tuple[str, str, Callable[[], object]]] = []
        self._lock = threading.RLock()
        self._server = _Server(("127.0.0.1", port), Handler)
        self._server.fake = self
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self.endpoint = f"http://{self.host}/"
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
        for catalog in self._accounts.values():
            catalog.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    # What tests arrange and look at

    def account(self, name: str = "main") -> Catalog:
        """Return an account's databases; the account is made when it is first named."""
        with self._lock:
            if name not in self._accounts:
                self._accounts[name] = Catalog(name)
            return self._accounts[name]

    def add_key(
        self,
        key: str,
        account: str = "main",
        *,
        rights: dict[str, Right] | None = None,
        write_only: bool = False,
        may_create_databases: bool = True,
    ) -> str:
        """Make a key of an account; without `rights` it is an administrator's. Returns it."""
        given: dict[str, Right] = {"*": "administrator"} if rights is None else rights
        self.account(account)
        self.keys.add(Key(key, account, given, write_only, may_create_databases))
        return key

    def url(self, key: str, database: str) -> str:
        """Return the URL by which a database is reached with a key."""
        return f"td://:{key.replace('/', '%2F')}@{self.host}/{database}?scheme=http"

    def fail(self, operation: str, action: Action = "status", **settings: Any) -> Fault:
        """Arrange a fault; those of one operation strike in the order of their arrangement."""
        return self.faults.add(Fault(operation, action, **settings))

    def before(self, operation: str, function: Callable[[], object]) -> None:
        """Call `function` once, when the next request of an operation has arrived.

        Where it returns `DROP`, the connection is reset and nothing is done.
        """
        with self._lock:
            self._hooks.append(("before", operation, function))

    def after(self, operation: str, function: Callable[[], object]) -> None:
        """Call `function` once, when the next request has had its effect, before the answer."""
        with self._lock:
            self._hooks.append(("after", operation, function))

    def requests(self, operation: str) -> list[Logged]:
        """Return the requests of an operation so far."""
        return [logged for logged in list(self.log) if logged.operation == operation]

    def release(self) -> None:
        """Reset what stalls, now and from now on."""
        self._release.set()

    # For the handler

    def arrived(self, operation: str, path: str, headers: dict[str, str]) -> Logged:
        """Log a request that has arrived; `Logged.dropped` says what a hook wants."""
        logged = Logged(operation, path, headers)
        with self._lock:
            self.log.append(logged)
        logged.dropped = self._call("before", operation) is DROP
        return logged

    def answering(self, operation: str) -> None:
        """Note that a request has had its effect."""
        self._call("after", operation)

    def stall(self) -> None:
        """Keep a request waiting until `release`, or until the server ends."""
        self.stalled.set()
        self._release.wait()

    def forget(self, session: str) -> None:
        """Lose a bulk-import session."""
        with self.imports.lock:
            for place in [place for place in self.imports.sessions if place[1] == session]:
                del self.imports.sessions[place]

    def unpacked(self, stored: Stored) -> Stored:
        """Return a stored result without its gzip, in a file that is made once."""
        path = stored.path.with_suffix("")
        with self._lock:
            if not path.exists():
                _gunzip(stored.path, path)
        return replace(stored, path=path, bytes=path.stat().st_size)

    def control(self, name: str, given: dict[str, Any]) -> Any:
        """Do what another process asks for through `/_fake/NAME`, with the arguments in JSON."""
        match name:
            case "fail":
                self.fail(**given)
            case "set":
                for attribute, value in given.items():
                    setattr(self, attribute, value)
            case "add_key":
                return self.add_key(**given)
            case "fill":
                return fill(self.account(given.pop("account", "main")), **given)
            case "query":
                return self.account(given.get("account", "main")).query(given["sql"])
            case "log":
                return [[logged.operation, logged.path] for logged in self.log]
            case _:
                raise ValueError(name)
        return None

    def _call(self, moment: str, operation: str) -> object:
        with self._lock:
            found = next((h for h in self._hooks if h[:2] == (moment, operation)), None)
            if found:
                self._hooks.remove(found)
        return found[2]() if found else None


def _gunzip(path: Path, to: Path) -> None:
    gzip = zlib.decompressobj(31)
    with path.open("rb") as source, to.open("wb") as target:
        while block := source.read(1 << 20):
            while block:
                target.write(gzip.decompress(block))
                block = gzip.unused_data
                if gzip.eof:
                    gzip = zlib.decompressobj(31)
