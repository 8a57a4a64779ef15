"""A child process that imports an archive and kills itself, with SIGKILL, at one stage.

Run as ``python -m tests.faults.killed_import ARCHIVE URL STAGE NUMBER``: it dies at the NUMBER-th
event whose stage is STAGE: ``create``, ``chunk_written``, ``chunk_done``, ``indexes``, ...
"""

from __future__ import annotations

import os
import signal
import sys

import dbsync
from dbsync.pipeline.events import ChunkDone, ChunkWritten, Event, StageStarted


def stage_of(event: Event) -> str | None:
    """Name the stage that an event stands for."""
    match event:
        case StageStarted(stage=stage):
            return stage
        case ChunkWritten():
            return "chunk_written"
        case ChunkDone(resumed=False):
            return "chunk_done"
        case _:
            return None


def main() -> None:
    """Import until the chosen event, then die without any clean-up."""
    archive, url, stage, number = sys.argv[1:5]
    left = int(number)

    def die(event: Event) -> None:
        nonlocal left
        if stage_of(event) == stage:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    dbsync.import_archive(archive, url, include_schema=True, jobs=2, on_event=die)


if __name__ == "__main__":
    main()
