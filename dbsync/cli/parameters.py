"""Command line parameters that can also be set by variables.

What lives here: the option class behind every ``DBSYNC_<OPTION>``, and what became of each when
the command line was parsed. Must not know: which options there are.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from dbsync.config import Environment, Found, Given, Origin
from dbsync.config.environment import FILE_SUFFIX, PREFIX, parse_boolean

F = TypeVar("F", bound=Callable[..., Any])
Decorator = Callable[[F], F]

_FOUND = "dbsync.found"
_ENVIRONMENT = "dbsync.environment"


class _FromEnvironment(click.Parameter):
    """What options and arguments have in common: the variable, and its name in messages."""

    secret = False

    @property
    def variable(self) -> str:
        """Name the environment variable of this option."""
        names = [opt for opt in self.opts if opt.startswith("--")] or [self.name or ""]
        return PREFIX + names[0].lstrip("-").replace("-", "_").upper()

    @property
    def variables(self) -> list[str]:
        """List every variable that sets this option."""
        return [self.variable, self.variable + FILE_SUFFIX] if self.secret else [self.variable]

    def process_value(self, ctx: click.Context, value: Any) -> Any:
        """Convert and check a value; a bad one from the environment is reported as such."""
        try:
            return super().process_value(ctx, value)
        except click.BadParameter as error:
            found = _found(ctx).get(self.name or "")
            if found is None or _origin(ctx, self.name or "") is Origin.FLAG:
                raise
            message = f"{error.message.rstrip('.')} (from {found.variable})"
            raise click.BadParameter(message, ctx=ctx, param=self) from error


class Option(_FromEnvironment, click.Option):
    """A command line option that can also be set by ``DBSYNC_<OPTION>``.

    A `secret` one also by ``DBSYNC_<OPTION>_FILE``. An option that may be repeated takes one
    value a line from its variable.
    """

    def __init__(self, *args: Any, secret: bool = False, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.secret = secret

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Document the variables behind the help text."""
        record = super().get_help_record(ctx)
        if record is None:
            return None
        return record[0], f"{record[1]}  [env: {', '.join(self.variables)}]"


class Argument(_FromEnvironment, click.Argument):
    """A positional argument that can also be set by its variable; a `secret` one also by a file."""

    def __init__(self, *args: Any, secret: bool = False, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.secret = secret


def option(*names: str, **settings: Any) -> Decorator[Any]:
    """Declare one option of class `Option`."""
    return click.option(*names, cls=Option, **settings)


def combine(*decorators: Decorator[Any]) -> Decorator[Any]:
    """Make one decorator of several; help lists their options in the order given."""

    def apply(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return apply


def given(ctx: click.Context) -> Given:
    """Gather the values of a parsed command with where each came from."""
    origins: dict[str, Origin] = {}
    labels: dict[str, str] = {}
    for param in ctx.command.params:
        if isinstance(param, _FromEnvironment) and param.name:
            origin = _origin(ctx, param.name)
            found = _found(ctx).get(param.name)
            if origin in {Origin.ENVIRONMENT, Origin.ENV_FILE} and found is not None:
                labels[param.name] = found.variable
            elif isinstance(param, Option):
                # --no-upsert is called so, and not --upsert.
                negative = param.secondary_opts and ctx.params.get(param.name) is False
                labels[param.name] = (param.secondary_opts if negative else param.opts)[0]
            else:
                labels[param.name] = param.name
            origins[param.name] = origin
    return Given(ctx.params, origins, labels)


def environment(ctx: click.Context) -> Environment:
    """Return the variables that the command of `ctx` was configured from."""
    return ctx.meta[_ENVIRONMENT]


def _found(ctx: click.Context) -> dict[str, Found]:
    return ctx.meta.get(_FOUND, {})


def _origin(ctx: click.Context, name: str) -> Origin:
    source = ctx.get_parameter_source(name)
    if source is ParameterSource.COMMANDLINE:
        return Origin.FLAG
    if source is ParameterSource.DEFAULT_MAP:
        return _found(ctx)[name].origin
    return Origin.DEFAULT


def load_environment(ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """Look up every option of the command; runs before all others, because it is eager."""
    if ctx.resilient_parsing:
        return value
    # Where the file is cannot stand in the file.
    path = value or os.environ.get(f"{PREFIX}ENV_FILE") or None
    variables = Environment.load(os.environ, path)
    found: dict[str, Found] = {}
    defaults: dict[str, Any] = {}
    for param in ctx.command.params:
        if not isinstance(param, _FromEnvironment) or param.name in (None, "env_file"):
            continue
        hit = variables.find(param.variable, secret=param.secret)
        if hit is not None:
            found[param.name] = hit
            defaults[param.name] = _convert(param, hit)
    ctx.default_map = defaults
    ctx.meta[_FOUND] = found
    ctx.meta[_ENVIRONMENT] = variables
    return path


def _convert(param: click.Parameter, hit: Found) -> Any:
    if isinstance(param, click.Option) and param.is_flag:
        return parse_boolean(hit.value, hit.variable)
    if param.multiple:
        return tuple(line for line in hit.value.splitlines() if line.strip())
    return hit.value
