"""Memory: the same tables at one and at five times the rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from scripts.benchmark import mysql, postgres, report, sqlite


def growth(folder: Path, tables: Sequence[str], rows: int) -> None:
    """Print the peak memory of exports and imports of `rows` and of five times as many."""
    counts = (rows, 5 * rows)
    found: dict[str, list[int]] = {}
    engines = (
        ("PostgreSQL", postgres.peaks),
        ("MariaDB", mysql.peaks),
        ("SQLite", sqlite.peaks),
    )
    for engine, peaks in engines:
        for table in tables:
            for count in counts:
                exported, imported = peaks(folder, table, count)
                found.setdefault(f"export {table} from {engine}", []).append(exported)
                found.setdefault(f"import {table} into {engine}", []).append(imported)
    report.growth(counts, found)
