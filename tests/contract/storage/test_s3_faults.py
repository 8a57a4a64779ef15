"""S3 behind a network and a store that fail in every way: what is read and written stays right."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from dbsync.errors import ConflictError, DbsyncError, StorageError
from dbsync.storage.options import StorageOptions
from dbsync.storage.s3 import S3Storage
from dbsync.storage.s3.calls import Patience
from tests.servers import proxy as faults
from tests.servers.proxy import Proxy, Request
from tests.servers.s3 import ENVIRONMENT, S3Server

KEY = "shop.dbsync.tar"
MIB = 1 << 20
PART = 5 * MIB
IMPATIENT = Patience(
    connect_s=20,
    read_s=20,
    attempts=5,
    first_attempts=3,
    total_s=60,
    first_delay_s=0.001,
    longest_delay_s=0.01,
)
SHORT_OF_TIME = msgspec.structs.replace(IMPATIENT, read_s=0.5)
PASSING = {
    "500": faults.status(500, "InternalError"),
    "502 of a gateway": faults.status(502),
    "503 SlowDown": faults.status(503, "SlowDown"),
    "429": faults.status(429),
    "429 with a time": faults.status(429, **{"Retry-After": "1"}),
    "reset": faults.reset,
    "lost answer": faults.lose_answer,
    "stall": faults.stall,
}


class Bucket:
    """A bucket behind a proxy, with plain eyes on what is really in it."""

    def __init__(self, server: S3Server, proxy: Proxy):
        self.name = server.bucket()
        self.proxy = proxy
        self.plain = server.client()

    def store(self, patience: Patience = IMPATIENT, **options: Any) -> S3Storage:
        settings = {"s3_endpoint": self.proxy.url, "s3_part_bytes": PART, **options}
        return S3Storage(self.name, "", StorageOptions(**settings), patience=patience)

    def objects(self) -> list[str]:
        found = self.plain.list_objects_v2(Bucket=self.name)
        return [item["Key"] for item in found.get("Contents", [])]

    def uploads(self) -> list[str]:
        found = self.plain.list_multipart_uploads(Bucket=self.name)
        return [item["Key"] for item in found.get("Uploads", [])]

    def content(self, key: str = KEY) -> bytes:
        return self.plain.get_object(Bucket=self.name, Key=key)["Body"].read()


@pytest.fixture
def proxy(s3_server: S3Server) -> Iterator[Proxy]:
    with Proxy(s3_server.port) as running:
        yield running


@pytest.fixture
def bucket(s3_server: S3Server, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return Bucket(s3_server, proxy)


def data(size: int) -> bytes:
    return b"".join(b"%07d\n" % number for number in range(-(-size // 8)))[:size]


def put(store: S3Storage, content: bytes, key: str = KEY, *, overwrite: bool = False) -> None:
    with store.put_stream(key, overwrite=overwrite) as writer:
        writer.write(content)


def is_publishing(request: Request) -> bool:
    return request.is_complete or (request.method == "PUT" and not request.query)


def is_anything(_request: Request) -> bool:
    return True


@pytest.mark.parametrize("name", PASSING)
@pytest.mark.parametrize("size", [100, 2 * PART + 7])
def test_what_passes_by_itself_is_tried_again(bucket: Bucket, name: str, size: int) -> None:
    """Every request of a write and of a read fails once in this way, and both come out whole."""
    failed: set[tuple[str, str, str]] = set()

    def first_time(request: Request) -> bool:
        kind = (request.method, request.path, str(sorted(request.query)))
        part = str(request.query.get("partNumber"))
        if (*kind[:2], kind[2] + part) in failed:
            return False
        failed.add((*kind[:2], kind[2] + part))
        return True

    bucket.proxy.fail(first_time, PASSING[name], times=1000)
    store, content = bucket.store(_patience(name)), data(size)
    put(store, content)
    with store.open(KEY, version=store.stat(KEY).version) as stream:
        assert stream.read() == content
    assert [info.key for info in store.list()] == [KEY]
    assert (bucket.content(), bucket.objects()) == (content, [KEY])
    if name != "lost answer":  # an upload whose id was lost is removed when its writer is gone
        assert bucket.uploads() == []
    assert len(failed) >= 5


def _patience(fault: str) -> Patience:
    return SHORT_OF_TIME if "stall" in fault else IMPATIENT


@pytest.mark.parametrize("name", [name for name in PASSING if name != "lost answer"])
@pytest.mark.parametrize("size", [100, 2 * PART + 7])
def test_what_does_not_pass_leaves_nothing(bucket: Bucket, name: str, size: int) -> None:
    """A part, or the publishing, that always fails ends with exit code 5 and leaves no trace."""
    bucket.proxy.fail(is_publishing, PASSING[name], times=1000)
    with pytest.raises(StorageError, match="cannot write s3://") as caught:
        put(bucket.store(_patience(name)), data(size))
    assert (caught.value.exit_code, caught.value.retryable) == (5, True)
    assert bucket.proxy.count(is_publishing) == IMPATIENT.attempts
    assert bucket.objects() == []
    assert bucket.uploads() == []


@pytest.mark.parametrize("size", [100, 2 * PART + 7])
def test_a_lost_answer_to_publishing_is_found_out(bucket: Bucket, size: int) -> None:
    """Where every answer to publishing is lost, the object itself says that it is this one."""
    bucket.proxy.fail(is_publishing, faults.lose_answer, times=1000)
    put(bucket.store(), data(size))
    assert bucket.content() == data(size)


def test_a_failing_part_ends_the_write_early(bucket: Bucket) -> None:
    """The writer hears of a part that was refused while it writes, not only at the end."""
    bucket.proxy.fail(lambda r: r.is_part(1), faults.status(403, "AccessDenied"), times=1000)
    written = 0

    def write() -> None:
        nonlocal written
        with bucket.store().put_stream(KEY) as out:
            for _ in range(100):
                written += out.write(bytes(PART))

    with pytest.raises(StorageError, match="access denied"):
        write()
    assert written < 20 * PART
    assert (bucket.objects(), bucket.uploads()) == ([], [])


def test_an_abort_that_fails_is_left_to_the_next_run(bucket: Bucket) -> None:
    """A store that is gone in the end keeps nothing from ending, and the first error is told."""
    bucket.proxy.fail(
        lambda r: r.method == "DELETE" or r.is_part(2), faults.status(500), times=1000
    )
    with pytest.raises(StorageError, match="busy or failing"):
        put(bucket.store(), data(3 * PART))
    assert bucket.objects() == []


_BROKEN = {
    "close": faults.cut(1000, "close"),
    "reset": faults.cut(1000, "reset"),
    "stall": faults.cut(1000, "stall"),
    "empty": faults.cut(0, "close"),
    "late stall": faults.cut(MIB + 1, "stall"),
    "short": faults.shorten(1000),
    "late short": faults.shorten(MIB + 1),
}


@pytest.mark.parametrize("name", _BROKEN)
def test_a_body_that_ends_early_is_read_on(bucket: Bucket, name: str) -> None:
    """After a break the rest of the range is asked for, pinned to the version of the beginning."""
    content = data(3 * MIB)
    bucket.plain.put_object(Bucket=bucket.name, Key=KEY, Body=content)
    bucket.proxy.fail(lambda r: r.is_read, _BROKEN[name], times=2)
    with bucket.store(_patience(name)).open(KEY, offset=10, length=3 * MIB - 20) as stream:
        assert stream.read() == content[10:-10]
    reads = [r for r in bucket.proxy.requests if r.is_read]
    assert len(reads) == 3
    assert all("If-Match" in r.headers for r in reads[1:])
    assert len({r.headers["Range"].rpartition("-")[2] for r in reads}) == 1


def test_a_slow_body_is_no_failure(bucket: Bucket) -> None:
    """Only silence counts: a body that takes longer than the limit, but moves, is read once."""
    bucket.plain.put_object(Bucket=bucket.name, Key=KEY, Body=data(3000))
    bucket.proxy.fail(lambda r: r.is_read, faults.trickle(200))
    with bucket.store(SHORT_OF_TIME).open(KEY) as stream:
        assert stream.read() == data(3000)
    assert bucket.proxy.count(lambda r: r.is_read) == 1


@pytest.mark.parametrize("then", ["close", "stall"])
def test_a_body_that_always_breaks_ends(bucket: Bucket, then: str) -> None:
    """Without progress, reading gives up with exit code 5 after a bounded number of attempts."""
    bucket.plain.put_object(Bucket=bucket.name, Key=KEY, Body=data(3000))
    bucket.proxy.fail(lambda r: r.is_read, faults.cut(0, then), times=1000)
    with (
        bucket.store(_patience(then)).open(KEY) as stream,
        pytest.raises(StorageError, match="breaks again and again") as caught,
    ):
        stream.read()
    assert caught.value.retryable
    assert bucket.proxy.count(lambda r: r.is_read) == IMPATIENT.attempts


def test_an_object_that_changes_between_two_requests_is_not_mixed(bucket: Bucket) -> None:
    """When the object is replaced before reading goes on, an error ends it, not a mixture."""
    bucket.plain.put_object(Bucket=bucket.name, Key=KEY, Body=b"a" * 3000)
    bucket.proxy.fail(lambda r: r.is_read, faults.cut(1000, "close"))
    with bucket.store().open(KEY) as stream:
        assert stream.read(1) == b"a"
        bucket.plain.put_object(Bucket=bucket.name, Key=KEY, Body=b"b" * 3000)
        with pytest.raises(StorageError, match="changed by someone else"):
            stream.read()


def test_a_store_that_ignores_ranges_is_refused(bucket: Bucket) -> None:
    """An answer with the whole object in place of the range is never taken for the range."""
    bucket.plain.put_object(Bucket=bucket.name, Key=KEY, Body=data(3000))

    def whole(_handler: object, _request: Request, _ask: object) -> faults.Answer:
        return faults.Answer(200, {"ETag": '"x"'}, data(3000))

    bucket.proxy.fail(lambda r: r.is_read, whole)
    with pytest.raises(StorageError, match="ignores which range"):
        bucket.store().open(KEY, offset=8)


@pytest.mark.parametrize("size", [100, 2 * PART + 7])
def test_a_rival_that_is_faster_wins(bucket: Bucket, size: int) -> None:
    """A key that is taken while the parts are sent: exit code 8, the rival intact, no upload."""
    bucket.proxy.fail(is_publishing, faults.call(lambda: put(bucket.store(), b"rival")))
    with pytest.raises(ConflictError, match="in the meantime") as caught:
        put(bucket.store(), data(size))
    assert caught.value.exit_code == 8
    assert "--overwrite-archive" in (caught.value.hint or "")
    assert bucket.content() == b"rival"
    assert bucket.uploads() == []


def test_a_store_without_conditions_is_asked_before(bucket: Bucket) -> None:
    """A rival that was there before the last request is found without the store's condition."""
    bucket.proxy.fail(lambda r: r.is_part(2), faults.call(lambda: put(bucket.store(), b"rival")))
    with pytest.raises(ConflictError, match="in the meantime"):
        put(bucket.store(), data(2 * PART))
    assert bucket.proxy.count(lambda r: r.is_complete) == 0
    assert (bucket.content(), bucket.uploads()) == (b"rival", [])


