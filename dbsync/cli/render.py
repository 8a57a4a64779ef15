"""Finished runs as tables for people, and as plain values for ``--json``.

Must not know: how they came about.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

import msgspec

from dbsync.cli import text
from dbsync.cli.differences import show_differences, unlike
from dbsync.cli.output import Column, Output
from dbsync.cli.plans import show_failed, show_plan, show_separate_plan
from dbsync.pipeline.results import (
    ArchiveInfo,
    CloneResult,
    ExportResult,
    ExtractResult,
    ImportResult,
    ParquetResult,
    VerifyResult,
)

if TYPE_CHECKING:
    from dbsync.connectors.base import CheckItem, Consistency


def as_json(result: object) -> Any:
    """Turn a result into the value that ``--json`` prints.

    As `dbsync.pipeline.results` describes it; a planned table names its source instead of
    repeating its definition.
    """
    value = msgspec.to_builtins(result)
    if isinstance(result, VerifyResult):
        value["ok"] = result.ok
    verified = getattr(result, "verified", None)
    if verified is not None:
        value["verified"]["ok"] = verified.ok
    for part in (value, value.get("imported") or {}):
        for table in (part.get("plan") or {}).get("tables", ()):
            table["source"] = table["source"]["name"]
    return value


def show_export(output: Output, result: ExportResult) -> None:
    """Print what was exported, or with a dry run what would be."""
    if result.dry_run:
        output.table(
            ["table", ("rows, about", "right"), ("bytes, about", "right")],
            [(t.table, text.count(t.rows), text.size(t.bytes)) for t in result.tables],
        )
        output.line(
            f"would export {_tables_and_rows(len(result.tables), result.rows, about=True)}; "
            "nothing was written"
        )
    else:
        output.table(
            ["table", ("rows", "right"), ("stored", "right"), ("chunks", "right")],
            [
                (t.table, text.count(t.rows), text.size(t.bytes), text.count(t.chunks))
                for t in result.tables
            ],
        )
        place = f" into {result.archive}" if result.archive not in (None, "-") else ""
        output.line(
            f"exported {_tables_and_rows(len(result.tables), result.rows)}, "
            f"{text.size(result.bytes)}{place} in {text.duration(result.seconds)}"
        )
    output.line(f"consistency: {_consistency(result.consistency)}")
    _warnings(output, result.warnings)


def show_import(output: Output, result: ImportResult) -> None:
    """Print what was imported, or with a dry run what would be."""
    if result.dry_run:
        if result.separately:
            show_separate_plan(output, result)
        else:
            show_plan(output, result.plan)
        output.line("nothing was changed")
        return
    output.table(
        [
            "table",
            "action",
            *(
                cast(Column, (name, "right"))
                for name in ("rows", "inserted", "updated", "skipped", "superseded")
            ),
        ],
        [(t.table, t.action, text.count(t.rows), *_counts(t.counts)) for t in result.tables],
    )
    source = f" from {result.archive}" if result.archive not in (None, "-") else ""
    resumed = (
        f" ({text.plural(result.resumed_chunks, 'chunk')} stood from an earlier run)"
        if result.resumed_chunks
        else ""
    )
    output.line(
        f"imported {_tables_and_rows(len(result.tables), result.rows)}{source} "
        f"in {text.duration(result.seconds)}{resumed}"
    )
    show_failed(output, result)


def show_clone(output: Output, result: CloneResult) -> None:
    """Print both halves of a clone; the tables as they arrived."""
    if result.imported.dry_run and not result.imported.separately:
        show_export(output, result.exported)
        output.line()
    show_import(output, result.imported)
    if not result.imported.dry_run:
        output.line(f"consistency: {_consistency(result.exported.consistency)}")
        if result.exported.archive:
            output.line(f"kept as {result.exported.archive}")
        _warnings(output, result.exported.warnings)


def show_inspect(output: Output, info: ArchiveInfo) -> None:
    """Print what an archive says about itself; its columns only under --verbose."""
    for name, value in (
        ("archive", info.archive),
        ("id", info.archive_id),
        ("format", f"{info.format_version}, written by {info.writer}"),
        ("written", f"{info.started} to {info.finished}"),
        ("source", f"{info.engine} {info.engine_version}, database {info.database}"),
        ("consistency", _consistency(info.consistency)),
        ("size", f"{text.size(info.size)}, {_tables_and_rows(len(info.tables), info.rows)}"),
        ("features", ", ".join(info.features) or "none"),
        ("objects", ", ".join(f"{n:,} {kind}" for kind, n in info.objects) or "none"),
    ):
        output.line(f"{name:<12} {value}")
    output.line()
    output.table(
        ["table", ("rows", "right"), ("stored", "right"), ("chunks", "right"), "key", "rows where"],
        [
            (
                t.table,
                text.count(t.rows),
                text.size(t.bytes),
                text.count(t.chunks),
                ", ".join(t.primary_key) or "none",
                t.where or "",
            )
            for t in info.tables
        ],
    )
    if output.verbose:
        output.line()
        output.table(
            ["table", "column", "type", "native type"],
            [(t.table, *column) for t in info.tables for column in t.columns],
        )
    if info.losses:
        output.line()
        output.table(
            ["not in the archive", "what happened", "reason"],
            [(loss.object, loss.severity, loss.reason) for loss in info.losses],
        )
    _warnings(output, info.warnings)


def show_verify(output: Output, result: VerifyResult) -> None:
    """Print what was checked, and every table that differs."""
    place = "the archive in the pipe" if result.archive == "-" else result.archive
    output.line(
        f"{place}: valid; {text.plural(result.members, 'member')}, "
        f"{text.plural(result.chunks, 'chunk')}, {text.plural(result.rows, 'row')}, "
        f"{text.size(result.bytes)} checked in {text.duration(result.seconds)}"
    )
    if result.against is None:
        return
    if result.ok:
        output.line(f"the same rows as in {result.against}")
        return
    show_differences(output, result.differences, left="archive", right="database")
    output.line()
    output.line(unlike(len(result.differences), result.against))


def show_extract(output: Output, result: ExtractResult) -> None:
    """Print the files that were written, by table."""
    files: dict[Any, list[tuple[str, int]]] = {}
    for name, path, rows in result.files:
        files.setdefault(name, []).append((path, rows))
    output.table(
        ["table", ("rows", "right"), ("files", "right"), "folder"],
        [
            (name, text.count(sum(r for _, r in parts)), len(parts), _folder(parts[0][0]))
            for name, parts in files.items()
        ],
    )
    output.line(f"wrote {text.plural(len(result.files), 'Parquet file')} into {result.directory}")


def show_parquet(output: Output, result: ParquetResult) -> None:
    """Print the files that were written."""
    output.table(
        ["file", ("rows", "right"), ("size", "right")],
        [(file.path, text.count(file.rows), text.size(file.bytes)) for file in result.files],
    )
    output.line(
        f"wrote {text.plural(result.rows, 'row')} of {result.table}, {text.size(result.bytes)}, "
        f"into {result.directory} in {text.duration(result.seconds)}"
    )
    output.line(f"consistency: {_consistency(result.consistency)}")


def show_check(output: Output, items: Sequence[CheckItem]) -> None:
    """Print what was looked at, the answer, and what to do where it is bad."""
    output.table(
        ["", "checked", "found", "what to do"],
        [("ok" if i.ok else "NOT OK", i.item, i.found, i.hint or "") for i in items],
    )


def _warnings(output: Output, warnings: Iterable[str]) -> None:
    for warning in warnings:
        output.warn(warning)


def _tables_and_rows(tables: int, rows: int, *, about: bool = False) -> str:
    return f"{text.plural(tables, 'table')}, {'about ' if about else ''}{text.plural(rows, 'row')}"


def _consistency(consistency: Consistency) -> str:
    level = {
        "snapshot": "one moment for all tables",
        "per_table": "one moment for each table",
        "none": "none: rows may belong to different moments",
    }[consistency.level]
    token = f" (snapshot {consistency.token})" if consistency.token else ""
    return level + token + (f"; {consistency.note}" if consistency.note else "")


def _counts(counts: object) -> tuple[str, ...]:
    return tuple(
        text.count(getattr(counts, name, None)) if counts is not None else ""
        for name in ("inserted", "updated", "skipped", "superseded")
    )


def _folder(path: str) -> str:
    return path.rpartition("/")[0] or path
