"""The command ``dbsync to-parquet``."""

from __future__ import annotations

import click

from dbsync.cli import options, treasure_data
from dbsync.cli.parameters import Argument, option
from dbsync.cli.progress import watching
from dbsync.cli.render import as_json, show_parquet
from dbsync.cli.session import begin
from dbsync.config import ToParquetSettings


@click.command(name="to-parquet", short_help="Write one table of a database as Parquet files.")
@click.argument("url", cls=Argument, required=False, secret=True)
@click.argument("table", cls=Argument, required=False)
@options.directory_argument
@options.password_option
@options.columns_of_table_option
@options.where_option
@options.schema_option
@treasure_data.reading_options
@options.encoding_options(level=3)
@options.jobs_option
@option("--overwrite", is_flag=True, help="Replace the files of an earlier run.")
@options.progress_option
@options.common_options
@click.pass_context
def to_parquet(ctx: click.Context, **_values: object) -> None:
    """Write one table of a database as plain Parquet files.

    URL is the database (or DBSYNC_URL, DBSYNC_URL_FILE), TABLE the table's name or schema.name
    (or DBSYNC_TABLE). The files go into a folder of DIRECTORY (or DBSYNC_DIRECTORY) that is called
    as the table. It appears when all of them are whole. An empty table gives one file without
    rows.
    """
    given, output = begin(ctx)
    settings = ToParquetSettings.of(given)
    output.redactor.learn_url(settings.url)
    output.if_interrupted = "no file was left behind; run the command again"
    from dbsync import api

    with watching(output, "to-parquet", show=given.flag("progress")) as watch:
        result = api.table_to_parquet(**settings.arguments(), on_event=watch.on_event)
    show_parquet(output, result)
    output.result(as_json(result))
