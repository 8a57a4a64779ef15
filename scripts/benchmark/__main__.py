"""The command line of `scripts/bench`: what is measured, and on how much."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from scripts.benchmark import encryption, memory, mysql, postgres, s3, sqlite, treasuredata
from scripts.benchmark.report import machine


def main() -> None:
    """Run one family of contests and print its tables."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description="Measure dbsync beside other tools, in turn."
    )
    parser.add_argument(
        "family",
        choices=["postgres", "mysql", "sqlite", "s3", "treasuredata", "encryption", "memory"],
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="of each table")
    parser.add_argument("--repeat", type=int, default=3, help="the median of so many runs counts")
    parser.add_argument(
        "--tables", default="orders,events", help="orders is mixed, events has 5 fixed columns"
    )
    parser.add_argument("--folder", type=Path, help="where files are written (default: temporary)")
    options = parser.parse_args()
    tables = options.tables.split(",")
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory(prefix="dbsync-bench-", dir=options.folder) as folder:
        if options.family == "postgres":
            postgres.contests(Path(folder), tables, options.rows, options.repeat)
        elif options.family == "mysql":
            mysql.contests(Path(folder), tables, options.rows, options.repeat)
        elif options.family == "sqlite":
            sqlite.contests(Path(folder), tables, options.rows, options.repeat)
        elif options.family == "s3":
            s3.contests(Path(folder), tables, options.rows, options.repeat)
        elif options.family == "treasuredata":
            treasuredata.contests(Path(folder), tables, options.rows, options.repeat)
        elif options.family == "encryption":
            encryption.contests(Path(folder), tables, options.rows, options.repeat)
        else:
            memory.growth(Path(folder), tables, options.rows)


if __name__ == "__main__":
    main()
