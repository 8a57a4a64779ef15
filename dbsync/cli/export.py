"""The command ``dbsync export``."""

from __future__ import annotations

import click

from dbsync.cli import options, treasure_data
from dbsync.cli.progress import watching
from dbsync.cli.render import as_json, show_export
from dbsync.cli.session import begin, check_pipes
from dbsync.config import ExportSettings


@click.command(short_help="Write a database into an archive.")
@options.archive_argument
@options.storage_options
@options.database_options
@options.table_options
@options.row_options
@treasure_data.reading_options
@options.schema_option
@options.include_schema_option(
    default=True, help_text="Carry keys, indexes, views and other definitions."
)
@options.encoding_options(level=3)
@options.jobs_option
@options.overwrite_archive_option
@options.encrypt_option
@options.strict_option
@options.dry_run_option
@options.progress_option
@options.common_options
@click.pass_context
def export(ctx: click.Context, **_values: object) -> None:
    """Write a database into ARCHIVE (or DBSYNC_ARCHIVE).

    ARCHIVE is a path such as shop.dbsync.tar, a folder ending in / (the archive is then named
    after the database and the time), or - for a pipe. It appears under its name only when it is
    complete.
    """
    given, output = begin(ctx)
    settings = ExportSettings.of(given)
    output.redactor.learn_url(settings.url)
    if not settings.dry_run:
        check_pipes(settings.archive, output, writes=True)
        output.if_interrupted = "no archive was left behind; run the command again"
    from dbsync import api

    with watching(output, "export", show=given.flag("progress")) as watch:
        result = api.export_database(**settings.arguments(), on_event=watch.on_event)
    watch.report(result.losses)
    show_export(output, result)
    output.result(as_json(result))
