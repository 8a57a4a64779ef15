"""The life of the service under a fake clock: due, missed, overlapping, failing, ending."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from dbsync.errors import ConflictError, LossError, SourceError, StorageError, UsageError
from dbsync.service.report import Started, Waiting
from dbsync.service.state import read_state, write_state
from tests.unit.service.life import START, FakeClock, Life, Told

NETWORK = StorageError("the store cannot be reached", retryable=True)
EXPIRED = StorageError("the credentials in AWS_SESSION_TOKEN have expired", hint="renew them")


def test_a_run_each_night() -> None:
    """Runs begin when the expression says, beginning with the first moment after the start."""
    life = Life()
    state = life.live(days=3)
    assert life.times("export") == ["03-02 02:00", "03-03 02:00", "03-04 02:00"]
    assert state.runs == 3
    assert [report.event for report in life.listener.reports] == ["success"] * 3


def test_everything_is_checked_before_the_first_wait() -> None:
    """The check comes first, and its failure ends the service with its own error."""
    life = Life()
    life.fail("check", SourceError("no such database"))
    with pytest.raises(SourceError, match="no such database"):
        life.live(days=1)
    assert life.calls == [("check", START)]
    assert not any(isinstance(event, Waiting) for event in life.listener.events)


def test_a_network_that_is_down_at_the_start_is_a_warning() -> None:
    """A server that may come back does not end the service before its first run."""
    life = Life()
    life.fail("check", NETWORK)
    life.live(days=1)
    assert life.listener.warnings == ["the store cannot be reached; it is tried again by each run"]
    assert life.times("export") == ["03-02 02:00"]


def test_a_failed_run_is_repeated_after_growing_pauses() -> None:
    """Pauses double, and a repeated run that succeeds counts as a success."""
    life = Life(retry_pause_s=60)
    life.fail("export", NETWORK, NETWORK, NETWORK)
    state = life.live(days=1)
    assert life.times("export") == ["03-02 02:00", "03-02 02:01", "03-02 02:03", "03-02 02:07"]
    assert (state.runs, state.failures, state.consecutive_failures) == (1, 0, 0)
    finals = [(report.attempt, report.final, report.event) for report in life.listener.reports]
    assert finals == [
        (1, False, "failure"),
        (2, False, "failure"),
        (3, False, "failure"),
        (4, True, "success"),
    ]


def test_attempts_are_bounded() -> None:
    """When the attempts are used up the run has failed, and the next night tries afresh."""
    life = Life(retries=2)
    life.fail("export", *[NETWORK] * 4)
    state = life.live(days=2)
    nights = [time[:5] for time in life.times("export")]
    assert nights == ["03-02"] * 3 + ["03-03"] * 2
    assert (state.runs, state.failures, state.consecutive_failures) == (1, 1, 0)
    assert life.listener.reports[2].final
    assert life.listener.reports[2].retry_at is None


def test_no_attempt_runs_into_the_next_run() -> None:
    """A pause that would reach the next run is not waited for: that run is the next attempt."""
    life = Life(cron="*/10 * * * *", retry_pause_s=400)
    life.fail("export", NETWORK, NETWORK)
    life.live(minutes=35)
    assert life.times("export") == ["03-01 12:10", "03-01 12:16", "03-01 12:20", "03-01 12:30"]


def test_a_pause_is_at_most_an_hour() -> None:
    """Doubling ends, so that many attempts stay within a day."""
    life = Life(cron="0 2 1 * *", retries=12, retry_pause_s=1000)
    life.fail("export", *[NETWORK] * 5)
    life.live(days=32)
    times = [time for name, time in life.calls if name == "export"]
    pauses = [(b - a).total_seconds() for a, b in pairwise(times)]
    assert pauses == [1000, 2000, 3600, 3600, 3600]


def test_an_attempt_goes_on_at_the_stage_that_failed() -> None:
    """An archive that is complete is not exported again because pruning failed."""
    life = Life(prunes=True, rehearses=True, rehearse_every=1)
    life.fail("prune", NETWORK)
    life.live(days=1)
    assert [name for name, _ in life.calls] == ["check", "export", "prune", "prune", "rehearse"]
    assert life.listener.reports[-1].pruned == 2


def test_what_time_does_not_heal_is_not_repeated() -> None:
    """A refusal to lose data fails the run at once; the service stays for the next night."""
    life = Life()
    life.fail("export", LossError("a value cannot be carried"))
    state = life.live(days=2)
    assert life.times("export") == ["03-02 02:00", "03-03 02:00"]
    assert state.failures == 1


def test_an_expired_credential_ends_the_service() -> None:
    """A failure that the checks meet again ends the service with that error, after it was told."""
    told = Told()
    life = Life(recipients=[told])
    life.fail("export", EXPIRED)
    life.on["check"] = _fail_after_start(life, EXPIRED)
    with pytest.raises(StorageError, match="AWS_SESSION_TOKEN") as caught:
        life.live(days=3)
    assert caught.value.exit_code == 5
    report = told.reports[-1]
    assert report is not None
    assert report.error is not None
    assert (report.error.stage, report.error.exit_code, report.final) == ("export", 5, True)


def test_a_full_disk_does_not_end_the_service() -> None:
    """Where the checks still pass, a failure is repeated and then left to the next night."""
    life = Life(retries=1)
    life.fail("export", *[StorageError("no space left")] * 2)
    state = life.live(days=2)
    assert life.times("export") == ["03-02 02:00", "03-02 02:01", "03-03 02:00"]
    assert state.runs == 1


def test_a_bug_in_one_run_is_not_the_end() -> None:
    """What nobody expected fails the run, says so with exit code 1, and the next night runs."""
    life = Life()
    surprises = [ZeroDivisionError("surprise")]

    def happen() -> None:
        if surprises:
            raise surprises.pop()

    life.on["export"] = happen
    life.live(days=2)
    first = life.listener.reports[0]
    assert first.error is not None
    assert (first.error.exit_code, first.error.retryable) == (1, False)
    assert "ZeroDivisionError" in first.error.message
    assert life.times("export") == ["03-02 02:00", "03-03 02:00"]


def test_runs_never_overlap() -> None:
    """A run that is due while another is under way is skipped, with a warning."""
    life = Life(cron="0 * * * *")
    lengths = [150.0]
    life.on["export"] = lambda: life.clock.pass_by(minutes=lengths.pop() if lengths else 1)
    life.live(hours=5, minutes=30)
    assert life.times("export") == ["03-01 13:00", "03-01 16:00", "03-01 17:00"]
    assert life.listener.warnings == [
        "the run of 2024-03-01 14:00 UTC is skipped: the one before took longer"
    ]


def test_missed_runs_are_made_up_for_once(tmp_path: Path) -> None:
    """After a week without the service one run is made at once, then the nights go on."""
    path = tmp_path / "state.json"
    before = Life(state=path)
    before.live(days=1)
    after = Life(state=path, clock=FakeClock(before.clock.time + timedelta(days=7)))
    after.live(days=1)
    assert after.times("export") == ["03-09 12:00", "03-10 02:00"]
    started = next(event for event in after.listener.events if isinstance(event, Started))
    assert started.late_s == pytest.approx(6 * 86400 + 10 * 3600)


def test_nothing_is_missed_without_a_state_or_of_another_timetable(tmp_path: Path) -> None:
    """A first start and a changed expression wait for their first moment."""
    path = tmp_path / "state.json"
    Life(state=path).live(days=1)
    after = Life(state=path, cron="0 4 * * *", clock=FakeClock(START + timedelta(days=2)))
    after.live(hours=17)
    assert after.times("export") == ["03-04 04:00"]


def test_a_clock_that_was_ahead_stops_nothing(tmp_path: Path) -> None:
    """A state from the future, left by a clock that was wrong, does not put off the next night."""
    path = tmp_path / "state.json"
    Life(state=path, clock=FakeClock(START + timedelta(days=900))).live(days=1)
    life = Life(state=path)
    life.live(days=1)
    assert life.times("export") == ["03-02 02:00"]


def test_a_signal_between_runs_ends_the_service_quietly(tmp_path: Path) -> None:
    """While it waits, a signal makes the service return; what it knows is kept."""
    path = tmp_path / "state.json"
    Life(state=path).live(days=1)
    state = read_state(path)
    assert state is not None
    assert state.last_success is not None
    assert state.last_success.archive == "backups/shop-20240302T020000Z.dbsync.tar"


def test_a_signal_during_a_run_is_passed_on_and_made_up_for(tmp_path: Path) -> None:
    """An interrupted run is no run: the signal comes out as it came, and a restart runs at once."""
    path = tmp_path / "state.json"
    life = Life(state=path)

    def interrupt() -> None:
        raise KeyboardInterrupt

    life.on["export"] = interrupt
    with pytest.raises(KeyboardInterrupt):
        life.live(days=1)
    again = Life(state=path, clock=FakeClock(life.clock.time + timedelta(minutes=5)))
    again.live(hours=1)
    assert again.times("export") == ["03-02 02:05"]


def test_a_signal_while_a_retry_is_awaited_is_between_runs() -> None:
    """Waiting for the next attempt counts as waiting."""
    life = Life()
    life.fail("export", NETWORK)
    life.live(hours=14, seconds=30)
    assert life.times("export") == ["03-02 02:00"]


def test_two_services_do_not_share_a_state_file(tmp_path: Path) -> None:
    """The second is refused while the first lives, and free to start afterwards."""
    path = tmp_path / "state.json"
    first, second = Life(state=path), Life(state=path, cron=None)
    refused: list[ConflictError] = []

    def start_another() -> None:
        with pytest.raises(ConflictError) as caught:
            second.service.run_once()
        refused.append(caught.value)

    first.on["export"] = start_another
    first.live(days=1)
    assert [error.exit_code for error in refused] == [8]
    second.service.run_once()
    assert second.times("export") == ["03-01 12:00"]


def test_jitter_delays_within_its_bound() -> None:
    """Runs begin at most the jitter later, not always at the same moment, and never earlier."""
    life = Life(jitter_s=600, cron="0 * * * *", chance=random.Random(1))  # noqa: S311
    life.live(hours=10)
    delays = [time.minute * 60 + time.second for name, time in life.calls if name == "export"]
    assert len(delays) >= 9
    assert all(0 <= delay <= 600 for delay in delays)
    assert len(set(delays)) > 5


def test_rehearsal_in_each_nth_run(tmp_path: Path) -> None:
    """Every third run rehearses the archive it made, counted across restarts."""
    path = tmp_path / "state.json"
    first = Life(state=path, rehearses=True, rehearse_every=3)
    first.live(days=2)
    assert first.times("rehearse") == []
    then = Life(state=path, rehearses=True, rehearse_every=3, clock=FakeClock(first.clock.time))
    then.live(days=5)
    assert then.times("rehearse") == ["03-04 02:00", "03-07 02:00"]


def test_rehearsal_at_moments_of_its_own() -> None:
    """A second expression rehearses the newest archive without exporting."""
    life = Life(rehearse_cron="0 5 * * 0")
    life.live(days=3)
    assert life.times("export") == ["03-02 02:00", "03-03 02:00", "03-04 02:00"]
    assert life.times("rehearse") == ["03-03 05:00"]


def test_of_two_that_were_missed_the_backup_comes_first(tmp_path: Path) -> None:
    """After days without the service, what is rehearsed is the archive that is then made."""
    path = tmp_path / "state.json"
    Life(state=path, rehearse_cron="0 1 * * *").live(hours=1)
    clock = FakeClock(START + timedelta(days=5))
    life = Life(state=path, rehearse_cron="0 1 * * *", clock=clock)
    life.live(hours=1)
    assert [name for name, _ in life.calls] == ["check", "export", "rehearse"]


def test_a_rehearsal_that_fails_fails_the_run() -> None:
    """Differences are reported with exit code 7; the archive counts as made all the same."""
    life = Life(rehearses=True, rehearse_every=1)
    life.passes = False
    state = life.live(days=1)
    report = life.listener.reports[0]
    assert report.error is not None
    assert (report.error.stage, report.error.exit_code) == ("rehearse", 7)
    assert "1 row is missing" in report.error.message
    assert report.rehearsal == "failed"
    assert state.last_success is not None
    assert state.last_rehearsal is not None
    assert state.last_rehearsal.passed_of is None


def test_one_run_and_no_more() -> None:
    """Once makes one run, returns its report, and raises what it failed with."""
    life = Life(cron=None, retries=0)
    assert life.service.run_once().rows == 7
    life.fail("export", NETWORK)
    with pytest.raises(StorageError, match="cannot be reached"):
        life.service.run_once()
    assert len(life.times("export")) == 2


def test_a_recipient_that_fails_is_a_warning() -> None:
    """Neither a webhook that is down nor a full disk for metrics fails a backup."""
    life = Life(recipients=[Told(StorageError("the webhook at x was not told: refused"))])
    assert life.service.run_once().event == "success"
    assert life.listener.warnings == ["the webhook at x was not told: refused"]


def test_a_wrong_configuration_is_told_once(tmp_path: Path) -> None:
    """A container that restarts again and again does not tell the same thing each time."""
    told = Told()
    for _ in range(3):
        life = Life(state=tmp_path / "state.json", recipients=[told])
        life.fail("check", EXPIRED)
        with pytest.raises(StorageError):
            life.live(days=1)
    assert [report is not None and report.event for report in told.reports] == ["failure"]


def test_a_state_that_cannot_be_written_is_a_warning(tmp_path: Path) -> None:
    """The note about a backup is worth less than the backup."""
    folder = tmp_path / "gone"
    folder.mkdir()
    life = Life(state=folder / "state.json")
    life.on["export"] = lambda: [file.unlink() for file in folder.iterdir()] and folder.rmdir()
    life.live(days=1)
    assert life.listener.reports[0].event == "success"
    assert "cannot write" in life.listener.warnings[0]


def test_a_file_of_something_else_is_not_overwritten(tmp_path: Path) -> None:
    """--state that names another file ends the service before it begins."""
    path = tmp_path / "precious.json"
    path.write_text('{"mine": 1}')
    with pytest.raises(UsageError, match="not a state file"):
        Life(state=path).live(days=1)
    assert path.read_text() == '{"mine": 1}'


def _fail_after_start(life: Life, error: StorageError) -> Callable[[], None]:
    def happen() -> None:
        if life.times("export"):
            raise error

    return happen


def test_another_location_begins_afresh(tmp_path: Path) -> None:
    """What was done for another folder says nothing about this one: nothing was missed here."""
    path = tmp_path / "state.json"
    before = Life(state=path)
    before.live(days=1)
    state = read_state(path)
    assert state is not None
    state.location = "elsewhere/"
    write_state(path, state)
    after = Life(state=path, clock=FakeClock(before.clock.time + timedelta(days=3)))
    assert after.live(hours=1).last_success is None
    assert after.times("export") == []


def test_a_check_that_cannot_reach_the_store_ends_nothing() -> None:
    """A failure that looks final stays open while the checks fail for a reason that passes."""
    life = Life(retries=0)
    life.fail("export", EXPIRED)
    life.on["check"] = _fail_after_start(life, NETWORK)
    life.live(days=2)
    assert life.times("export") == ["03-02 02:00", "03-03 02:00"]
