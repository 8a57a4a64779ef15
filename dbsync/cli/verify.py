"""The command ``dbsync verify``."""

from __future__ import annotations

import click

from dbsync.cli import options, treasure_data
from dbsync.cli.failures import REFUSED
from dbsync.cli.parameters import option
from dbsync.cli.progress import watching
from dbsync.cli.render import as_json, show_verify
from dbsync.cli.session import begin, check_pipes
from dbsync.config import VerifySettings


@click.command(short_help="Check an archive, also against a database.")
@options.archive_argument
@options.of_database_option
@options.identity_option
@options.storage_options
@option("--against", secret=True, metavar="URL", help="Compare every row with this database.")
@option(
    "--tables",
    multiple=True,
    metavar="A,B.*",
    help="Compare only these tables: names or globs, also as schema.name.",
)
@option("--schema", help="Look for the tables in this schema of the database.")
@treasure_data.reading_options
@options.jobs_option
@options.progress_option
@options.common_options
@click.pass_context
def verify(ctx: click.Context, **_values: object) -> int:
    """Check every checksum and count of ARCHIVE (or DBSYNC_ARCHIVE).

    An archive that is not valid ends with exit code 6. With --against its rows are compared with
    a database; where they differ, the tables are listed and the exit code is 7.
    """
    given, output = begin(ctx)
    settings = VerifySettings.of(given)
    if settings.against is not None:
        output.redactor.learn_url(settings.against)
    check_pipes(settings.archive, output, writes=False)
    from dbsync import api

    with watching(output, "verify", show=given.flag("progress")) as watch:
        result = api.verify(**settings.arguments(), on_event=watch.on_event)
    show_verify(output, result)
    output.result(as_json(result))
    return 0 if result.ok else REFUSED
