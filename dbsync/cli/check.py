"""The command ``dbsync check``."""

from __future__ import annotations

import click
import msgspec

from dbsync.cli import options, treasure_data
from dbsync.cli.failures import SOURCE
from dbsync.cli.parameters import option
from dbsync.cli.render import show_check
from dbsync.cli.session import begin
from dbsync.config import CheckSettings


@click.command(short_help="Connect to a database and check rights.")
@options.database_options
@treasure_data.connection_options
@option("--schema", help="PostgreSQL only: look at this schema alone.")
@options.common_options
@click.pass_context
def check(ctx: click.Context, **_values: object) -> int:
    """Connect, check rights, and say which consistency is possible.

    Changes nothing. The exit code is 3 where something is not as it should be.
    """
    given, output = begin(ctx)
    settings = CheckSettings.of(given)
    output.redactor.learn_url(settings.url)
    from dbsync import api

    items = api.check(**settings.arguments())
    ok = all(item.ok for item in items)
    show_check(output, items)
    output.result({"ok": ok, "items": msgspec.to_builtins(items)})
    return 0 if ok else SOURCE
