"""Faults that a test arranges for requests of one kind, and what each does to the exchange."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "token", "about", "ids", "list", "create", "describe", "media", "revision", "start", "chunk",
    "final", "ask", "cancel", "delete", "update",
]  # fmt: skip

Action = Literal[
    "status",  # answer `status` and `reason`; nothing is done
    "reset",  # take `size` bytes of the body, then reset the connection; nothing is done
    "lost",  # do it, then reset the connection in place of the answer
    "partial",  # take only the first `size` bytes of an upload's piece, and say so
    "stall",  # never answer
    "die",  # forget the upload session, and everything in it
    "die_finished",  # finish the upload, reset the connection, and forget the session
    "short",  # send only `size` bytes of a body, and call that the whole range
    "broken",  # send `size` bytes of a body, then reset the connection
    "stall_body",  # send `size` bytes of a body, then nothing
    "slow",  # send a body in many small pieces
    "flip",  # change a byte of what an upload stores
    "whole",  # send all of a file in place of the range that was asked for
]


@dataclass
class Fault:
    """One arranged fault: it spares `skip` requests of its kind, then strikes `times` times."""

    kind: Kind
    action: Action
    times: int = 1
    skip: int = 0
    size: int = 0
    status: int = 503
    reason: str = "backendError"
    retry_after: str | None = None
    struck: int = 0

    def strikes(self, kind: Kind) -> bool:
        """Count a request and say whether it is one that fails."""
        if kind != self.kind or self.struck == self.times:
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.struck += 1
        return True
