"""The client of the store, and where its credentials came from.

What lives here: profile, region, endpoint and the settings that stores other than Amazon's need.
Must not know: keys, or what is stored.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from dbsync.errors import UsageError
from dbsync.storage.options import StorageOptions
from dbsync.storage.s3.calls import Patience

_AMAZON = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws", ".amazonaws.eu")
_MOST_CONNECTIONS = 64


class Client(NamedTuple):
    """A client of boto3, with what messages and requests need to know of it."""

    api: Any
    checked: str
    """Which variable, profile or role the credentials came from; no part of them."""
    endpoint: str
    is_amazon: bool


def make_client(options: StorageOptions, patience: Patience) -> Client:
    """Make a client, without a request; raises what boto3 raises for what is not usable.

    The checksums that boto3 sends by default are unknown to some other stores, which then fail
    (https://github.com/boto/boto3/issues/4392); there the signature covers the content.
    """
    try:
        from boto3.session import Session
    except ModuleNotFoundError as error:
        raise UsageError(
            "s3:// locations need the package boto3", hint="pip install 'dbsync[s3]'"
        ) from error

    session = Session(
        profile_name=options.s3_profile,
        region_name=options.s3_region,
        botocore_session=_core(),
    )
    api = _api(session, options, patience, _checksums(options.s3_endpoint))
    # The endpoint may also stand in a variable or in the profile.
    endpoint: str = api.meta.endpoint_url
    if _checksums(endpoint) != _checksums(options.s3_endpoint):
        api = _api(session, options, patience, _checksums(endpoint))
    credentials: Any = session.get_credentials()
    checked = credentials_checked(options, getattr(credentials, "method", None))
    return Client(api, checked, endpoint, _is_amazon(endpoint))


def _core() -> Any:
    """Make a session that shares the descriptions of the service: they take long to read."""
    from botocore.session import Session

    core = Session()
    core.register_component("data_loader", _loader(core.get_config_variable("data_path")))
    return core


@cache
def _loader(data_path: str | None) -> Any:
    from botocore.loaders import create_loader

    return create_loader(data_path)


def _is_amazon(endpoint: str) -> bool:
    return (urlsplit(endpoint).hostname or "").endswith(_AMAZON)


def _checksums(endpoint: str | None) -> str:
    return "when_supported" if endpoint is None or _is_amazon(endpoint) else "when_required"


def _api(session: Any, options: StorageOptions, patience: Patience, checksums: str) -> Any:
    from botocore.config import Config

    config = Config(
        connect_timeout=patience.connect_s,
        read_timeout=patience.read_s,
        max_pool_connections=_MOST_CONNECTIONS,
        retries={"mode": "standard", "total_max_attempts": 1},
        request_checksum_calculation=checksums,
        response_checksum_validation="when_required",
    )
    return session.client("s3", endpoint_url=options.s3_endpoint, config=config)


def credentials_checked(options: StorageOptions, method: str | None = None) -> str:
    """Say where credentials were looked for; `method` is what boto3 calls the place of success."""
    if method == "env":
        token = ", AWS_SESSION_TOKEN" if os.environ.get("AWS_SESSION_TOKEN") else ""
        return f"AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY{token} of the environment"
    if method in ("iam-role", "container-role"):
        return "the role of this machine or container"
    if method == "assume-role-with-web-identity":
        return "the role in AWS_ROLE_ARN with AWS_WEB_IDENTITY_TOKEN_FILE"
    if options.s3_profile is not None:
        return f"the profile {options.s3_profile!r} (--s3-profile)"
    for variable in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
        if os.environ.get(variable):
            return f"the profile {os.environ[variable]!r} ({variable})"
    if method:
        return "the profile 'default' of the AWS configuration files"
    return (
        "AWS_ACCESS_KEY_ID of the environment, the profile 'default' of the AWS configuration "
        "files, and the role of this machine"
    )
