"""What only S3 has: rights, encryption, checksums, marks of uploads, keys of others."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dbsync.errors import StorageError
from dbsync.storage.options import StorageOptions
from dbsync.storage.s3 import S3Storage, client, upload
from tests.conftest import REPOSITORY
from tests.servers.proxy import Proxy
from tests.servers.s3 import ENVIRONMENT, S3Server

KEY = "shop.dbsync.tar"
PART = 5 << 20


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def proxy(s3_server: S3Server) -> Iterator[Proxy]:
    with Proxy(s3_server.port) as running:
        yield running


@pytest.fixture
def bucket(s3_server: S3Server) -> str:
    return s3_server.bucket()


def store(server: S3Server, bucket: str, **options: Any) -> S3Storage:
    settings = {"s3_endpoint": server.url, "s3_part_bytes": PART, **options}
    return S3Storage(bucket, "", StorageOptions(**settings))


def put(store: S3Storage, size: int, key: str = KEY) -> None:
    with store.put_stream(key) as writer:
        writer.write(b"x" * size)


def uploads(server: S3Server, bucket: str) -> list[str]:
    found = server.client().list_multipart_uploads(Bucket=bucket)
    return [item["Key"] for item in found.get("Uploads", [])]


@pytest.mark.parametrize("size", [10, 2 * PART])
@pytest.mark.parametrize(
    ("options", "encryption", "key"),
    [
        ({"s3_sse": "AES256"}, "AES256", None),
        ({"s3_sse": "aws:kms", "s3_sse_kms_key_id": "alias/backup"}, "aws:kms", "alias/backup"),
    ],
)
def test_the_store_is_asked_to_encrypt(
    s3_server: S3Server, bucket: str, size: int, options: Any, encryption: str, key: str | None
) -> None:
    """Encryption is asked for with the object, whether it is sent at once or in parts."""
    put(store(s3_server, bucket, **options), size)
    found = s3_server.client().head_object(Bucket=bucket, Key=KEY)
    assert (found["ServerSideEncryption"], found.get("SSEKMSKeyId")) == (encryption, key)


@pytest.mark.parametrize("amazon", [True, False])
def test_checksums_are_sent_to_amazon_only(
    s3_server: S3Server, bucket: str, proxy: Proxy, amazon: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Amazon's store gets a CRC32 of every part; others, which may not know it, none."""
    if amazon:
        monkeypatch.setattr(client, "_AMAZON", ("127.0.0.1",))
    put(store(s3_server, bucket, s3_endpoint=proxy.url), 2 * PART + 1)
    put(store(s3_server, bucket, s3_endpoint=proxy.url), 10, key="small")
    sent = [
        any(name.lower() in ("x-amz-checksum-crc32", "x-amz-trailer") for name in r.headers)
        for r in proxy.requests
        if r.method == "PUT"
    ]
    assert sent == [amazon] * 4
    assert store(s3_server, bucket).stat(KEY).size == 2 * PART + 1


