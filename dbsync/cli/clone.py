"""The command ``dbsync clone``."""

from __future__ import annotations

import click

from dbsync.cli import options, treasure_data
from dbsync.cli.differences import show_comparison
from dbsync.cli.failures import REFUSED
from dbsync.cli.parameters import option
from dbsync.cli.progress import watching
from dbsync.cli.render import as_json, show_clone
from dbsync.cli.session import begin
from dbsync.config import CloneSettings
from dbsync.config.url import is_treasure_data


@click.command(short_help="Bring one database into another.")
@option("--from", "source", secret=True, metavar="URL", help="The database that is read.")
@option("--to", "target", secret=True, metavar="URL", help="The database that is written.")
@options.table_options
@options.row_options
@options.schema_option
@options.landing_options
@treasure_data.clone_options
@option("--keep", metavar="ARCHIVE", help="Keep the archive at this place.")
@options.overwrite_archive_option
@options.encrypt_option
@options.storage_options
@options.encoding_options(level=None)
@options.jobs_option
@options.strict_option
@options.dry_run_option
@options.progress_option
@options.common_options
@click.pass_context
def clone(ctx: click.Context, **_values: object) -> int:
    """Bring the database --from into the database --to.

    The same as export and import at once: chunks stream from one to the other, and nothing is
    left on disk unless --keep says so.
    """
    given, output = begin(ctx)
    settings = CloneSettings.of(given)
    output.redactor.learn_url(settings.source)
    output.redactor.learn_url(settings.target)
    if settings.dry_run or settings.single_transaction:
        output.if_interrupted = "nothing was changed; run the command again"
    elif is_treasure_data(settings.target):
        output.if_interrupted = (
            "tables that were complete have arrived, and nothing of the others; run the command "
            "again with --skip-existing"
        )
    else:
        output.if_interrupted = "whole chunks may have arrived; run the command again"
    from dbsync import api

    with watching(output, "clone", show=given.flag("progress")) as watch:
        result = api.clone(**settings.arguments(), on_event=watch.on_event)
    watch.report((*result.exported.losses, *result.imported.plan.losses))
    show_clone(output, result)
    show_comparison(output, result.verified, left="source", right="target")
    output.result(as_json(result))
    if result.imported.failed:
        return result.imported.failed[0].exit_code
    return 0 if result.verified is None or result.verified.ok else REFUSED
