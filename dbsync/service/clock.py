"""Time as an object, so that a test can live through weeks without waiting."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the service asks about time; nothing else in it does."""

    def now(self) -> datetime:
        """Return the present moment, in UTC."""
        ...

    def wait(self, seconds: float) -> None:
        """Let at most `seconds` pass; the caller looks at `now` again afterwards."""
        ...


class SystemClock:
    """The machine's clock."""

    LONGEST_WAIT_S = 30.0
    """A clock that is set, or a machine that was asleep, is noticed within this time."""

    def now(self) -> datetime:
        """Return the present moment, in UTC."""
        return datetime.now(UTC)

    def wait(self, seconds: float) -> None:
        """Sleep; a signal that ends the process raises from here."""
        time.sleep(min(max(seconds, 0.0), self.LONGEST_WAIT_S))
