"""A stored result in ranges: in order, resumed after drops, of one version, within bounds."""

from __future__ import annotations

import hashlib
import re
import threading
from typing import Any

import pytest

from dbsync.connectors.treasuredata.download import FIRST_BYTES, Download
from dbsync.connectors.treasuredata.jobs import Job
from dbsync.errors import SourceError
from tests.unit.connectors.treasuredata.scripted import (
    Answer,
    Scripted,
    Time,
    answer,
    api_for,
    cut,
    drop,
    scripted,
)

CONTENT = b"".join(hashlib.sha256(bytes([n & 255, n >> 8])).digest() for n in range(31_250))
PART = 150_000
ETAG = '"v1"'


def asked_range(headers: Any) -> tuple[int, int]:
    found = re.fullmatch(r"bytes=(\d+)-(\d+)", headers["range"])
    assert found is not None
    return int(found[1]), int(found[2]) + 1


def ranges(content: bytes = CONTENT, *, etag: str | None = ETAG) -> Answer:
    """Answer ranges of a content, as a server should."""

    def send(handler: Any) -> None:
        begin, end = asked_range(handler.headers)
        body = content[begin:end]
        headers = {"Content-Range": f"bytes {begin}-{end - 1}/{len(content)}"}
        if etag is not None:
            headers["ETag"] = etag
        answer(206, body, headers=headers)(handler)

    return send


def broken(kept: int, *, announced: bool = True) -> Answer:
    """Answer a range with its first bytes alone, announcing all of it or only those."""

    def send(handler: Any) -> None:
        begin, end = asked_range(handler.headers)
        body = CONTENT[begin : min(end, begin + kept)]
        place = f"bytes {begin}-{end - 1}/{len(CONTENT)}"
        if announced:
            cut(body, end - begin, 206, content_range=place, ETag=ETAG)(handler)
        else:
            answer(206, body, headers={"Content-Range": place, "ETag": ETAG})(handler)

    return send


def download(
    script: Scripted, time: Time, *, size: int = len(CONTENT), parallelism: int = 4
) -> Any:
    job = Job(id="7", rows=1, bytes=size)
    api = api_for(script.host, time)
    return Download(api, job, "read table orders", parallelism=parallelism, part_bytes=PART)


def test_the_parts_come_in_order_whichever_arrives_first(time: Time) -> None:
    """Several ranges are fetched side by side, without encoding, and put together in order."""
    late = threading.Event()

    def slow(handler: Any) -> None:
        late.wait(20)
        ranges()(handler)

    def fast(handler: Any) -> None:
        ranges()(handler)
        late.set()

    with scripted(ranges(), slow, fast, otherwise=ranges()) as script:
        assert b"".join(download(script, time).parts()) == CONTENT
    assert len(script.asked) == 8
    # Until the first has come, no other can be asked for.
    assert asked_range(script.asked[0].headers) == (0, FIRST_BYTES)
    assert {asked.path for asked in script.asked} == {"/v3/job/result/7?format=msgpack.gz"}
    assert {asked.headers["accept-encoding"] for asked in script.asked} == {"identity"}
    assert "if-range" not in script.asked[0].headers
    assert {asked.headers["if-range"] for asked in script.asked[1:]} == {ETAG}


@pytest.mark.parametrize(
    "failing",
    [drop, answer(503), answer(429, headers={"Retry-After": "3"}), broken(0), broken(100),
     broken(100_000), broken(100, announced=False), broken(149_999)],
    ids=["dropped", "503", "429", "no byte", "few bytes", "many bytes", "consistent", "last byte"],
)  # fmt: skip
def test_a_range_goes_on_where_it_stopped(failing: Answer, time: Time) -> None:
    """After any failure what has arrived is kept, and only the rest is asked for again; also
    where the answer is short and its length says that it is whole."""
    with scripted(failing, ranges(), failing, failing, otherwise=ranges()) as script:
        assert b"".join(download(script, time, parallelism=1).parts()) == CONTENT
    begins = [asked_range(asked.headers)[0] for asked in script.asked]
    assert begins == sorted(begins)


def test_progress_gives_a_range_its_time_again(time: Time) -> None:
    """A connection that drops after each piece takes as long as it takes: only attempts that
    bring next to nothing count against the timeout."""
    content = CONTENT[:PART]
    with scripted(*[broken(70_000)] * 2, otherwise=ranges(content)) as script:
        job = Job(id="7", rows=1, bytes=len(CONTENT))
        parts = Download(api_for(script.host, time), job, "read", part_bytes=PART)
        found = parts._fetch(0, 140_000)
    assert bytes(found) == CONTENT[:140_000]
    assert time.waits == []


def test_failures_without_progress_end_in_time(time: Time) -> None:
    """A range that brings nothing, however often it is asked for, is given up."""
    with scripted(otherwise=broken(10)) as script:
        parts = download(script, time).parts()
        with pytest.raises(SourceError, match="cannot read table orders"):
            next(parts)
    assert 500 < time.now <= 600


