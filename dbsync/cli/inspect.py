"""The command ``dbsync inspect``."""

from __future__ import annotations

import click

from dbsync.cli import options
from dbsync.cli.render import as_json, show_inspect
from dbsync.cli.session import begin, check_pipes
from dbsync.config import InspectSettings


@click.command(short_help="Show what is in an archive.")
@options.archive_argument
@options.of_database_option
@options.identity_option
@options.storage_options
@options.common_options
@click.pass_context
def inspect(ctx: click.Context, **_values: object) -> None:
    """Show what is in ARCHIVE (or DBSYNC_ARCHIVE): tables, rows, source, consistency.

    Of a file only the last part is read. With --verbose the columns are shown, too.
    """
    given, output = begin(ctx)
    settings = InspectSettings.of(given)
    check_pipes(settings.archive, output, writes=False)
    from dbsync import api

    info = api.inspect(**settings.arguments())
    show_inspect(output, info)
    output.result(as_json(info))
