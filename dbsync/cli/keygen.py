"""The command ``dbsync keygen``."""

from __future__ import annotations

import click

from dbsync.cli import options
from dbsync.cli.parameters import Argument
from dbsync.cli.session import begin
from dbsync.config import KeygenSettings


@click.command(short_help="Make a key for encrypted archives.")
@click.argument("key_file", cls=Argument, required=False)
@options.common_options
@click.pass_context
def keygen(ctx: click.Context, **_values: object) -> None:
    """Make a key pair for encrypted archives.

    The secret key goes into KEY_FILE (or DBSYNC_KEY_FILE), which must be new and which only you
    may read; import, inspect, verify and extract take it as --identity. The public key, for
    --encrypt-to, is printed.
    """
    given, output = begin(ctx)
    settings = KeygenSettings.of(given)
    from dbsync import api

    public = api.generate_key(**settings.arguments())
    output.line(public)
    output.note(f"the secret key is in {settings.path}; without it no archive can be read")
    output.result({"public_key": public, "identity": settings.path})