def test_a_conflict_that_the_store_reports_is_one(bucket: Bucket) -> None:
    """409 is what Amazon says when two conditional writes meet; nothing is left of the second."""
    bucket.proxy.fail(
        lambda r: r.is_complete, faults.status(409, "ConditionalRequestConflict"), times=1000
    )
    with pytest.raises(ConflictError):
        put(bucket.store(), data(2 * PART))
    assert (bucket.objects(), bucket.uploads()) == ([], [])


def test_an_address_where_nothing_answers_fails_soon(bucket: Bucket) -> None:
    """A wrong endpoint is reported by name after few attempts, while a known one gets more."""
    nobody = S3Server().url
    with pytest.raises(StorageError, match=f"the store at {nobody} does not answer") as caught:
        bucket.store(s3_endpoint=nobody).stat(KEY)
    assert "--s3-endpoint" in (caught.value.hint or "")


def test_time_is_bounded(bucket: Bucket) -> None:
    """No further attempt is made once a call has taken as long as it may."""
    bucket.proxy.fail(is_anything, faults.status(503, "SlowDown"), times=1000)
    hasty = Patience(total_s=0, first_delay_s=0.001, longest_delay_s=0.01)
    with pytest.raises(StorageError, match="busy"):
        bucket.store(hasty).delete(KEY)
    assert len(bucket.proxy.requests) == 1


