"""What a policy keeps: against a plain reference over random histories, and by example."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from dbsync.pipeline.retention import Candidate, Decision, RetentionPolicy, decide, span

BERLIN = ZoneInfo("Europe/Berlin")
ST_JOHNS = ZoneInfo("America/St_Johns")

# A little before and after these moments the clocks of the zone change, or a week or year ends.
EDGES = (
    (BERLIN, datetime(2025, 3, 30, 1, tzinfo=UTC)),  # an hour is left out
    (BERLIN, datetime(2025, 10, 26, 1, tzinfo=UTC)),  # an hour comes twice
    (ST_JOHNS, datetime(2010, 11, 7, 2, 31, tzinfo=UTC)),  # from 00:01 back to the day before
    (ZoneInfo("America/Havana"), datetime(2025, 3, 9, 5, tzinfo=UTC)),  # midnight is left out
    (ZoneInfo("Asia/Beirut"), datetime(2025, 10, 25, 21, tzinfo=UTC)),  # midnight back to 23:00
    (ZoneInfo("Pacific/Apia"), datetime(2011, 12, 30, 10, tzinfo=UTC)),  # a day is left out
    (ZoneInfo("Australia/Lord_Howe"), datetime(2025, 4, 5, 15, tzinfo=UTC)),  # half an hour
    (ZoneInfo("America/New_York"), datetime(2025, 1, 1, 5, tzinfo=UTC)),  # a year ends in W01
    (ZoneInfo("Asia/Kathmandu"), datetime(2021, 1, 3, 18, 15, tzinfo=UTC)),  # 2020-W53 ends
    (UTC, datetime(2024, 2, 29, tzinfo=UTC)),
    (timezone(timedelta(hours=14)), datetime(2025, 6, 30, 10, tzinfo=UTC)),
)


class _Reference:
    """The rules, word for word, for one archive at a time: slow and plain."""

    def __init__(
        self, history: Sequence[Candidate], policy: RetentionPolicy, zone: tzinfo, now: datetime
    ):
        self.history = [_utc(c) for c in history]
        self.policy, self.now = policy, now.astimezone(UTC)
        self.days = {
            c.key: datetime.fromtimestamp(c.moment.timestamp(), zone).date() for c in history
        }

    def keeps(self, one: Candidate) -> bool:
        one = _utc(one)
        if one.moment > self.now:
            return True
        group = [c for c in self.history if c.database == one.database and c.moment <= self.now]
        newer = [c for c in group if (c.moment, c.key) > (one.moment, one.key)]
        oldest = all((c.moment, c.key) >= (one.moment, one.key) for c in group)
        policy = self.policy
        young = policy.older_than is not None and one.moment + policy.older_than >= self.now
        return (
            not newer
            or (one.rehearsed and not any(c.rehearsed for c in newer))
            or len(newer) < policy.keep_last
            or young
            or self.last_of(lambda d: d, policy.keep_daily, one, newer, oldest)
            or self.last_of(lambda d: d.isocalendar()[:2], policy.keep_weekly, one, newer, oldest)
            or self.last_of(lambda d: (d.year, d.month), policy.keep_monthly, one, newer, oldest)
            or self.last_of(lambda d: d.year, policy.keep_yearly, one, newer, oldest)
        )

    def last_of(
        self,
        period: Callable[[date], object],
        count: int,
        one: Candidate,
        newer: Sequence[Candidate],
        oldest: bool,
    ) -> bool:
        """Of its period there is none newer (or it is the oldest), and a place is left for it."""

        if not count:
            return False
        later = {period(self.days[c.key]) for c in newer}
        return (period(self.days[one.key]) not in later or oldest) and len(later) < count


def _utc(one: Candidate) -> Candidate:
    return replace(one, moment=one.moment.astimezone(UTC))


COUNTS = ("keep_last", "keep_daily", "keep_weekly", "keep_monthly", "keep_yearly")
counts = st.integers(1, 4) | st.integers(5, 40)
ages = st.integers(0, 30) | st.integers(0, 24 * 800)
rules = st.sampled_from([*COUNTS, "older_than"])


@st.composite
def policies(draw: st.DrawFn) -> RetentionPolicy:
    """Draw few rules, so that what one of them does is not hidden by the others."""
    chosen = draw(st.sets(rules, min_size=1, max_size=1) | st.sets(rules))
    return RetentionPolicy(
        **{rule: draw(counts) for rule in COUNTS if rule in chosen},
        older_than=timedelta(hours=draw(ages)) if "older_than" in chosen else None,
    )


STEPS = (
    timedelta(minutes=1),
    timedelta(minutes=30),
    timedelta(hours=1),
    timedelta(hours=12),
    timedelta(days=1),
    timedelta(days=5),
)
PLACES = 64
"""Archives lie, or do not, in so many places around an edge, one step from one another."""


@st.composite
def histories(
    draw: st.DrawFn, edges: Sequence[tuple[tzinfo, datetime]] = EDGES
) -> tuple[list[Candidate], tzinfo, datetime]:
    """Draw archives of two databases around an edge, and the zone and moment to look at them."""
    home, edge = draw(st.sampled_from(edges))
    zone = draw(st.sampled_from([home, home, UTC]) | st.timezones())
    written = draw(st.sampled_from([UTC, zone]))
    step = draw(st.sampled_from(STEPS))
    history = [
        Candidate(
            key=f"{place * 7 % PLACES:02}",
            database="blog" if byte & 4 else "shop",
            moment=(edge + (place - PLACES // 2) * step).astimezone(written),
            rehearsed=byte & 24 == 0,
        )
        for place, byte in enumerate(draw(st.binary(min_size=PLACES, max_size=PLACES)))
        if byte & 1
    ]
    now = edge + draw(st.integers(-PLACES // 2, PLACES // 2) | st.just(PLACES // 2)) * step
    return history, zone, now.astimezone(written)


def _kept(decisions: dict[str, Decision]) -> set[str]:
    return {key for key, decision in decisions.items() if decision.keep}


@pytest.mark.parametrize("edge", range(len(EDGES)))
@settings(max_examples=40, deadline=None)
@given(data=st.data(), policy=policies())
def test_decisions_are_those_of_the_reference(
    edge: int, data: st.DataObject, policy: RetentionPolicy
) -> None:
    """Over random histories, zones and changes of clocks, exactly what the rules say is kept."""
    history, zone, now = data.draw(histories([EDGES[edge]]))
    decisions = decide(history, policy, zone=zone, now=now)
    reference = _Reference(history, policy, zone, now)
    assert set(decisions) == {c.key for c in history}
    assert _kept(decisions) == {c.key for c in history if reference.keeps(c)}
    assert all(decision.reasons for decision in decisions.values())


@settings(max_examples=50, deadline=None)
@given(histories(), policies())
def test_pruning_twice_takes_nothing_more(
    drawn: tuple[list[Candidate], tzinfo, datetime], policy: RetentionPolicy
) -> None:
    """What one run has kept, the same run repeated keeps."""
    history, zone, now = drawn
    kept = _kept(decide(history, policy, zone=zone, now=now))
    left = [c for c in history if c.key in kept]
    assert _kept(decide(left, policy, zone=zone, now=now)) == kept


@settings(max_examples=50, deadline=None)
@given(histories(), policies())
def test_the_pins_hold_under_every_policy(
    drawn: tuple[list[Candidate], tzinfo, datetime], policy: RetentionPolicy
) -> None:
    """The newest archive of each database, and the newest with a passed rehearsal, always stay."""
    history, zone, now = drawn
    decisions = decide(history, policy, zone=zone, now=now)
    for database in {c.database for c in history}:
        # Within one zone Python compares what the clocks show, which goes back in autumn.
        past = [
            (c.moment.astimezone(UTC), c.key, c.rehearsed)
            for c in history
            if c.database == database and c.moment.astimezone(UTC) <= now.astimezone(UTC)
        ]
        for group in (past, [one for one in past if one[2]]):
            if group:
                _, newest, _ = max(group)
                assert decisions[newest].keep


NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


def _at(*texts: str, zone: tzinfo = UTC, rehearsed: Sequence[str] = ()) -> list[Candidate]:
    return [
        Candidate(
            key=text,
            database="shop",
            moment=datetime.fromisoformat(text).replace(tzinfo=zone),
            rehearsed=text in rehearsed,
        )
        for text in texts
    ]


def _reasons(
    history: list[Candidate], zone: tzinfo = UTC, *, now: datetime = NOW, **rules: int
) -> dict[str, str]:
    decisions = decide(history, RetentionPolicy(**rules), zone=zone, now=now)
    return {
        key: ("" if decision.keep else "- ") + "; ".join(decision.reasons)
        for key, decision in decisions.items()
    }


def test_every_rule_that_keeps_an_archive_is_named() -> None:
    """The preview can say why each archive stays, and that no rule keeps the others."""
    history = _at("2026-06-30T02:00", "2026-06-30T01:00", "2026-06-29T01:00", "2026-06-28T01:00")
    assert _reasons(history, keep_last=1, keep_daily=2, keep_weekly=1) == {
        "2026-06-30T02:00": "last 1 of 1; daily 2026-06-30; weekly 2026-W27; newest complete",
        "2026-06-30T01:00": "- no rule keeps it",
        "2026-06-29T01:00": "daily 2026-06-29",
        "2026-06-28T01:00": "- no rule keeps it",
    }


def test_the_oldest_stays_while_a_rule_has_places_left() -> None:
    """A history may grow to the length that was asked for, as with restic."""
    history = _at("2026-06-30T02:00", "2026-06-20T02:00", "2026-06-03T02:00")
    assert _reasons(history, keep_monthly=12) == {
        "2026-06-30T02:00": "monthly 2026-06; newest complete",
        "2026-06-20T02:00": "- no rule keeps it",
        "2026-06-03T02:00": "oldest, monthly has 1 of 12",
    }


def test_age_counts_from_now_and_by_elapsed_time() -> None:
    """An archive of exactly the given age stays; an older one goes, whatever the clocks did."""
    history = _at("2025-10-27T00:00", "2025-10-26T00:00", "2025-10-25T23:59", zone=BERLIN)
    policy = RetentionPolicy(older_than=timedelta(hours=25))
    now = datetime(2025, 10, 27, tzinfo=BERLIN)
    found = decide(history, policy, zone=BERLIN, now=now)
    assert [d.reasons for d in found.values()] == [
        ("not older than 1 day 1 hour", "newest complete"),
        ("not older than 1 day 1 hour",),
        ("older than 1 day 1 hour",),
    ]


def test_age_and_counts_together_keep_what_either_keeps() -> None:
    """An archive goes only where it is old and no other rule keeps it."""
    policy = RetentionPolicy(keep_monthly=1, older_than=timedelta(days=1))
    history = _at("2026-07-01T11:00", "2026-06-30T11:00", "2026-05-31T11:00", "2026-05-30T11:00")
    found = decide(history, policy, zone=UTC, now=NOW)
    gone = {key: decision.reasons for key, decision in found.items() if not decision.keep}
    assert set(gone) == {"2026-06-30T11:00", "2026-05-31T11:00", "2026-05-30T11:00"}
    assert set(gone.values()) == {("older than 1 day, and no rule keeps it",)}


def test_the_newest_rehearsed_one_stays_behind_newer_ones() -> None:
    """The last archive that is known to restore outlives every policy."""
    history = _at(
        "2026-06-30T02:00",
        "2026-06-29T02:00",
        "2026-06-28T02:00",
        rehearsed=["2026-06-29T02:00", "2026-06-28T02:00"],
    )
    assert _reasons(history, keep_last=1) == {
        "2026-06-30T02:00": "last 1 of 1; newest complete",
        "2026-06-29T02:00": "newest that passed its rehearsal",
        "2026-06-28T02:00": "- no rule keeps it",
    }


def test_what_is_dated_in_the_future_takes_no_place() -> None:
    """An archive made under a wrong clock stays, and pushes no real one out."""
    history = _at("2099-01-01T00:00", "2026-06-30T02:00", "2026-06-29T02:00")
    assert _reasons(history, keep_last=1) == {
        "2099-01-01T00:00": "dated in the future",
        "2026-06-30T02:00": "last 1 of 1; newest complete",
        "2026-06-29T02:00": "- no rule keeps it",
    }


def test_a_day_that_comes_twice_is_one_day() -> None:
    """Where clocks go back over midnight, a day that is resumed counts once."""
    minute = timedelta(minutes=1)
    change = datetime(2010, 11, 7, 2, 31, tzinfo=UTC)
    history = [
        Candidate(key=key, database="shop", moment=change + after)
        for key, after in (
            ("day 6", -2 * minute),
            ("day 7 begins", -minute / 2),
            ("day 6 again", minute),
            ("day 7 again", 90 * minute),
        )
    ]
    assert _reasons(history, ST_JOHNS, keep_daily=2) == {
        "day 7 again": "daily 2010-11-07; newest complete",
        "day 6 again": "daily 2010-11-06",
        "day 7 begins": "- no rule keeps it",
        "day 6": "- no rule keeps it",
    }


@pytest.mark.parametrize(
    ("zone", "days"), [(UTC, "2026-06-29 2026-06-28"), (ZoneInfo("Asia/Tokyo"), "2026-06-29")]
)
def test_days_are_those_of_the_zone(zone: tzinfo, days: str) -> None:
    """The zone decides which archives share a day."""
    history = _at("2026-06-29T01:00", "2026-06-28T20:00")
    found = _reasons(history, zone, keep_daily=5)
    assert [text.split("; ")[0].removeprefix("daily ") for text in found.values()] == (
        days.split() if zone is UTC else [days, "oldest, daily has 1 of 5"]
    )


def test_weeks_belong_to_the_years_of_iso_8601() -> None:
    """The days around new year fall into one week, which the year does not cut."""
    history = _at("2025-01-05T02:00", "2024-12-31T02:00", "2024-12-29T02:00")
    assert _reasons(history, keep_weekly=2) == {
        "2025-01-05T02:00": "weekly 2025-W01; newest complete",
        "2024-12-31T02:00": "- no rule keeps it",
        "2024-12-29T02:00": "weekly 2024-W52",
    }


def test_policies_know_whether_they_say_anything() -> None:
    """A policy of zeros is none."""
    assert RetentionPolicy().is_empty
    assert not RetentionPolicy(keep_yearly=1).is_empty
    assert not RetentionPolicy(older_than=timedelta(0)).is_empty


def test_spans_are_written_as_people_say_them() -> None:
    """A span reads as people say it."""
    assert span(timedelta(days=30)) == "30 days"
    assert span(timedelta(hours=25)) == "1 day 1 hour"
    assert span(timedelta(minutes=90)) == "1 hour 30 minutes"
    assert span(timedelta(0)) == "0 seconds"
