"""Differences between two sides as tables for people.

Must not know: how they were found.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dbsync.cli import text
from dbsync.cli.output import Output
from dbsync.pipeline.results import Comparison, RangeDifference, TableDifference

MAX_RANGES = 20
"""Ranges of one table that are printed without --verbose."""


def show_comparison(output: Output, compared: Comparison | None, *, left: str, right: str) -> None:
    """Print what came of the comparison after a load; nothing where there was none."""
    if compared is None:
        return
    if compared.not_compared:
        names = ", ".join(map(str, compared.not_compared))
        output.line(f"not verified, because it was left as it is: {names}")
    if not compared.tables:
        output.line("nothing was loaded, so there was nothing to verify")
        return
    looked_at = (
        f"{text.plural(compared.rows, 'row')} of {text.plural(compared.tables, 'table')} "
        f"in {text.duration(compared.seconds)}"
    )
    if compared.ok:
        output.line(f"verified: {compared.against} holds exactly what was loaded; {looked_at}")
        return
    show_differences(output, compared.differences, left=left, right=right)
    output.line()
    output.line(f"{unlike(len(compared.differences), compared.against)}; {looked_at}")


def unlike(tables: int, against: str) -> str:
    """Say how many tables differ from those of a database."""
    verb = "is" if tables == 1 else "are"
    return f"{text.plural(tables, 'table')} {verb} not the same as in {against}"


def show_differences(
    output: Output, differences: Sequence[TableDifference], *, left: str, right: str
) -> None:
    """Print each table that differs: how, and in which ranges of its key.

    `left` and `right` say what was compared, such as "archive" and "database".
    """
    for difference in differences:
        output.line()
        output.line(f"{difference.table}: {difference.reason}; {_counts(difference, left, right)}")
        if difference.ranges:
            _show_ranges(output, difference, left, right)


def _counts(difference: TableDifference, left: str, right: str) -> str:
    parts = [
        f"{text.plural(difference.rows_archive, 'row')} in {left}",
        f"{text.count(difference.rows_database)} in {right}",
    ]
    if difference.only_archive or difference.only_database or difference.differing:
        least = "" if difference.complete else "at least "
        parts += [
            f"{least}{text.count(difference.only_archive)} only in {left}",
            f"{text.count(difference.only_database)} only in {right}",
            f"{text.count(difference.differing)} with other values",
        ]
    return ", ".join(parts)


def _show_ranges(output: Output, difference: TableDifference, left: str, right: str) -> None:
    shown = difference.ranges if output.verbose else difference.ranges[:MAX_RANGES]
    output.table(
        [
            "keys",
            (f"rows in {left}", "right"),
            (f"in {right}", "right"),
            (f"only in {left}", "right"),
            (f"only in {right}", "right"),
            ("other values", "right"),
            "in columns",
            "for example",
        ],
        [_line(found, left, right) for found in shown],
    )
    left_out = difference.ranges_total - len(shown)
    if left_out:
        output.line(f"and {text.plural(left_out, 'range')} more")
    if not all(found.examined for found in shown):
        output.line("ranges with ? hold too many rows to look at each; they differ by their digest")


def _line(found: RangeDifference, left: str, right: str) -> tuple[object, ...]:
    counts = (found.only_archive, found.only_database, found.differing)
    return (
        _keys(found),
        text.count(found.rows_archive),
        text.count(found.rows_database),
        *(text.count(count) if found.examined else "?" for count in counts),
        ", ".join(found.columns),
        "; ".join(_examples(found, left, right)),
    )


def _examples(found: RangeDifference, left: str, right: str) -> Iterable[str]:
    """Name rows inside of a range; a range of one key says it all."""
    if found.first == found.last:
        return
    meant = {"only_archive": f" only in {left}", "only_database": f" only in {right}"}
    kinds = {row.difference for row in found.examples}
    for row in found.examples[:3]:
        yield _key(row.key) + (meant.get(row.difference, " differs") if len(kinds) > 1 else "")


def _keys(found: RangeDifference) -> str:
    first, last = _key(found.first), _key(found.last)
    if first == last:
        return first
    return f"{first or 'the first'} to {last or 'the last'}"


def _key(key: dict[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in key.items())
