"""Calls through td-client: what is repeated, for how long, and what each failure is called."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from contextlib import closing
from typing import Any

import pytest

from dbsync.connectors.treasuredata import wire
from dbsync.connectors.treasuredata.address import Address
from dbsync.connectors.treasuredata.client import Api
from dbsync.connectors.treasuredata.failures import (
    SOURCE_REFUSED,
    TARGET_REFUSED,
    AnswerError,
)
from dbsync.errors import DatabaseError, SourceError, TargetError
from tests.servers.certificates import make_certificates
from tests.unit.connectors.treasuredata.scripted import (
    KEY,
    Answer,
    Scripted,
    Time,
    answer,
    api_for,
    cut,
    drop,
    scripted,
    stall,
)

JOB = {"job_id": "7"}


def issue(api: Api, **options: Any) -> str:
    """Send the one POST that most tests need."""
    return api.run("query shop", lambda api: api.query("SELECT 1", "trino", "shop"), **options)


def status(api: Api, **options: Any) -> str:
    """Send the one GET that most tests need."""
    return api.run("ask for job 7", lambda api: api.job_status("7"), **options)


def test_a_call_is_authorised_and_reaches_the_endpoint(time: Time) -> None:
    """A request carries the key as TD1, on a path without a doubled slash, in one attempt."""
    with scripted(answer(body=JOB)) as script:
        assert issue(api_for(script.host, time)) == "7"
    assert script.asked[0].path == "/v3/job/issue/trino/shop"
    assert script.asked[0].headers["authorization"] == f"TD1 {KEY}"
    assert b"SELECT 1" in script.asked[0].body
    assert time.waits == []


@pytest.mark.parametrize(
    "failing",
    [answer(500), answer(503), answer(408), answer(429), drop, cut(b'{"job_id": "7"', 200)],
    ids=["500", "503", "408", "429", "dropped", "mid-body"],
)
def test_a_post_that_may_pass_is_sent_again(failing: Answer, time: Time) -> None:
    """What td-client gives up at once (POST with 5xx, 429, drops, half a body) is tried again."""
    with scripted(failing, failing, answer(body=JOB)) as script:
        assert issue(api_for(script.host, time)) == "7"
    assert len(script.asked) == 3
    assert 0.5 <= time.waits[0] <= 1 <= time.waits[1] <= 2


@pytest.mark.parametrize(
    "failing",
    [answer(500), answer(502), drop, cut(b'{"status": "suc', 200), answer(body=b"<html>")],
    ids=["500", "502", "dropped", "mid-body", "gateway"],
)
def test_a_get_that_may_pass_is_sent_again(failing: Answer, time: Time) -> None:
    """A GET is repeated by us alone, with our pauses and not those of td-client."""
    with scripted(failing, failing, answer(body={"status": "success"})) as script:
        assert status(api_for(script.host, time)) == "success"
    assert len(script.asked) == 3


@pytest.mark.parametrize(
    "failing",
    [answer(503), answer(429), drop, cut(b'{"elapsed_time', 200)],
    ids=["503", "429", "dropped", "mid-body"],
)
def test_a_put_that_may_pass_is_sent_again_once_for_each_failure(
    failing: Answer, time: Time
) -> None:
    """A PUT goes out once per attempt: neither urllib3 nor td-client repeats below us."""
    with scripted(failing, answer(body={"elapsed_time": 1})) as script:
        sent = api_for(script.host, time).run(
            "send rows",
            lambda api: api.import_data("shop", "orders", "msgpack.gz", b"rows", 4),
        )
    assert sent == 1
    assert [asked.body for asked in script.asked] == [b"rows", b"rows"]


def test_a_stalled_answer_is_given_up_and_asked_for_again(
    time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that stays silent is left after the timeout, and the call goes on."""
    monkeypatch.setattr(wire, "_READ_S", 0.1)
    silent = threading.Event()
    with scripted(stall(silent), answer(body={"status": "success"})) as script:
        assert status(api_for(script.host, time)) == "success"
        silent.set()


def test_the_wish_of_a_throttling_service_is_respected(time: Time) -> None:
    """After 429 with Retry-After, and 503 alike, the pause is as long as the service asks for."""
    busy = answer(429, headers={"Retry-After": "40"})
    down = answer(503, headers={"Retry-After": "17"})
    with scripted(busy, down, answer(body=JOB)) as script:
        issue(api_for(script.host, time))
    assert time.waits == [40, 17]


def test_a_wish_beyond_the_time_allowed_ends_the_call_at_once(time: Time) -> None:
    """Nobody waits for a pause that cannot help any more."""
    with (
        scripted(answer(429, headers={"Retry-After": "601"})) as script,
        pytest.raises(SourceError) as caught,
    ):
        issue(api_for(script.host, time))
    assert time.waits == []
    assert "HTTP 429" in caught.value.message
    assert caught.value.retryable


