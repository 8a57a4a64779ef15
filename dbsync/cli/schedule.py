"""The command ``dbsync schedule``."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
import msgspec

from dbsync.cli import options, treasure_data
from dbsync.cli.parameters import combine, option
from dbsync.cli.progress import watching
from dbsync.cli.retention import retention_options
from dbsync.cli.session import begin
from dbsync.config import ScheduleSettings, redact

if TYPE_CHECKING:
    from dbsync.api import OnEvent
    from dbsync.cli.output import Output
    from dbsync.service.report import Recipient
    from dbsync.service.scheduler import Plan

_when = combine(
    option(
        "--cron",
        metavar="EXPR",
        help="When to run: minute, hour, day of month, month, day of week, such as '0 2 * * *'; "
        "also @daily and the like.",
    ),
    option(
        "--timezone",
        metavar="ZONE",
        help="Time zone of --cron and of the days that are kept, such as Europe/Berlin.  "
        "[default: UTC]",
    ),
    option("--jitter", metavar="SPAN", help="Begin up to so much later, at random, such as 10m."),
    option("--once", is_flag=True, help="Make one run now, and end with its exit code."),
    option(
        "--retries",
        type=click.IntRange(0, 100),
        help="How often to repeat a run that failed.  [default: 3, with --once 0]",
    ),
    option(
        "--retry-pause",
        metavar="SPAN",
        help="Pause before the first repetition; each further one is twice as long, at most an "
        "hour.  [default: 1m]",
    ),
    option(
        "--rehearse-every",
        type=click.IntRange(1, 10_000),
        metavar="N",
        help="Rehearse the archive of every Nth run.",
    ),
    option("--rehearse-cron", metavar="EXPR", help="Rehearse the newest archive at these times."),
    option(
        "--rehearse-url",
        secret=True,
        metavar="URL",
        help="An empty database to rehearse in.  [default: a temporary SQLite file]",
    ),
)

_reports = combine(
    option(
        "--state",
        type=click.Path(),
        metavar="FILE",
        help="Remember here what was done, so that a restart makes up for a missed run.",
    ),
    option(
        "--webhook",
        secret=True,
        metavar="URL",
        help="POST a JSON object here when a run has succeeded or failed.",
    ),
    option(
        "--metrics",
        type=click.Path(),
        metavar="FILE",
        help="Write numbers for Prometheus into this file.",
    ),
)


@click.command(short_help="Back up by a timetable.")
@options.folder_argument
@_when
@retention_options
@_reports
@options.storage_options
@options.database_options
@options.table_options
@options.row_options
@treasure_data.reading_options
@options.schema_option
@options.include_schema_option(
    default=True, help_text="Carry keys, indexes, views and other definitions."
)
@options.encoding_options(level=3)
@options.encrypt_option
@options.identity_option
@options.jobs_option
@options.strict_option
@options.progress_option
@options.common_options
@click.pass_context
def schedule(ctx: click.Context, **_values: object) -> None:
    """Export into the folder LOCATION (or DBSYNC_ARCHIVE) again and again, by --cron.

    Each run exports, then prunes if anything is to be kept, then rehearses if that is asked for.
    Everything is checked first; then the service runs until a signal ends it: with exit code 0
    between runs, and otherwise with that of the signal, leaving nothing behind.
    """
    given, output = begin(ctx)
    settings = ScheduleSettings.of(given)
    output.redactor.learn_url(settings.export.url)
    output.if_interrupted = "no archive was left behind; a restart makes up for this run"
    from dbsync.cli.schedule_events import Printer
    from dbsync.service.clock import SystemClock
    from dbsync.service.scheduler import Service
    from dbsync.service.steps import library_steps

    @contextmanager
    def watch_step(step: str) -> Generator[OnEvent]:
        with watching(output, step, show=given.flag("progress")) as watch:
            yield watch.on_event

    service = Service(
        _plan(settings),
        library_steps(settings, watch_step),
        clock=SystemClock(),
        listen=Printer(output),
        recipients=_recipients(settings, output),
    )
    if settings.once:
        output.result(msgspec.to_builtins(service.run_once()))
    else:
        output.result(msgspec.to_builtins(service.serve()))


def _plan(settings: ScheduleSettings) -> Plan:
    from dbsync.service.scheduler import Plan
    from dbsync.service.timetable import Timetable

    zone = settings.timezone
    rehearsals = settings.rehearse_cron
    return Plan(
        location=redact(settings.export.archive),
        timetable=Timetable(settings.cron, zone) if settings.cron is not None else None,
        jitter_s=settings.jitter.total_seconds(),
        retries=settings.retries,
        retry_pause_s=settings.retry_pause.total_seconds(),
        rehearse_every=settings.rehearse_every,
        rehearsals=Timetable(rehearsals, zone, "--rehearse-cron") if rehearsals else None,
        state=settings.state,
    )


def _recipients(settings: ScheduleSettings, output: Output) -> list[Recipient]:
    from dbsync.service.metrics import MetricsFile
    from dbsync.service.webhook import Webhook

    recipients: list[Recipient] = []
    if settings.metrics is not None:
        recipients.append(MetricsFile(settings.metrics))
    if settings.webhook is not None:
        recipients.append(Webhook(settings.webhook, output.redactor.clean_value))
    return recipients
