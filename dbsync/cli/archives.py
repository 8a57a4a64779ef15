"""Folders of archives as tables for people, and as plain values for ``--json``.

Must not know: how archives are found, or why one is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import Any

import msgspec

from dbsync.cli import text
from dbsync.cli.output import Output
from dbsync.pipeline.inventory import ListedArchive, PrunedArchive, PruneResult


def listed_as_json(archive: ListedArchive) -> dict[str, Any]:
    """Turn an archive into the value that ``--json`` prints."""
    return {
        **msgspec.to_builtins(archive),
        "complete": archive.complete,
        "rehearsed": archive.rehearsed,
    }


def pruned_as_json(result: PruneResult) -> dict[str, Any]:
    """Turn what was pruned into the value that ``--json`` prints."""
    value = msgspec.to_builtins(result)
    value["ok"] = result.ok
    for shown, one in zip(value["archives"], result.archives, strict=True):
        shown["archive"] = listed_as_json(one.archive)
    return value


def show_list(output: Output, location: str, archives: Sequence[ListedArchive]) -> None:
    """Print the archives of a folder."""
    if not archives:
        output.line(f"no archives in {location}")
        return
    output.table(
        [
            "archive",
            "time (UTC)",
            "database",
            "engine",
            ("tables", "right"),
            ("rows", "right"),
            ("size", "right"),
            "complete",
            "rehearsed",
        ],
        [
            (
                one.name,
                _time(one.time),
                one.database or "?",
                _engine(one),
                text.count(one.tables),
                text.count(one.rows),
                text.size(one.bytes),
                "yes" if one.complete else f"{_NO[one.state]}: {one.problem}",
                _rehearsal(one),
            )
            for one in archives
        ],
    )
    whole = sum(one.complete for one in archives)
    total = text.size(sum(one.bytes for one in archives))
    output.line(f"{text.plural(len(archives), 'archive')}, {whole} complete, {total}")


def show_prune(output: Output, result: PruneResult) -> None:
    """Print of every archive whether it stays and why, what was done, and what could not be."""
    if not (result.archives or result.orphans):
        output.line(f"no archives in {result.location}")
        return
    output.table(
        ["archive", f"time ({result.timezone})", ("size", "right"), "", "why"],
        [
            (
                one.archive.name,
                _time(one.archive.time, result.zone),
                text.size(one.archive.bytes),
                _fate(one, dry_run=result.dry_run),
                "; ".join(one.reasons),
            )
            for one in result.archives
        ],
    )
    for name in result.orphans:
        output.line(f"{name} goes too: the archive that it belongs to is gone")
    going = [one for one in result.archives if not one.keep]
    of_all = f"of {text.plural(len(result.archives), 'archive')}"
    if result.dry_run:
        size = text.size(sum(one.archive.bytes for one in going))
        output.line(f"would delete {len(going)} {of_all}, {size}")
        output.line(
            "nothing was deleted" + ("; --yes deletes what goes" if going or result.orphans else "")
        )
    else:
        output.line(f"deleted {result.deleted} {of_all}, {text.size(result.freed_bytes)}")
    errors = {one.archive.archive: one.error for one in result.archives}
    for name in result.failed:
        output.warn(f"{name} is still there: {errors.get(name) or 'it could not be deleted'}")


_NO = {"incomplete": "NO", "unreadable": "UNKNOWN"}


def _fate(one: PrunedArchive, *, dry_run: bool) -> str:
    if one.keep:
        return "keep"
    if dry_run:
        return "DELETE"
    return "deleted" if one.deleted else "FAILED"


def _engine(one: ListedArchive) -> str:
    if one.engine is None:
        return "encrypted" if one.encrypted else "?"
    return f"{one.engine} {one.engine_version or ''}".rstrip()


def _time(time: datetime | None, zone: tzinfo | None = None) -> str:
    if time is None:
        return "?"
    return f"{time.astimezone(zone) if zone is not None else time:%Y-%m-%d %H:%M:%S}"


def _rehearsal(one: ListedArchive) -> str:
    if one.rehearsal is None:
        return "no"
    when = f"{one.rehearsal.time:%Y-%m-%d %H:%M}"
    if one.rehearsal.passed:
        return f"{when} passed"
    return f"{when} FAILED: {text.plural(len(one.rehearsal.differences), 'difference')}"
