"""Whole commands with archives on S3."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.integration.command import dbsync
from tests.integration.s3 import CANARY, make_database, objects, rows, settings, uploads
from tests.servers import proxy as faults
from tests.servers.proxy import Proxy
from tests.servers.s3 import S3Server


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "shop.sqlite"
    make_database(path)
    return path


@pytest.fixture
def bucket(s3_server: S3Server) -> str:
    return s3_server.bucket()


@pytest.fixture
def env(s3_server: S3Server, tmp_path: Path) -> Mapping[str, str]:
    return settings(s3_server.url, tmp_path / "scratch")


def test_export_and_back(
    database: Path, bucket: str, s3_server: S3Server, env: Mapping[str, str], tmp_path: Path
) -> None:
    """Export, inspect, verify, import and extract work on a key as on a file; no file is left."""
    archive = f"s3://{bucket}/nightly/shop.dbsync.tar"
    source = f"sqlite:///{database}"
    exported = dbsync("export", "--url", source, "--json", archive, env=env).json()
    assert exported["archive"] == archive
    assert objects(s3_server, bucket) == ["nightly/shop.dbsync.tar"]
    assert uploads(s3_server, bucket) == []
    inspected = dbsync("inspect", "--json", archive, env=env).json()
    assert inspected["rows"] == exported["rows"] == 3202
    dbsync("verify", "--against", source, archive, env=env)
    target = tmp_path / "back.sqlite"
    dbsync("import", "--url", f"sqlite:///{target}", "--include-schema", archive, env=env)
    assert rows(target) == rows(database)
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_folder(
    database: Path, bucket: str, s3_server: S3Server, env: Mapping[str, str], tmp_path: Path
) -> None:
    """An archive is named in a folder, and an import from the folder takes the newest one."""
    folder = f"s3://{bucket}/nightly/"
    dbsync("export", "--url", f"sqlite:///{database}", folder, env=env)
    (key,) = objects(s3_server, bucket)
    assert key.startswith("nightly/shop")
    assert key.endswith(".dbsync.tar")
    target = tmp_path / "back.sqlite"
    dbsync("import", "--url", f"sqlite:///{target}", "--include-schema", folder, env=env)
    assert rows(target) == rows(database)


def test_a_clone_keeps_its_archive_there(
    database: Path, bucket: str, s3_server: S3Server, env: Mapping[str, str], tmp_path: Path
) -> None:
    """--keep takes a location on S3, too."""
    target = tmp_path / "clone.sqlite"
    kept = f"s3://{bucket}/kept.tar"
    urls = ("--from", f"sqlite:///{database}", "--to", f"sqlite:///{target}")
    dbsync("clone", *urls, "--include-schema", "--keep", kept, env=env)
    dbsync("verify", "--against", f"sqlite:///{target}", kept, env=env)


def test_two_exports_to_one_key(
    database: Path, bucket: str, s3_server: S3Server, env: Mapping[str, str]
) -> None:
    """The second is refused with 8 before it reads, and in the end if both began; the first stays.

    With --overwrite-archive the second replaces it.
    """
    archive, source = f"s3://{bucket}/shop.tar", f"sqlite:///{database}"

    def export(*more: str, endpoint: str = s3_server.url, code: int = 0) -> str:
        done = dbsync(
            "export", "--url", source, *more, archive,
            env={**env, "DBSYNC_S3_ENDPOINT": endpoint}, code=code,
        )  # fmt: skip
        return done.err

    with Proxy(s3_server.port) as proxy:
        proxy.fail(lambda r: r.is_complete, faults.call(export))
        said = export(endpoint=proxy.url, code=8)
    assert "created by someone else in the meantime" in said
    assert "--overwrite-archive" in said
    assert uploads(s3_server, bucket) == []
    first = s3_server.client().head_object(Bucket=bucket, Key="shop.tar")["ETag"]
    assert "already exists" in export(code=8)
    assert s3_server.client().head_object(Bucket=bucket, Key="shop.tar")["ETag"] == first
    dbsync("verify", archive, env=env)
    export("--overwrite-archive")
    assert s3_server.client().head_object(Bucket=bucket, Key="shop.tar")["ETag"] != first


def test_expired_credentials(
    database: Path, bucket: str, s3_server: S3Server, env: Mapping[str, str]
) -> None:
    """Credentials that expire half-way end with 5, the variable's name, and no secret anywhere."""
    token = "canary-token"
    with Proxy(s3_server.port) as proxy:
        proxy.fail(lambda r: r.is_part(2), faults.status(400, "ExpiredToken"), times=100)
        done = dbsync(
            "export", "--debug", "-v", "--url", f"sqlite:///{database}", f"s3://{bucket}/x",
            env={**env, "DBSYNC_S3_ENDPOINT": proxy.url, "AWS_SESSION_TOKEN": token}, code=5,
        )  # fmt: skip
    assert "AWS_SESSION_TOKEN" in done.err
    for secret in (CANARY, token):
        assert secret not in done.err
        assert secret.encode() not in done.out
    assert (objects(s3_server, bucket), uploads(s3_server, bucket)) == ([], [])


def test_no_secret_reaches_the_archive(
    database: Path, bucket: str, s3_server: S3Server, env: Mapping[str, str]
) -> None:
    """Neither the archive nor its object's metadata holds the secret key."""
    dbsync("export", "--url", f"sqlite:///{database}", f"s3://{bucket}/x", env=env)
    found = s3_server.client().get_object(Bucket=bucket, Key="x")
    assert CANARY.encode() not in found["Body"].read()
    assert CANARY not in str(found["Metadata"])


def test_options_are_checked_first(database: Path) -> None:
    """A malformed endpoint or a key without a bucket ends with 2 before anything is opened."""
    source = f"sqlite:///{database}"
    done = dbsync("export", "--url", source, "--s3-endpoint", "localhost", "s3://b/k", code=2)
    assert "--s3-endpoint" in done.err
    done = dbsync("export", "--url", source, "s3://bucket", code=2)
    assert "bucket and a key" in done.err
