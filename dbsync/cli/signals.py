"""Signals that end a run: the first unwinds it cleanly, a second one ends the process at once.

Must not know: what is being run.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

_ENDING = [
    number
    for number in (
        signal.SIGINT,
        signal.SIGTERM,
        getattr(signal, "SIGHUP", None),
    )
    if number is not None
]


class Interrupted(KeyboardInterrupt):
    """A signal asked this process to end; a KeyboardInterrupt, because libraries know that."""

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.number = number

    @property
    def exit_code(self) -> int:
        """Return 128 plus the signal's number, as shells report it."""
        return 128 + self.number


@contextmanager
def interruptible() -> Generator[None]:
    """Turn SIGINT, SIGTERM and SIGHUP into `Interrupted` in the main thread.

    So temporary files are removed and transactions rolled back on the way out. After the first
    signal all three have their default effect again. Signals that the caller's shell ignores
    (``nohup``) stay ignored. Outside the main thread this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _frame: FrameType | None) -> None:
        for other in _ENDING:
            signal.signal(other, signal.SIG_DFL)
        raise Interrupted(number)

    before = {number: signal.getsignal(number) for number in _ENDING}
    for number, handler in before.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is end:
                signal.signal(number, handler)
