"""The command ``dbsync health``."""

from __future__ import annotations

from datetime import UTC, datetime

import click
import msgspec

from dbsync.cli import options
from dbsync.cli.failures import UNHEALTHY
from dbsync.cli.parameters import option
from dbsync.cli.session import begin
from dbsync.config import HealthSettings


@click.command(short_help="Say whether the newest archive is young enough.")
@options.folder_argument
@option(
    "--state",
    type=click.Path(),
    metavar="FILE",
    help="Ask the state file of dbsync schedule, in place of LOCATION.",
)
@option("--max-age", metavar="SPAN", help="How old the newest archive may be.  [default: 26h]")
@option("--rehearsed", is_flag=True, help="Count only archives whose rehearsal passed.")
@options.of_database_option
@options.storage_options
@options.common_options
@click.pass_context
def health(ctx: click.Context, **_values: object) -> int:
    """Compare the age of the newest archive with --max-age.

    Looks at the state file of dbsync schedule, or at the folder LOCATION (or DBSYNC_ARCHIVE). The
    exit code is 0 where the newest archive is young enough and 3 where it is not or there is none;
    2 and 5 mean that this could not be found out.
    """
    given, output = begin(ctx)
    settings = HealthSettings.of(given)
    from dbsync.service.health import look

    found = look(settings, datetime.now(UTC))
    output.line(f"{'healthy' if found.healthy else 'not healthy'}: {found.reason}")
    output.result(msgspec.to_builtins(found))
    return 0 if found.healthy else UNHEALTHY
