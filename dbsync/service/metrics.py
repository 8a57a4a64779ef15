"""A text file for Prometheus, which the textfile collector of the node exporter reads.

What lives here: the names of the metrics and the exposition format. Must not know: how runs are
made. The file carries numbers, the location and the version, and no text of an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from dbsync import __version__
from dbsync.service.report import RunReport
from dbsync.service.state import State, replace_file

Number = int | float | None


class MetricsFile:
    """Replaces a file with the present numbers whenever it is told of a run."""

    name = "metrics file"

    def __init__(self, path: Path):
        self._path = path

    def tell(self, report: RunReport | None, state: State) -> None:
        """Write the file; raises `StorageError`."""
        # Another user's exporter reads it.
        replace_file(self._path, exposition(report, state).encode(), 0o644)


def exposition(report: RunReport | None, state: State) -> str:
    """Write the numbers in the text format of Prometheus; what is not known is left out."""
    lines: list[str] = []
    location = _escaped(state.location)
    for name, kind, text, value in _metrics(report, state):
        if value is not None:
            lines += [
                f"# HELP dbsync_{name} {text}",
                f"# TYPE dbsync_{name} {kind}",
                f'dbsync_{name}{{location="{location}"}} {value!r}',
            ]
    lines += [
        "# HELP dbsync_build_info The version of dbsync.",
        "# TYPE dbsync_build_info gauge",
        f'dbsync_build_info{{location="{location}",version="{_escaped(__version__)}"}} 1',
    ]
    return "\n".join(lines) + "\n"


def _metrics(report: RunReport | None, state: State) -> Iterator[tuple[str, str, str, Number]]:
    success, failure, rehearsed = state.last_success, state.last_failure, state.last_rehearsal
    yield (
        "last_success_timestamp_seconds",
        "gauge",
        "When the export of the newest complete archive began.",
        _seconds(success and success.time),
    )
    yield (
        "last_success_duration_seconds",
        "gauge",
        "How long that export took.",
        success and success.seconds,
    )
    yield "last_success_bytes", "gauge", "Size of that archive.", success and success.bytes
    yield "last_success_rows", "gauge", "Rows in that archive.", success and success.rows
    yield (
        "last_failure_timestamp_seconds",
        "gauge",
        "When an attempt last failed.",
        _seconds(failure and failure.time),
    )
    if report is not None:
        yield (
            "last_run_success",
            "gauge",
            "1 if the last attempt succeeded, else 0.",
            int(report.event == "success"),
        )
    yield "runs_total", "counter", "Runs that succeeded.", state.runs
    yield "failures_total", "counter", "Runs that failed for good.", state.failures
    yield (
        "consecutive_failures",
        "gauge",
        "Runs that failed for good since one succeeded.",
        state.consecutive_failures,
    )
    if rehearsed is not None:
        yield (
            "last_rehearsal_timestamp_seconds",
            "gauge",
            "When a rehearsal last ended.",
            _seconds(rehearsed.time),
        )
        yield (
            "last_rehearsal_passed",
            "gauge",
            "1 if that rehearsal passed, else 0.",
            int(rehearsed.passed),
        )
    yield (
        "next_run_timestamp_seconds",
        "gauge",
        "When the next run is due, without jitter.",
        _seconds(state.next_run),
    )


def _seconds(moment: datetime | None) -> Number:
    return None if moment is None else moment.timestamp()


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
