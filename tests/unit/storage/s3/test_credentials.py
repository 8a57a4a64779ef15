"""What messages say of where credentials were looked for, and what the client is set to."""

from __future__ import annotations

from pathlib import Path

import pytest

from dbsync.storage.options import StorageOptions
from dbsync.storage.s3.calls import CallFailed, Calls, Patience
from dbsync.storage.s3.client import Client, credentials_checked, make_client

NOTHING = StorageOptions()


@pytest.fixture(autouse=True)
def _no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    (tmp_path / "config").write_text("[profile backup]\nregion = eu-west-3\n")
    (tmp_path / "credentials").write_text(
        "[backup]\naws_access_key_id = profile-key\naws_secret_access_key = canary\n"
    )


def client(**options: str) -> Client:
    return make_client(StorageOptions(**options), Patience())


def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys of the environment are named by their variables, the token only if there is one."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "canary")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    checked = client().checked
    assert checked == "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY of the environment"
    monkeypatch.setenv("AWS_SESSION_TOKEN", "canary")
    assert "AWS_SESSION_TOKEN" in client().checked


def test_profiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile is named with the option or the variable that chose it, and gives the region."""
    assert client(s3_profile="backup").checked == "the profile 'backup' (--s3-profile)"
    assert client(s3_profile="backup").api.meta.region_name == "eu-west-3"
    assert client(s3_profile="backup", s3_region="us-west-2").api.meta.region_name == "us-west-2"
    monkeypatch.setenv("AWS_PROFILE", "backup")
    assert client().checked == "the profile 'backup' (AWS_PROFILE)"


def test_an_explicit_profile_beats_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """--s3-profile is used even where keys stand in the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "other")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "other")
    assert "profile 'backup'" in client(s3_profile="backup").checked


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("iam-role", "role of this machine"),
        ("container-role", "role of this machine or container"),
        ("assume-role-with-web-identity", "AWS_ROLE_ARN"),
        ("shared-credentials-file", "profile 'default'"),
        (None, "AWS_ACCESS_KEY_ID of the environment, the profile 'default'"),
    ],
)
def test_other_places(method: str | None, words: str) -> None:
    """Roles and files are named; where nothing was found, everything that was looked at."""
    assert words in credentials_checked(NOTHING, method)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"s3_profile": "missing"}, "ProfileNotFound"),
        ({"s3_endpoint": "no-url"}, "InvalidEndpoint"),
    ],
)
def test_a_client_that_cannot_be_made(options: dict[str, str], code: str) -> None:
    """A profile or an endpoint that is not usable fails as a call does."""
    calls = Calls(lambda patience: make_client(StorageOptions(**options), patience), Patience())
    with pytest.raises(CallFailed) as caught:
        calls.make("list_objects_v2", Bucket="b")
    assert (caught.value.code, caught.value.passing) == (code, False)


@pytest.mark.parametrize(
    ("option", "variable", "checksums", "amazon"),
    [
        (None, None, "when_supported", True),
        ("https://s3.eu-west-1.amazonaws.com", None, "when_supported", True),
        ("https://amazonaws.com.example.net", None, "when_required", False),
        ("http://localhost:9000", None, "when_required", False),
        (None, "http://localhost:9000", "when_required", False),
        ("https://account.r2.cloudflarestorage.com", None, "when_required", False),
    ],
)
def test_stores_other_than_amazons(
    option: str | None,
    variable: str | None,
    checksums: str,
    amazon: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Wherever the endpoint is named, only Amazon's store gets checksums by default."""
    if variable is not None:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", variable)
    made = make_client(StorageOptions(s3_region="eu-west-1", s3_endpoint=option), Patience())
    config = made.api.meta.config
    assert (config.request_checksum_calculation, made.is_amazon) == (checksums, amazon)
    # The only place of retries is dbsync.storage.s3.calls.
    assert config.retries["total_max_attempts"] == 1
