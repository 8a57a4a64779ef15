"""Settings of schedule and health."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from dbsync.config import Given, HealthSettings, Origin, ScheduleSettings
from dbsync.errors import UsageError

F, E = Origin.FLAG, Origin.ENVIRONMENT


def chosen(**options: object) -> Given:
    """Give options, each from the environment unless it says otherwise."""
    pairs = {n: v if isinstance(v, tuple) else (v, E) for n, v in options.items()}
    return Given({n: v for n, (v, _) in pairs.items()}, {n: o for n, (_, o) in pairs.items()}, {})


def schedule(**options: object) -> ScheduleSettings:
    usual = {"url": "sqlite:///a.sqlite", "archive": "backups/", "cron": "0 2 * * *"}
    return ScheduleSettings.of(chosen(**{**usual, **options}))


def test_the_usual() -> None:
    """Without a word about it: UTC, no jitter, three further attempts after a minute and more."""
    settings = schedule()
    assert (settings.timezone, settings.jitter, settings.retries) == ("UTC", timedelta(0), 3)
    assert settings.retry_pause == timedelta(minutes=1)
    assert settings.export.archive == "backups/"
    assert not settings.export.overwrite_archive
    assert not settings.export.dry_run


def test_once_makes_one_attempt_and_needs_no_expression() -> None:
    """What starts a single run repeats it itself, unless it asks for attempts."""
    assert schedule(once=True, cron=None).retries == 0
    assert schedule(once=True, retries=2).retries == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"archive": "a.dbsync.tar"}, "folder"),
        ({"archive": "-"}, "folder"),
        ({"cron": None}, "when to run"),
        ({"rehearse_every": 2, "rehearse_cron": "0 5 * * 0"}, "both say when"),
        ({"rehearse_every": 2, "encrypt_to": ["age1x"]}, "has to open them"),
        ({"jitter": "soon"}, "jitter"),
        ({"retry_pause": "0s"}, "retry-pause"),
    ],
)
def test_mistakes(options: dict[str, object], words: str) -> None:
    """What is missing or contradicts is found before anything begins."""
    with pytest.raises(UsageError, match=words):
        schedule(**options)


def test_health_prefers_the_stronger_place() -> None:
    """In a container both are set, and the state file is cheaper; a location named by hand wins."""
    both = {"state": "s.json", "archive": "backups/"}
    assert HealthSettings.of(chosen(**both)).state == Path("s.json")
    assert HealthSettings.of(chosen(**both)).archive is None
    by_hand = HealthSettings.of(chosen(state="s.json", archive=("backups/", F)))
    assert (by_hand.state, by_hand.archive) == (None, "backups/")
    assert by_hand.max_age == timedelta(hours=26)


@pytest.mark.parametrize("options", [{}, {"archive": "a.tar"}, {"state": "s", "max_age": "0s"}])
def test_health_mistakes(options: dict[str, object]) -> None:
    """Nothing to look at, a file in place of a folder, and no age at all are mistakes."""
    with pytest.raises(UsageError):
        HealthSettings.of(chosen(**options))
