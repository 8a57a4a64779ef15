"""What the tables look like, and on which machine they were made."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from scripts.benchmark.measure import Result, processors

MB = 1_000_000


def machine() -> str:
    """Describe the machine and the libraries in one line."""
    model = platform.processor() or platform.machine()
    for line in _lines(Path("/proc/cpuinfo")):
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    memory = next((x.split()[1] for x in _lines(Path("/proc/meminfo")) if "MemTotal" in x), "0")
    packages = ", ".join(f"{name} {version(name)}" for name in ("dbsync", "pyarrow", "duckdb"))
    return (
        f"{os.cpu_count()} CPUs ({model}); at the start, {_at_once()}, and load was "
        f"{os.getloadavg()[0]:.1f}; "
        f"{int(memory) // 1_000_000} GB memory, "
        f"Python {platform.python_version()}, {packages}"
    )


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def contest(title: str, results: Sequence[Result]) -> None:
    """Print one contest as a Markdown table; a ratio above 1 means that dbsync is faster."""
    print(f"\n### {title}\n")
    print("| tool | seconds (median) | time / dbsync's | output MB | peak RSS MB |")
    print("|---|---:|---:|---:|---:|")
    for result in results:
        size = "" if result.output_bytes is None else f"{result.output_bytes / MB:.1f}"
        print(
            f"| {result.name} | {result.seconds:.2f} | {result.ratio:.2f} | {size} "
            f"| {result.peak_bytes / MB:.0f} |",
            flush=True,
        )
    print(f"\nAfter it, {_at_once()}.", flush=True)


def _at_once() -> str:
    """Say in words what `processors` has found."""
    work, speed = processors()
    return f"all CPUs at once did the work of {work:.1f} at {speed:.0f} million steps a second"


def growth(rows: Sequence[int], peaks: Mapping[str, Sequence[int]]) -> None:
    """Print peak memory by number of rows, and the last as a multiple of the first."""
    print("\n### Peak RSS of dbsync, MB\n")
    print("| command | " + " | ".join(f"{count:,} rows" for count in rows) + " | growth |")
    print("|---|" + "---:|" * (len(rows) + 1))
    for name, found in peaks.items():
        cells = " | ".join(f"{peak / MB:.0f}" for peak in found)
        print(f"| {name} | {cells} | {found[-1] / found[0]:.2f} |", flush=True)
