"""The options that say which archives to keep, for every command that prunes.

Must not know: what the rules mean (`dbsync.pipeline.retention` does).
"""

from __future__ import annotations

from typing import Any

import click

from dbsync.cli.parameters import Decorator, combine, option


def _count(name: str, help_text: str) -> Decorator[Any]:
    return option(name, type=click.IntRange(0, 100_000), metavar="N", help=help_text)


retention_options = combine(
    _count("--keep-last", "Keep the N newest archives of each database."),
    _count("--keep-daily", "Keep the last archive of each day, for N days that have one."),
    _count("--keep-weekly", "The same for weeks, which begin on Monday."),
    _count("--keep-monthly", "The same for months."),
    _count("--keep-yearly", "The same for years."),
    option(
        "--older-than",
        metavar="SPAN",
        help="Delete only what is older than this, such as 30d or 12h; alone, delete all of that.",
    ),
)