def test_repetitions_end_in_time_and_the_status_is_told(time: Time) -> None:
    """Failures that never pass end within `timeout_s`, and the message has the last status."""
    with (
        scripted(*[answer(503, {"text": "in maintenance"})] * 50) as script,
        pytest.raises(SourceError) as caught,
    ):
        status(api_for(script.host, time, timeout_s=100))
    assert 60 < time.now <= 100
    assert "cannot ask for job 7" in caught.value.message
    assert "HTTP 503: in maintenance" in caught.value.message


def test_a_host_that_never_answered_is_not_tried_for_long(time: Time) -> None:
    """A refused connection is most often a wrong endpoint: it is told after seconds."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(SourceError, match="the connection was refused"):
        status(api_for(f"127.0.0.1:{port}", time))
    assert 0 < time.now <= 20


def test_an_endpoint_without_tls_is_not_tried_for_long(time: Time) -> None:
    """A port that speaks no TLS is told as such, after seconds and without a request."""
    with scripted() as script:
        address = Address(host=script.host, database="shop", key=KEY)
        api = Api(address, clock=time.clock, wait=time.wait)
        with pytest.raises(SourceError, match="no TLS connection could be made") as caught:
            status(api)
    assert time.now <= 20
    assert script.asked == []
    assert "check the endpoint" in (caught.value.hint or "")


def test_a_certificate_that_is_not_trusted_ends_at_once(
    time: Time, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A certificate of an authority that nobody knows is told with what is wrong, and nothing is
    sent: waiting makes it no better."""
    folder = tmp_path_factory.mktemp("certificates")
    certificates = make_certificates(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.certificate, certificates.key)
    with scripted(tls=context) as script:
        address = Address(host=script.host, database="shop", key=KEY)
        with pytest.raises(SourceError, match="its certificate is not trusted") as caught:
            status(Api(address, clock=time.clock, wait=time.wait))
    assert time.waits == []
    assert not caught.value.retryable
    assert script.asked == []


def test_a_host_that_has_answered_is_tried_to_the_end(time: Time) -> None:
    """A service that goes away during the work gets the whole time to come back."""
    last = answer(body={"status": "running"}, headers={"Connection": "close"})
    with scripted(last) as script:
        api = api_for(script.host, time)
        status(api)
    with pytest.raises(SourceError, match="cannot be reached"):
        status(api)
    assert time.now > 500


def test_garbage_is_not_asked_for_for_ever(time: Time) -> None:
    """A service that is none (a login page with status 200) ends after a few attempts."""
    with (
        scripted(*[answer(body=b"<html>sign in</html>")] * 5) as script,
        pytest.raises(SourceError, match="none of its API"),
    ):
        status(api_for(script.host, time))
    assert len(script.asked) == 3


def taken(error: AnswerError) -> str:
    """Read a 409 as the success of an attempt before."""
    if error.status != 409:
        raise error
    return str(error.fields["conflicts_with"])


CONFLICT = answer(409, {"error": "conflict", "conflicts_with": "7"})


@pytest.mark.parametrize("failing", [answer(500), drop], ids=["500", "dropped"])
def test_a_repetition_may_find_that_the_attempt_before_has_landed(
    failing: Answer, time: Time
) -> None:
    """`settled` turns the answer to a repetition into the first attempt's success."""
    with scripted(failing, CONFLICT) as script:
        assert issue(api_for(script.host, time), settled=taken) == "7"


@pytest.mark.parametrize("before", [[], [answer(429)]], ids=["first", "after-429"])
def test_an_answer_that_no_earlier_attempt_explains_stays_an_error(
    before: list[Answer], time: Time
) -> None:
    """`settled` is not asked where nothing of ours can have landed."""
    with scripted(*before, CONFLICT) as script, pytest.raises(SourceError, match="HTTP 409"):
        issue(api_for(script.host, time), settled=taken)


def test_settled_may_leave_an_answer_an_error(time: Time) -> None:
    """An answer that `settled` raises again ends the call."""
    with (
        scripted(drop, answer(422, {"text": "bad SQL"})) as script,
        pytest.raises(SourceError, match="HTTP 422: bad SQL") as caught,
    ):
        issue(api_for(script.host, time), settled=taken)
    assert not caught.value.retryable


def test_statuses_that_the_caller_reads_are_raised_as_they_are(time: Time) -> None:
    """`answers` names the statuses that mean something to the caller, with their fields."""
    with scripted(CONFLICT) as script, pytest.raises(AnswerError) as caught:
        issue(api_for(script.host, time), answers=(409,))
    assert caught.value.fields["conflicts_with"] == "7"


