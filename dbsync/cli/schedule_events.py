"""What `dbsync schedule` says while it lives: lines for people, or JSON events.

Must not know: when anything is due.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from dbsync.cli import text
from dbsync.service.report import RunReport, ServiceEvent, Started, Waiting, Warned

if TYPE_CHECKING:
    from dbsync.cli.output import Output

_LATE_S = 60.0
"""A run that begins later than this has been missed, apart from jitter."""


class Printer:
    """Prints every event on stderr."""

    def __init__(self, output: Output):
        self._output = output

    def __call__(self, event: ServiceEvent) -> None:
        """Print one event."""
        if self._output.log_json:
            self._output.event(msgspec.to_builtins(event))
        elif isinstance(event, Warned):
            self._output.warn(event.message)
        elif isinstance(event, RunReport):
            self._report(event)
        else:
            self._output.progress(_line(event))

    def _report(self, report: RunReport) -> None:
        if report.error is None:
            self._output.progress(_success(report))
            return
        error = report.error
        said = f"{report.kind} failed in {error.stage}, exit code {error.exit_code}"
        self._output.warn(f"{said}: {error.message}")
        if error.hint:
            self._output.progress(f"next: {error.hint}")
        if report.retry_at is not None:
            self._output.progress(f"tried again at {_shown(report.retry_at)}")


def _line(event: Waiting | Started) -> str:
    if isinstance(event, Waiting):
        return f"next {event.kind} at {_shown(event.until)}"
    late = f", {text.duration(event.late_s)} late" if event.late_s > _LATE_S else ""
    return f"{event.kind} of {_shown(event.due)} begins{late}"


def _success(report: RunReport) -> str:
    parts: list[str] = []
    if report.archive is not None:
        parts.append(
            f"{text.plural(report.rows, 'row')}, {text.size(report.bytes)} into {report.archive} "
            f"in {text.duration(report.seconds)}"
        )
    if report.pruned is not None:
        parts.append(f"{text.plural(report.pruned, 'archive')} removed")
    if report.rehearsal is not None:
        parts.append(f"rehearsal {report.rehearsal}")
    return f"{report.kind} done: " + "; ".join(parts)


def _shown(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")
