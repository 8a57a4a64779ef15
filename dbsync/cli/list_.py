"""The command ``dbsync list``."""

from __future__ import annotations

import click

from dbsync.cli import options
from dbsync.cli.archives import listed_as_json, show_list
from dbsync.cli.session import begin
from dbsync.config.backups import ListSettings


@click.command(name="list", short_help="Show the archives in a folder.")
@options.folder_argument
@options.of_database_option
@options.identity_option
@options.storage_options
@options.common_options
@click.pass_context
def list_(ctx: click.Context, **_values: object) -> None:
    """Show the archives in the folder LOCATION (or DBSYNC_ARCHIVE), the newest first.

    LOCATION is a folder, s3://bucket/prefix/ or gdrive://folder-id/. Only the two ends of each
    archive are read: complete means that it was published whole, and dbsync verify checks the
    rest. Of an encrypted archive less is known without --identity.
    """
    given, output = begin(ctx)
    settings = ListSettings.of(given)
    from dbsync import api

    archives = api.list_archives(**settings.arguments())
    show_list(output, settings.location, archives)
    output.result(
        {"location": settings.location, "archives": [listed_as_json(one) for one in archives]}
    )
