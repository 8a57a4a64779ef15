"""Which archives a policy keeps and which may go, with the reason for each.

What lives here: a pure decision over moments. Must not know: where archives are, what is in them,
which clock is used.

The rules are those of ``restic forget`` (restic documentation, "Removing snapshots according to a
policy"), for each database by itself. An archive stays if any rule keeps it:

- ``keep_last`` N: the N newest.
- ``keep_daily`` N: the last archive of each day, for the N newest days that have one. Weekly,
  monthly and yearly are the same; weeks are those of ISO 8601. While a rule has places left, the
  oldest archive takes one, so that a history can grow to the length that the rule asks for.
- ``older_than``: whatever is not older than that, counted in elapsed time.

Days begin at midnight of a time zone; where clocks are set back over midnight, a day that comes
twice is one day. Beyond every policy, three things stay: the newest archive, the newest one whose
rehearsal passed, and archives dated in the future, which a wrong clock made; those also count for
no rule, or they would push out real ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import groupby
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec

from dbsync.errors import UsageError

Count = Annotated[int, msgspec.Meta(ge=0)]


class RetentionPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What to keep; a rule of 0, or None, is not there. See the module for what each means."""

    keep_last: Count = 0
    keep_daily: Count = 0
    keep_weekly: Count = 0
    keep_monthly: Count = 0
    keep_yearly: Count = 0
    older_than: timedelta | None = None

    @property
    def is_empty(self) -> bool:
        """Say whether there is no rule at all."""
        return not self.has_keep_rules and self.older_than is None

    @property
    def has_keep_rules(self) -> bool:
        """Say whether any rule counts archives, days, weeks, months or years."""
        return any(
            (
                self.keep_last,
                self.keep_daily,
                self.keep_weekly,
                self.keep_monthly,
                self.keep_yearly,
            )
        )


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A complete archive, as far as retention looks at it."""

    key: str
    database: str
    moment: datetime
    """With a time zone."""
    rehearsed: bool = False
    """Its last rehearsal passed."""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """Whether an archive stays, and every reason for it."""

    keep: bool
    reasons: tuple[str, ...]


def decide(
    candidates: Iterable[Candidate], policy: RetentionPolicy, *, zone: tzinfo, now: datetime
) -> dict[str, Decision]:
    """Decide about every candidate, by its key; the keys must differ.

    `zone` says where days begin, and `now` carries a time zone. The order of the candidates does
    not matter; of two made at one moment, the one whose key sorts last counts as the newer.
    """
    # Two moments of one zone compare, and subtract, by the clock on the wall: UTC has no such gap.
    now = now.astimezone(UTC)
    in_utc = (msgspec.structs.replace(c, moment=c.moment.astimezone(UTC)) for c in candidates)
    newest_first = sorted(in_utc, key=lambda c: (c.database, c.moment, c.key), reverse=True)
    decisions: dict[str, Decision] = {}
    for _, group in groupby(newest_first, key=lambda c: c.database):
        decisions |= _decide_one(list(group), policy, zone, now)
    return decisions


def find_zone(name: str) -> tzinfo:
    """Find a time zone by its IANA name; raises `UsageError` for one that is not known here."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise UsageError(
            f"{name!r} is not a time zone of this system",
            hint="use a name such as Europe/Berlin; Debian has them in the package tzdata",
        ) from error


def span(time: timedelta) -> str:
    """Write a time span of retention: ``30 days``, ``1 day 12 hours``."""
    left = round(time.total_seconds())
    words: list[str] = []
    for unit, seconds in (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1)):
        number, left = divmod(left, seconds)
        if number:
            words.append(f"{number} {unit}{'' if number == 1 else 's'}")
    return " ".join(words) or "0 seconds"


def _decide_one(
    newest_first: Sequence[Candidate], policy: RetentionPolicy, zone: tzinfo, now: datetime
) -> dict[str, Decision]:
    reasons: dict[str, list[str]] = {c.key: [] for c in newest_first}
    past = [c for c in newest_first if c.moment <= now]
    for candidate in newest_first[: len(newest_first) - len(past)]:
        reasons[candidate.key].append("dated in the future")
    for candidate, reason in _kept(past, policy, zone):
        reasons[candidate.key].append(reason)
    for candidate in past:
        if policy.older_than is not None and now - candidate.moment <= policy.older_than:
            reasons[candidate.key].append(f"not older than {span(policy.older_than)}")
    if past:
        reasons[past[0].key].append("newest complete")
    for candidate in (c for c in past if c.rehearsed):
        reasons[candidate.key].append("newest that passed its rehearsal")
        break
    gone = Decision(keep=False, reasons=(_why_gone(policy),))
    return {key: Decision(keep=True, reasons=tuple(r)) if r else gone for key, r in reasons.items()}


def _kept(
    newest_first: Sequence[Candidate], policy: RetentionPolicy, zone: tzinfo
) -> Iterator[tuple[Candidate, str]]:
    for number, candidate in enumerate(newest_first[: policy.keep_last], 1):
        yield candidate, f"last {number} of {policy.keep_last}"
    for count, name, period in (
        (policy.keep_daily, "daily", "%Y-%m-%d"),
        (policy.keep_weekly, "weekly", "%G-W%V"),
        (policy.keep_monthly, "monthly", "%Y-%m"),
        (policy.keep_yearly, "yearly", "%Y"),
    ):
        yield from _last_of_each(newest_first, count, name, _labels(zone, period))


def _last_of_each(
    newest_first: Sequence[Candidate], count: int, name: str, label: Callable[[datetime], str]
) -> Iterator[tuple[Candidate, str]]:
    seen: set[str] = set()
    for candidate in newest_first:
        if len(seen) == count:
            return
        period = label(candidate.moment)
        if period not in seen:
            seen.add(period)
            yield candidate, f"{name} {period}"
        elif candidate is newest_first[-1]:
            yield candidate, f"oldest, {name} has {len(seen)} of {count}"


def _labels(zone: tzinfo, period: str) -> Callable[[datetime], str]:
    return lambda moment: moment.astimezone(zone).strftime(period)


def _why_gone(policy: RetentionPolicy) -> str:
    if policy.older_than is None:
        return "no rule keeps it"
    older = f"older than {span(policy.older_than)}"
    return f"{older}, and no rule keeps it" if policy.has_keep_rules else older