@pytest.mark.parametrize(
    ("side", "message"), [(SourceError, SOURCE_REFUSED), (TargetError, TARGET_REFUSED)]
)
@pytest.mark.parametrize(
    ("code", "hint"), [(401, "rejects the API key"), (403, "it may not query shop")]
)
def test_a_refused_key_has_the_message_of_its_side_and_a_hint_of_its_own(
    side: type[DatabaseError], message: str, code: int, hint: str, time: Time
) -> None:
    """The wanted message stands for all refusals of a side; the hint tells which it was."""
    refusal = answer(code, {"text": f"key {KEY} is unknown"})
    with scripted(refusal) as script, pytest.raises(side) as caught:
        issue(api_for(script.host, time, side=side))
    assert caught.value.message == message
    assert (caught.value.hint or "").startswith(f"{code}: ")
    assert hint in (caught.value.hint or "")
    assert time.waits == []


def test_an_unknown_database_is_the_third_refusal(time: Time) -> None:
    """404 of the database has the same message, and a hint about its name and the region."""
    refused = api_for("h.example", time).refused(404, "read it")
    assert refused.message == SOURCE_REFUSED
    assert "404: " in (refused.hint or "")
    assert "shop" in (refused.hint or "")


def test_the_key_appears_nowhere(time: Time, caplog: pytest.LogCaptureFixture) -> None:
    """Neither errors nor debug logs of any library hold the key, though the service repeats it."""
    caplog.set_level(logging.DEBUG)
    with scripted(answer(500), answer(422, {"text": f"no {KEY} here"})) as script:
        api = api_for(script.host, time)
        with pytest.raises(SourceError) as caught:
            issue(api)
        with scripted(answer(401, {"text": KEY})) as second:
            refused = api_for(second.host, time)
            with pytest.raises(SourceError) as also:
                status(refused)
    seen = f"{caplog.text} {caught.value} {also.value} {also.value.__cause__} {api!r} {api.address}"
    assert "REST POST call" in seen
    assert "HTTP 422: no *** here" in seen
    assert KEY not in seen


def test_a_bug_is_no_failure_of_the_service(time: Time) -> None:
    """An error of our own code, or of a file of ours, is neither repeated nor translated."""

    def broken(_: object) -> None:
        raise KeyError("bug")

    def unreadable(_: object) -> None:
        raise FileNotFoundError(2, "no such file", "part.gz")

    api = api_for("h.example", time)
    with pytest.raises(KeyError):
        api.run("fail", broken)
    with pytest.raises(FileNotFoundError):
        api.run("fail", unreadable)
    assert time.waits == []


def test_redirections_are_followed_for_reading_alone(time: Time) -> None:
    """A GET goes where it is sent, without the key on another host; a POST goes nowhere else."""
    with scripted(answer(body={"status": "success"})) as other, scripted() as script:
        away = answer(302, headers={"Location": f"http://{other.host}/v3/job/status/7"})
        script.answers[:] = [away, away]
        api = api_for(script.host, time)
        assert status(api) == "success"
        assert "authorization" not in other.asked[0].headers
        with pytest.raises(SourceError, match="HTTP 302"):
            issue(api)
    assert len(other.asked) == 1


def proxied(monkeypatch: pytest.MonkeyPatch, proxy: Scripted, no_proxy: str) -> None:
    monkeypatch.setenv("http_proxy", f"http://user:pass@{proxy.host}")
    monkeypatch.setenv("no_proxy", no_proxy)


def test_a_proxy_is_used_unless_no_proxy_names_the_host(
    time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NO_PROXY counts, which td-client leaves aside."""
    done = answer(body={"status": "success"})
    with scripted(done) as proxy, scripted(done) as direct:
        proxied(monkeypatch, proxy, "")
        status(api_for(direct.host, time))
        assert proxy.asked[0].path == f"http://{direct.host}/v3/job/status/7"
        assert "proxy-authorization" in proxy.asked[0].headers
        proxied(monkeypatch, proxy, "127.0.0.1")
        status(api_for(direct.host, time))
    assert len(direct.asked) == len(proxy.asked) == 1


def test_several_threads_share_one_account(time: Time) -> None:
    """Calls of several threads run side by side over connections of their own."""
    meeting = threading.Barrier(4, timeout=20)

    def together(handler: Any) -> None:
        meeting.wait()
        answer(body={"status": "success"})(handler)

    with scripted(*[together] * 4) as script:
        api = api_for(script.host, time)
        found: list[str] = []
        threads = [threading.Thread(target=lambda: found.append(status(api))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == ["success"] * 4
