"""The command ``dbsync prune``."""

from __future__ import annotations

import click

from dbsync.cli import options
from dbsync.cli.archives import pruned_as_json, show_prune
from dbsync.cli.failures import STORAGE
from dbsync.cli.parameters import option
from dbsync.cli.retention import retention_options
from dbsync.cli.session import begin
from dbsync.config.backups import PruneSettings


@click.command(short_help="Delete the archives that no rule keeps.")
@options.folder_argument
@retention_options
@option(
    "--timezone",
    metavar="ZONE",
    help="Where days begin, such as Europe/Berlin.  [default: UTC]",
)
@options.of_database_option
@option(
    "--include-incomplete",
    "incomplete",
    is_flag=True,
    help="Also delete archives that are not whole and older than a day.",
)
@option("--yes", is_flag=True, help="Delete. Without it, only show what would be deleted.")
@option("--dry-run", is_flag=True, help="Only show what would be deleted, also with --yes.")
@options.storage_options
@options.common_options
@click.pass_context
def prune(ctx: click.Context, **_values: object) -> int:
    """Delete archives in the folder LOCATION (or DBSYNC_ARCHIVE) that no rule keeps.

    Without --yes nothing is deleted: a table says of each archive whether it stays, and why. An
    archive stays if any rule keeps it; the rules apply to each database by itself. The newest
    complete archive of a database, the newest one that passed a rehearsal, and whatever dbsync
    has not named itself are never deleted. What cannot be deleted ends in exit code 5.
    """
    given, output = begin(ctx)
    settings = PruneSettings.of(given)
    if not settings.dry_run:
        output.if_interrupted = "some archives may be gone already; run the command again"
    from dbsync import api

    result = api.prune(**settings.arguments())
    show_prune(output, result)
    output.result(pruned_as_json(result))
    return 0 if result.ok else STORAGE
