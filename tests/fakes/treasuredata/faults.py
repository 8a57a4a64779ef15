"""Faults that a test arranges for requests of one operation, or for jobs.

Operations are named where they are registered (table_routes, job_routes, import_routes); "*"
stands for all of them, and "query_job", "import_job" and "commit_job" for what a job does once it
was accepted.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Literal

Action = Literal[
    "status",  # answer `status`, with `retry_after`; nothing is done
    "drop_before",  # take `size` bytes of the body, then reset the connection; nothing is done
    "drop_after",  # do it, then reset the connection in place of the answer
    "drop_body",  # do it, send `size` bytes of the answer's body, then reset the connection
    "short",  # send only `size` bytes of a body and call that the whole (a consistent length)
    "whole",  # send all of a result in place of the range that was asked for
    "stall",  # never answer
    "stall_body",  # send `size` bytes of a body, then nothing
    "forget",  # the bulk-import session of the request is gone
    "revoke",  # the key of the request expires before it
    # Of jobs:
    "error",  # the job ends with an error; that of an import has read the first `size` parts
    "killed",  # somebody kills the job; the same
    "truncated",  # the stored result has only `size` rows and is otherwise sound
    "bad_records",  # the first `size` records of the import are refused
    "lost_records",  # the first `size` records of the import, or of the commit, vanish
]


@dataclass
class Fault:
    """One arranged fault: it spares `skip` requests, then strikes `times` times.

    `within` restricts it to requests whose path contains that text.
    """

    operation: str
    action: Action = "status"
    times: int = 1
    skip: int = 0
    size: int = 0
    status: int = 503
    retry_after: str | None = None
    within: str = ""
    struck: int = 0

    def concerns(self, operation: str, path: str) -> bool:
        """Say whether a request is of those that it may strike."""
        return (
            self.operation in (operation, "*") and self.within in path and self.struck < self.times
        )


class Faults:
    """The faults that are arranged; those of one operation strike in their order."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> Fault:
        """Arrange a fault."""
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Forget what has not struck."""
        with self._lock:
            self._faults.clear()

    def take(self, operation: str, path: str = "") -> Fault | None:
        """Return the fault of a request that has arrived; only the first that waits counts it."""
        with self._lock:
            fault = next((f for f in self._faults if f.concerns(operation, path)), None)
            if fault is None:
                return None
            if fault.skip:
                fault.skip -= 1
                return None
            fault.struck += 1
            return fault