def test_parts_are_sent_side_by_side_within_bounds(bucket: Bucket) -> None:
    """Several parts are under way at once, and the writer waits when there are enough of them."""
    together = threading.Barrier(8, timeout=60)
    bucket.proxy.fail(lambda r: r.is_part(), faults.call(together.wait), times=8)
    # In flight at 5 MiB: eight. The barrier opens only when all eight are there.
    patience = Patience(first_delay_s=0.001)
    content = data(9 * PART)
    put(bucket.store(patience), content)
    assert bucket.content() == content
    sizes = [r.size for r in bucket.proxy.requests if r.is_part()]
    assert sizes == [PART] * 9


@pytest.mark.parametrize(
    ("status", "code", "words", "hint"),
    [
        (403, "InvalidAccessKeyId", "AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY_ID"),
        (403, "SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY"),
        (403, "AccessDenied", "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY of", "policy"),
        (400, "ExpiredToken", "expired", "AWS_SESSION_TOKEN"),
        (403, "RequestTimeTooSkewed", "clock", "time service"),
        (301, "PermanentRedirect", "another region", "--s3-region"),
        (404, "NoSuchBucket", "there is no bucket test-", "--s3-endpoint"),
        (400, "KMS.NotFoundException", "encryption key", "--s3-sse-kms-key-id"),
        (501, "NotImplemented", "cannot do what dbsync needs", "If-None-Match"),
        (400, "WhatIsThis", r"the store refuses \(WhatIsThis\)", None),
    ],
)
def test_refusals_are_explained(
    bucket: Bucket, status: int, code: str, words: str, hint: str | None
) -> None:
    """Each refusal says why, names the variables that were checked, and is not tried again."""
    bucket.proxy.fail(
        lambda r: r.method == "PUT" or r.is_read or r.method == "DELETE",
        faults.status(status, code),
        times=1000,
    )

    def read() -> None:
        bucket.store().open(KEY)

    def write() -> None:
        put(bucket.store(), b"x")

    def delete() -> None:
        bucket.store().delete(KEY)

    for call in (read, write, delete):
        with pytest.raises(DbsyncError, match=words) as caught:
            call()
        assert (caught.value.exit_code, caught.value.retryable) == (5, False)
        assert hint is None or hint in (caught.value.hint or "")
        assert ENVIRONMENT["AWS_SECRET_ACCESS_KEY"] not in str(caught.value)
    # boto3 itself looks for the right region once.
    assert bucket.proxy.count(lambda r: r.method == "DELETE") <= 1 + (status == 301)