def whole(handler: Any) -> None:
    answer(200, CONTENT, headers={"ETag": ETAG})(handler)


def elsewhere(handler: Any) -> None:
    begin, end = asked_range(handler.headers)
    place = f"bytes {begin + 1}-{end}/{len(CONTENT)}"
    answer(206, CONTENT[begin + 1 : end + 1], headers={"Content-Range": place})(handler)


def longer(handler: Any) -> None:
    begin, end = asked_range(handler.headers)
    place = f"bytes {begin}-{end - 1}/{len(CONTENT)}"
    body = CONTENT[begin:end] + b"x"
    answer(206, body, headers={"Content-Range": place, "ETag": ETAG})(handler)


def nothing(handler: Any) -> None:
    begin, end = asked_range(handler.headers)
    place = f"bytes {begin}-{end - 1}/{len(CONTENT)}"
    answer(206, b"", headers={"Content-Range": place, "ETag": ETAG})(handler)


@pytest.mark.parametrize(
    ("before", "wrong", "words"),
    [
        ([], whole, "does not send ranges"),
        ([ranges()], whole, "has changed during the download"),
        ([ranges()], ranges(etag='"v2"'), "has changed during the download"),
        ([ranges()], ranges(etag=None), "has changed during the download"),
        ([], elsewhere, "another range than was asked for"),
        ([], answer(206, CONTENT[:PART]), "another range than was asked for"),
        ([], longer, "more than was asked for"),
        ([], nothing, "sends nothing of a range"),
        ([], ranges(CONTENT[:-1]), "has 999999 bytes where the job tells 1000000"),
        ([ranges()], answer(416), "shorter than the job tells"),
        ([ranges()], answer(404), "HTTP 404"),
        ([ranges()], answer(403), "Source database does not exist or access denied"),
    ],
    ids=["200", "200 later", "etag", "no etag", "place", "no place", "long", "empty", "size",
         "416", "404", "403"],
)  # fmt: skip
def test_an_answer_that_is_not_the_range_is_an_error(
    before: list[Answer], wrong: Answer, words: str, time: Time
) -> None:
    """Nothing but the bytes asked for, of the version that was begun with, is ever taken; an
    error of a range that is fetched in the background reaches the reader, which td-client
    swallows."""
    with (
        scripted(*before, otherwise=wrong) as script,
        pytest.raises(SourceError, match=words),
    ):
        list(download(script, time).parts())


def test_a_service_without_etags_is_read(time: Time) -> None:
    """Without an ETag the ranges are of one length at least."""
    with scripted(otherwise=ranges(etag=None)) as script:
        assert b"".join(download(script, time).parts()) == CONTENT


@pytest.mark.parametrize("parallelism", [1, 4])
def test_no_more_is_asked_for_than_the_window_holds(parallelism: int, time: Time) -> None:
    """However long the reader takes, only so many ranges are fetched before they are wanted."""
    content = bytes(100 * 1000)
    with scripted(otherwise=ranges(content)) as script:
        job = Job(id="7", rows=1, bytes=len(content))
        parts = Download(
            api_for(script.host, time), job, "read", parallelism=parallelism, part_bytes=1000
        ).parts()
        most = 0
        for number, _ in enumerate(parts, 1):
            most = max(most, len(script.asked) - number)
    assert most <= 2 * parallelism - 1


class Watched(threading.Event):
    """An event that notes when a download has looked at it, just before it waits for bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.looked = threading.Event()

    def is_set(self) -> bool:
        found = super().is_set()
        if threading.current_thread().name.startswith("dbsync-download"):
            self.looked.set()
        return found


def test_leaving_ends_what_is_being_downloaded(time: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever stops reading does not wait for a range that is stalled."""
    never = threading.Event()

    def stalled(handler: Any) -> None:
        begin, end = asked_range(handler.headers)
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes {begin}-{end - 1}/{len(CONTENT)}")
        handler.send_header("ETag", ETAG)
        handler.send_header("Content-Length", str(end - begin))
        handler.end_headers()
        handler.wfile.write(CONTENT[begin : begin + 10])
        handler.wfile.flush()
        never.wait(30)

    with scripted(ranges(), stalled, otherwise=stalled) as script:
        reading = download(script, time, parallelism=1)
        watched = Watched()
        monkeypatch.setattr(reading, "_stop", watched)
        parts = reading.parts()
        assert CONTENT.startswith(next(parts))

        def leave() -> None:
            watched.looked.wait(30)
            reading.stop()

        thread = threading.Thread(target=leave)
        thread.start()
        with pytest.raises(SourceError, match="cannot read table orders"):
            next(parts)
        thread.join()
        assert not never.is_set()
        never.set()
    assert not [t for t in threading.enumerate() if t.name.startswith("dbsync-download")]
