"""Encryption: export, verify and import of the same archive with a key and without one."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from scripts.benchmark import report
from scripts.benchmark.measure import Contestant, compete
from scripts.benchmark.sqlite import fill


def contests(folder: Path, tables: Sequence[str], rows: int, repeat: int) -> None:
    """Run the three contests for each table, and print them."""
    key = folder / "bench.key"
    made = subprocess.run(["dbsync", "keygen", key], check=True, capture_output=True, text=True)
    for table in tables:
        source = folder / f"{table}.sqlite"
        fill(source, table, rows)
        size = f"{table}, {rows:,} rows, {source.stat().st_size / report.MB:.0f} MB on disk"
        both = {
            "plain": (folder / "plain.dbsync.tar", {"DBSYNC_URL": f"sqlite:///{source}"}),
            "encrypted": (
                folder / "encrypted.dbsync.tar",
                {
                    "DBSYNC_URL": f"sqlite:///{source}",
                    "DBSYNC_ENCRYPT_TO": made.stdout.strip(),
                    "DBSYNC_IDENTITY_FILE": str(key),
                },
            ),
        }
        exports = [
            Contestant(
                f"export, {name}",
                [["dbsync", "export", "--no-progress", archive]],
                output=archive,
                environment=variables,
            )
            for name, (archive, variables) in both.items()
        ]
        report.contest(f"export: {size}", compete(exports, repeat))
        target = folder / "target.sqlite"
        for command in (["verify"], ["import", "--include-schema"]):
            readers = [
                Contestant(
                    f"{command[0]}, {name}",
                    [["dbsync", *command, "--no-progress", archive]],
                    prepare=partial(target.unlink, missing_ok=True),
                    environment={**variables, "DBSYNC_URL": f"sqlite:///{target}"},
                )
                for name, (archive, variables) in both.items()
            ]
            report.contest(f"{command[0]}: {size}", compete(readers, repeat))
