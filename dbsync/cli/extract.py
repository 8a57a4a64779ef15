"""The command ``dbsync extract``."""

from __future__ import annotations

import click

from dbsync.cli import options
from dbsync.cli.progress import watching
from dbsync.cli.render import as_json, show_extract
from dbsync.cli.session import begin, check_pipes
from dbsync.config import ExtractSettings


@click.command(short_help="Write the tables of an archive as Parquet files.")
@options.archive_argument
@options.identity_option
@options.storage_options
@options.directory_argument
@options.of_database_option
@options.table_options
@options.progress_option
@options.common_options
@click.pass_context
def extract(ctx: click.Context, **_values: object) -> None:
    """Write the tables of ARCHIVE (or DBSYNC_ARCHIVE) as Parquet files.

    They go into DIRECTORY (or DBSYNC_DIRECTORY), which must be new or empty: a folder for each
    table, named after it.
    """
    given, output = begin(ctx)
    settings = ExtractSettings.of(given)
    check_pipes(settings.archive, output, writes=False)
    from dbsync import api

    with watching(output, "extract", show=given.flag("progress")) as watch:
        result = api.extract(**settings.arguments(), on_event=watch.on_event)
    show_extract(output, result)
    output.result(as_json(result))
