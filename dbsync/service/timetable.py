"""When runs are due: a cron expression in a time zone.

What lives here: the use of the cronsim library, which follows Debian's cron where clocks change: a
fixed time that is skipped runs right after the gap, one that comes twice runs once. Must not know:
what runs.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from dbsync.config import find_zone
from dbsync.errors import UsageError

_SHORTHANDS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


class Timetable:
    """The moments that a cron expression of five fields names in a time zone."""

    def __init__(self, expression: str, zone: str, label: str = "--cron"):
        """Read the expression; raises `UsageError`, in which `label` names where it stands."""
        self.expression = " ".join(expression.split())
        self.zone = zone
        self._zone = find_zone(zone)
        self._fields = _SHORTHANDS.get(self.expression.lower(), self.expression)
        if len(self._fields.split()) != 5:
            raise UsageError(
                f"{label} {expression!r}: not five fields",
                hint="write minute, hour, day of month, month and day of week, such as '0 2 * * *'",
            )
        from cronsim import CronSimError

        try:
            self.after(datetime.now(UTC))
        except CronSimError as error:
            raise UsageError(
                f"{label} {expression!r}: {str(error).lower()}",
                hint="write minute, hour, day of month, month and day of week, such as '0 2 * * *'",
            ) from error
        except StopIteration as error:
            raise UsageError(f"{label} {expression!r} names no day that ever comes") from error

    def after(self, moment: datetime) -> datetime:
        """Return the first moment after `moment`, in UTC."""
        from cronsim import CronSim

        local = moment.astimezone(self._zone)
        due = next(CronSim(self._fields, local)).astimezone(UTC)
        # Where clocks are set back, a local time may lead to a moment that has passed already.
        while due <= moment:
            local += timedelta(hours=1)
            due = next(CronSim(self._fields, local)).astimezone(UTC)
        return due
