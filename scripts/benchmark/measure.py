"""Running contestants in turn: wall-clock seconds, peak memory, size of what they wrote."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

Command = Sequence[str | Path]
_STEPS = 4_000_000


@dataclass(frozen=True)
class Contestant:
    """One tool: its commands, run one after another and timed together.

    `prepare` and `check` are not timed: they make the place empty again, and raise where the
    commands did not do the whole job. `output` is the file or folder whose size is reported.
    """

    name: str
    commands: Sequence[Command]
    prepare: Callable[[], None] = lambda: None
    check: Callable[[], None] = lambda: None
    output: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """One measured run; `peak_bytes` is that of the largest process among the commands'."""

    seconds: float
    peak_bytes: int
    output_bytes: int | None


@dataclass(frozen=True)
class Result:
    """All runs of one contestant; `ratio` is its time over that of the first contestant."""

    name: str
    seconds: float
    ratio: float
    peak_bytes: int
    output_bytes: int | None


def compete(contestants: Sequence[Contestant], repeat: int) -> list[Result]:
    """Run every contestant `repeat` times, in turn, and compare with the first.

    Ratios are medians over the rounds, each round against the first contestant's run in the same
    round, so that a machine that slows down meanwhile does not favour anyone.
    """
    rounds: list[list[Run]] = []
    for turn in range(repeat):
        runs: dict[int, Run] = {}
        for offset in range(len(contestants)):
            place = (turn + offset) % len(contestants)
            runs[place] = measure(contestants[place])
        rounds.append([runs[place] for place in range(len(contestants))])
    return [
        Result(
            name=contestant.name,
            seconds=median(runs[place].seconds for runs in rounds),
            ratio=median(runs[place].seconds / runs[0].seconds for runs in rounds),
            peak_bytes=max(runs[place].peak_bytes for runs in rounds),
            output_bytes=rounds[-1][place].output_bytes,
        )
        for place, contestant in enumerate(contestants)
    ]


def measure(contestant: Contestant) -> Run:
    """Prepare, run and check one contestant once; raises where a command fails."""
    if contestant.output is not None:
        if contestant.output.is_dir():
            shutil.rmtree(contestant.output)
        contestant.output.unlink(missing_ok=True)
    contestant.prepare()
    # What others have left to be written is not on this one's clock: dbsync and pg_dump wait for
    # the disk at their end, and would wait for the others' data with their own.
    os.sync()
    peak = 0
    started = time.perf_counter()
    for command in contestant.commands:
        peak = max(peak, _run(command, contestant.environment))
    seconds = time.perf_counter() - started
    contestant.check()
    return Run(seconds, peak, _size(contestant.output) if contestant.output is not None else None)


def _size(output: Path) -> int:
    files = output.rglob("*") if output.is_dir() else [output]
    return sum(file.stat().st_size for file in files)


def _run(command: Command, environment: Mapping[str, str]) -> int:
    """Run a command to its end and return the peak memory of its largest process, in bytes."""
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env={**os.environ, **environment},
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            errors.seek(0)
            text = errors.read().decode(errors="replace")
            raise RuntimeError(f"{command[0]} ended with {process.returncode}: {text[-2000:]}")
    return usage.ru_maxrss * 1024


def processors() -> tuple[float, float]:
    """Say how many processors' work all of them do at once, and how fast one alone is, just now.

    The speed is in millions of steps a second of a loop in Python. On a shared machine the first
    may be half of what there are, or less: then tools that use one processor look faster beside
    those that use all than they are. The second may fall to half, too, where others run on the
    same cores; what often waits for its own last result, such as gzip, hardly notices.
    """
    count = os.cpu_count() or 1
    alone = min(_work_for(1) for _ in range(3))
    together = min(_work_for(count) for _ in range(3))
    return count * alone / together, _STEPS / alone / 1e6


def _work_for(processes: int) -> float:
    """Let so many processes do the same work at once, and return the seconds of the slowest."""
    program = (
        f"import time; start = time.perf_counter(); sum(n * n for n in range({_STEPS})); "
        "print(time.perf_counter() - start)"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        for _ in range(processes)
    ]
    return max(float(one.communicate()[0]) for one in running)
