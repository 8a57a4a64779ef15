"""The command ``dbsync auth``: a person signs in to a service."""

from __future__ import annotations

import click

from dbsync.cli import options
from dbsync.cli.parameters import option
from dbsync.cli.session import begin
from dbsync.config.auth import AuthDriveSettings


@click.group(short_help="Sign in to a service that keeps archives.")
def auth() -> None:
    """Sign in to a service that keeps archives, once, in front of a browser."""


@auth.command(name="drive", short_help="Sign in to Google Drive as a person.")
@option(
    "--client-secrets",
    type=click.Path(),
    help="File of an OAuth client for desktop applications, from the Google Cloud console.",
)
@option(
    "--drive-credentials",
    type=click.Path(),
    help="Where to store the token.  [default: drive-token.json in the folder dbsync of "
    "$XDG_CONFIG_HOME or ~/.config]",
)
@option(
    "--browser/--no-browser",
    default=True,
    help="Open the address in a browser, or only show it.",
)
@option(
    "--callback-port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Port of this machine that the browser's answer comes to, to forward it from another "
    "one.  [default: any]",
)
@option(
    "--drive-endpoint", metavar="URL", help="A Drive other than Google's, for tests of dbsync only."
)
@options.common_options
@click.pass_context
def drive(ctx: click.Context, **_values: object) -> None:
    """Sign in to Google Drive as a person, and store a token that only you may read.

    Export and the other commands then use it by themselves. For unattended runs a service account
    and a shared drive need no sign-in. This flow has never been run against Google's service.
    """
    given, output = begin(ctx)
    settings = AuthDriveSettings.of(given)
    from dbsync import api

    account = api.authorize_drive(**settings.arguments(), announce=output.progress)
    output.line(f"signed in as {account.name}; the token is in {account.origin}")
    output.result({"account": account.name, "token": account.origin})
