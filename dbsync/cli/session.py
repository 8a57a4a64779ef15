"""What every command does around its one call: settle the output, learn secrets, give hints.

Must not know: which command runs.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from dbsync.cli.parameters import Argument, Option, environment, given
from dbsync.config import Given, Origin
from dbsync.config.environment import FILE_SUFFIX, PREFIX
from dbsync.config.treasure_data import KEY_OPTIONS
from dbsync.config.url import has_password
from dbsync.errors import UsageError

if TYPE_CHECKING:
    from dbsync.cli.output import Output

_STANDARD_STREAMS = {"-", "/dev/stdin", "/dev/stdout"}
_AMAZON_SECRETS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_URL_OPTIONS = ("url", "source", "target", "against", "rehearse_url")
_SECRETS = ("password", *KEY_OPTIONS)


def begin(ctx: click.Context) -> tuple[Given, Output]:
    """Apply the common options to the output; returns what was given, and that output."""
    output: Output = ctx.obj
    chosen = given(ctx)
    output.json = chosen.flag("as_json")
    output.log_json = chosen.text("log_format") == "json"
    output.verbose = chosen.flag("verbose")
    output.debug = chosen.flag("debug")
    _learn_secrets(chosen, output)
    _warn_of_misspelt(ctx, output)
    _warn_of_open_identities(ctx, chosen, output)
    _explain(chosen, output)
    return chosen, output


def check_pipes(archive: str, output: Output, *, writes: bool) -> None:
    """Refuse to read an archive from a terminal or write one to it; raises `UsageError`."""
    if archive not in _STANDARD_STREAMS:
        return
    if writes:
        if sys.stdout.isatty():
            raise UsageError(
                "an archive is not written to a terminal",
                hint="send it into a pipe or a file: dbsync export - > FILE.dbsync.tar",
            )
        output.stdout_is_archive = True
    elif sys.stdin.isatty():
        raise UsageError(
            "an archive is not read from a terminal",
            hint="name a file, or send one in: dbsync export - ... | dbsync import - ...",
        )


def _learn_secrets(chosen: Given, output: Output) -> None:
    for name in _URL_OPTIONS:
        url = chosen.text(name)
        if url is not None:
            output.redactor.learn_url(url)
    for name in KEY_OPTIONS:
        output.redactor.learn((chosen.text(name) or "").strip())
    # All of a webhook's URL is one: many services put a token into its path.
    output.redactor.learn(chosen.text("webhook") or "")
    for variable in _AMAZON_SECRETS:
        output.redactor.learn(os.environ.get(variable, ""))


def _warn_of_misspelt(ctx: click.Context, output: Output) -> None:
    for variable, meant in environment(ctx).misspelt(all_variables(ctx.find_root().command)):
        output.warn(f"{variable} is set but means nothing to dbsync; did you mean {meant}?")


def _warn_of_open_identities(ctx: click.Context, chosen: Given, output: Output) -> None:
    texts = list(chosen.texts("identities"))
    if not texts:
        return
    from dbsync import api

    file = environment(ctx).find(f"{PREFIX}IDENTITY{FILE_SUFFIX}")
    named = file is not None and chosen.label("identities") == file.variable
    for path in [file.value] if file is not None and named else texts:
        if api.readable_by_others(path):
            output.warn(f"others may read the identity file {path}: chmod 600 makes it yours alone")


def all_variables(root: click.Command) -> set[str]:
    """Collect the variables of every command below `root`."""
    if isinstance(root, click.Group):
        return set[str]().union(*map(all_variables, root.commands.values()))
    return {
        variable
        for param in root.params
        if isinstance(param, Option | Argument)
        for variable in param.variables
    }


def _explain(chosen: Given, output: Output) -> None:
    """Under --verbose, say what was set where, and warn of a password others can see."""
    if not output.verbose:
        return
    for label, origin, _ in chosen.settings():
        if origin in (Origin.ENVIRONMENT, Origin.ENV_FILE):
            place = "the environment" if origin is Origin.ENVIRONMENT else "the .env file"
            output.note(f"{label} is taken from {place}")
    visible = [
        chosen.label(name)
        for name in (*_URL_OPTIONS, *_SECRETS)
        if chosen.origin(name) is Origin.FLAG
        and (name in _SECRETS or has_password(chosen.text(name) or ""))
    ]
    if visible:
        variable = PREFIX + visible[0].lstrip("-").replace("-", "_").upper()
        output.note(
            f"the secret in {visible[0]} can be seen in the list of processes; "
            f"{variable} or {variable}_FILE keeps it hidden"
        )
