"""The command ``dbsync rehearse``."""

from __future__ import annotations

import click

from dbsync.cli import options, text, treasure_data
from dbsync.cli.differences import show_differences
from dbsync.cli.failures import REFUSED
from dbsync.cli.output import Output
from dbsync.cli.parameters import option
from dbsync.cli.progress import watching
from dbsync.cli.render import as_json
from dbsync.cli.session import begin
from dbsync.config.archives import RehearseSettings
from dbsync.pipeline.results import RehearsalResult

MAX_LINES = 20
"""Lines of each kind on a terminal."""


@click.command(short_help="Prove that an archive restores.")
@options.archive_argument
@options.of_database_option
@option(
    # Not DBSYNC_URL: that is the database which is backed up.
    "--rehearse-url",
    "--url",
    "url",
    secret=True,
    help="An empty database to restore into; it is emptied afterwards.  [default: SQLite in a "
    "temporary file]",
)
@option(
    "--keep-restored",  # DBSYNC_KEEP is the archive that a clone keeps
    "--keep",
    "keep",
    is_flag=True,
    help="Leave what was restored in the database of --url.",
)
@option(
    "--attest/--no-attest",
    default=True,
    show_default=True,
    help="Write the outcome beside the archive, as ARCHIVE.rehearsed.json.",
)
@treasure_data.key_option
@options.identity_option
@options.storage_options
@options.jobs_option
@options.progress_option
@options.common_options
@click.pass_context
def rehearse(ctx: click.Context, **_values: object) -> int:
    """Restore ARCHIVE (or DBSYNC_ARCHIVE) into a throwaway database, and compare what arrived.

    ARCHIVE is a path, a URL, or a folder ending in / (its newest complete archive). Every byte is
    checked, every row compared, and so are keys and foreign keys. What the database cannot hold
    is named as not rehearsed. Where anything differs the exit code is 7.
    """
    given, output = begin(ctx)
    settings = RehearseSettings.of(given)
    if settings.url is not None:
        output.redactor.learn_url(settings.url)
    from dbsync import api

    with watching(output, "rehearse", show=given.flag("progress")) as watch:
        result = api.rehearse(**settings.arguments(), on_event=watch.on_event)
    _show(output, result)
    output.result(as_json(result))
    return 0 if result.ok else REFUSED


def _show(output: Output, result: RehearsalResult) -> None:
    """Say how it went."""
    for line in result.not_rehearsed[:MAX_LINES]:
        output.line(f"not rehearsed: {line}")
    if len(result.not_rehearsed) > MAX_LINES:
        more = len(result.not_rehearsed) - MAX_LINES
        output.line(f"not rehearsed: {more} more; --json lists all of them")
    for line in result.differences:
        output.line(f"differs: {line}")
    show_differences(output, result.tables_different, left="archive", right="restored")
    outcome = "passed" if result.ok else "FAILED"
    output.line(
        f"rehearsal {outcome}: {result.archive} in {result.against}; "
        f"{text.plural(result.rows, 'row')} of {text.plural(result.tables, 'table')} "
        f"in {result.seconds:.1f} s"
    )
    if result.attestation is not None:
        output.line(f"the outcome stands in {result.attestation}")