def test_the_10001st_part_is_refused(
    s3_server: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An object that outgrows the number of parts ends at once, and leaves nothing."""
    monkeypatch.setattr(upload, "MOST_PARTS", 2)
    put(store(s3_server, bucket), 2 * PART)
    with pytest.raises(StorageError, match="larger than") as caught:
        put(store(s3_server, bucket), 2 * PART + 1, key="other")
    assert "--s3-part-bytes 20MiB" in (caught.value.hint or "")
    assert [info.key for info in store(s3_server, bucket).list()] == [KEY]
    assert uploads(s3_server, bucket) == []


def test_an_upload_under_way_is_marked_and_no_object(s3_server: S3Server, bucket: str) -> None:
    """While parts are sent, the upload and one mark are listed as uploads, and no object is."""
    with store(s3_server, bucket).put_stream("a/b.tar") as writer:
        writer.write(bytes(2 * PART))
        mark, data = sorted(uploads(s3_server, bucket))
        assert mark.startswith("a/.dbsync-upload-")
        assert data == "a/b.tar"
        assert s3_server.client().list_objects_v2(Bucket=bucket)["KeyCount"] == 0
        # Another run in the same folder leaves a living writer alone.
        put(store(s3_server, bucket), 10, key="a/other")
    assert uploads(s3_server, bucket) == []
    assert store(s3_server, bucket).stat("a/b.tar").size == 2 * PART


def test_keys_that_dbsync_could_not_make_are_left_out(s3_server: S3Server, bucket: str) -> None:
    """Placeholders of folders, and keys with empty parts, are no objects of this store."""
    plain = s3_server.client()
    for key in ("folder/", "a//b", "folder/x", "y"):
        plain.put_object(Bucket=bucket, Key=key, Body=b"")
    assert [info.key for info in store(s3_server, bucket).list()] == ["folder/x", "y"]
    folder = S3Storage(bucket, "folder/", StorageOptions(s3_endpoint=s3_server.url))
    assert [info.key for info in folder.list()] == ["x"]


def test_a_missing_bucket_is_named(s3_server: S3Server) -> None:
    """Each call says that there is no such bucket, the write before its first byte."""
    absent = store(s3_server, "test-absent")
    calls: list[Callable[[], object]] = [
        lambda: absent.stat(KEY),
        lambda: absent.open(KEY),
        lambda: list(absent.list()),
        lambda: absent.put_stream(KEY).__enter__(),
    ]
    for call in calls:
        with pytest.raises(StorageError, match="there is no bucket test-absent"):
            call()


# Rights, as the server enforces them


@pytest.fixture
def role(s3_server: S3Server) -> Iterator[Callable[[dict[str, Any]], dict[str, str]]]:
    """Make users with a policy; from then on the server checks keys, signatures and rights."""
    iam = s3_server.client("iam")

    def make(policy: dict[str, Any]) -> dict[str, str]:
        name = f"user-{len(iam.list_users()['Users'])}"
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="only", PolicyDocument=json.dumps(policy))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        s3_server.post("/moto-api/reset-auth", "0")
        return {
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        }

    yield make
    s3_server.post("/moto-api/reset-auth", "inf")


def allow(bucket: str, *actions: str) -> dict[str, Any]:
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": [f"s3:{action}" for action in actions],
                "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
            }
        ],
    }


def test_the_policy_of_the_readme_is_enough(
    s3_server: S3Server, bucket: str, role: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Write, list, read, delete and the removal of a dead writer's upload need no other right."""
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    (policy,) = re.findall(
        r"^```json\n(\{.*?\"Version\".*?)^```$", readme, re.DOTALL | re.MULTILINE
    )
    plain = s3_server.client()
    left = plain.create_multipart_upload(Bucket=bucket, Key="shop/dead")["UploadId"]
    digests = [hashlib.sha256(text.encode()).hexdigest()[:16] for text in ("shop/dead", left)]
    mark = f"shop/.dbsync-upload-{'-'.join(digests)}-abcdef-1-1"
    plain.create_multipart_upload(Bucket=bucket, Key=mark)
    for name, value in role(json.loads(policy.replace("my-backups", bucket))).items():
        monkeypatch.setenv(name, value)
    shop = S3Storage(bucket, "shop/", store(s3_server, bucket).options)
    put(shop, 2 * PART)
    assert [info.key for info in shop.list()] == [KEY]
    with shop.open(KEY, offset=5, length=5) as stream:
        assert stream.read() == b"xxxxx"
    with pytest.raises(StorageError, match="access denied"):
        store(s3_server, bucket).stat("elsewhere")
    shop.delete(KEY)
    assert list(shop.list()) == []
    monkeypatch.undo()
    s3_server.post("/moto-api/reset-auth", "inf")
    assert uploads(s3_server, bucket) == []


def test_a_role_that_may_only_write_can_write(
    s3_server: S3Server, bucket: str, role: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The right to put objects alone is enough for a backup; reading is then refused by name."""
    for name, value in role(allow(bucket, "PutObject", "AbortMultipartUpload")).items():
        monkeypatch.setenv(name, value)
    put(store(s3_server, bucket), 2 * PART)
    put(store(s3_server, bucket), 10, key="small")
    for call in (
        lambda: store(s3_server, bucket).open(KEY),
        lambda: store(s3_server, bucket).stat(KEY),
    ):
        with pytest.raises(StorageError, match=r"access denied .*AWS_ACCESS_KEY_ID"):
            call()


def test_unknown_keys_and_wrong_secrets_are_told_apart(
    s3_server: S3Server, bucket: str, role: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before a byte is written, the variable that is wrong is named; no secret is repeated."""
    keys = role(allow(bucket, "*"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAUNKNOWN")
    with pytest.raises(StorageError, match="does not know the access key") as caught:
        store(s3_server, bucket).put_stream(KEY).__enter__()
    assert "AWS_ACCESS_KEY_ID" in caught.value.message
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys["AWS_ACCESS_KEY_ID"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    with pytest.raises(StorageError, match="secret key does not belong") as caught:
        store(s3_server, bucket).stat(KEY)
    assert "canary" not in f"{caught.value} {caught.value.hint}"


def test_no_credentials_at_all(
    s3_server: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without credentials, everything that was looked at is named."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(StorageError, match=r"no credentials.*AWS_ACCESS_KEY_ID.*profile") as caught:
        store(s3_server, bucket).stat(KEY)
    assert "--s3-profile" in (caught.value.hint or "")
