"""The command ``dbsync import``."""

from __future__ import annotations

import click

from dbsync.cli import options, treasure_data
from dbsync.cli.differences import show_comparison
from dbsync.cli.failures import REFUSED
from dbsync.cli.parameters import option
from dbsync.cli.progress import watching
from dbsync.cli.render import as_json, show_import
from dbsync.cli.session import begin, check_pipes
from dbsync.config import ImportSettings


@click.command(name="import", short_help="Bring an archive into a database.")
@options.archive_argument
@options.identity_option
@options.storage_options
@options.database_options
@options.table_options
@options.archive_row_options
@options.schema_option
@options.landing_options
@treasure_data.writing_options
@option(
    "--resume/--no-resume",
    default=True,
    show_default=True,
    help="Go on where an earlier run of the same import stopped.",
)
@options.jobs_option
@options.strict_option
@options.dry_run_option
@options.progress_option
@options.common_options
@click.pass_context
def import_(ctx: click.Context, **_values: object) -> int:
    """Bring ARCHIVE (or DBSYNC_ARCHIVE) into a database.

    ARCHIVE is a path, a folder ending in / (its newest complete archive), or - for a pipe. Rows
    whose key exists are updated; no table is created unless --include-schema says so. An import
    that was killed is simply run again.
    """
    given, output = begin(ctx)
    settings = ImportSettings.of(given)
    output.redactor.learn_url(settings.url)
    check_pipes(settings.archive, output, writes=False)
    if settings.dry_run or settings.single_transaction:
        output.if_interrupted = "nothing was changed; run the command again"
    else:
        output.if_interrupted = "run the same command again; it goes on where it stopped"
    from dbsync import api

    with watching(output, "import", show=given.flag("progress")) as watch:
        result = api.import_archive(**settings.arguments(), on_event=watch.on_event)
    watch.report(result.plan.losses)
    show_import(output, result)
    show_comparison(output, result.verified, left="archive", right="target")
    output.result(as_json(result))
    if result.failed:
        return result.failed[0].exit_code
    return 0 if result.verified is None or result.verified.ok else REFUSED
