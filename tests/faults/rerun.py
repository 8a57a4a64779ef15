"""Killing an import in a process of its own, and running it again in this one."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import dbsync
from dbsync.pipeline.events import ChunkDone, Event
from tests.integration.command import environment

REPOSITORY = Path(__file__).resolve().parents[2]


def kill(archive: Path, url: str, stage: str, number: int) -> None:
    """Import until the `number`-th event of a stage, at which SIGKILL ends the process."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.killed_import", archive, url, stage, str(number)],
        cwd=REPOSITORY,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, (stage, done.returncode, done.stderr)


def run_again(archive: Path, url: str) -> list[Event]:
    """Run the same import to its end and return its events."""
    events: list[Event] = []
    dbsync.import_archive(str(archive), url, include_schema=True, jobs=2, on_event=events.append)
    return events


def resumed(events: list[Event]) -> int:
    """Count the chunks that an earlier run had committed."""
    return sum(1 for event in events if isinstance(event, ChunkDone) and event.resumed)
