"""What a failed call means to a user: cause and next step.

What lives here: the translation of `CallFailed`, by code, into `StorageError`. Must not know: why
the call was made.
"""

from __future__ import annotations

from typing import NamedTuple

from dbsync.errors import ConflictError, StorageError
from dbsync.storage.s3.calls import CallFailed


class _Meaning(NamedTuple):
    """`{checked}` stands for where the credentials came from, `{bucket}` for the bucket."""

    cause: str
    hint: str | None = None


_POLICY = "see the policy in the README under S3"
_REGION = _Meaning(
    "the bucket {bucket} is in another region", "pass --s3-region (DBSYNC_S3_REGION)"
)
_EXPIRED = _Meaning(
    "the session token has expired or is not valid; checked was {checked}",
    "renew it (AWS_SESSION_TOKEN, or sign in again for the profile), then run the command again",
)
_NO_CREDENTIALS = _Meaning(
    "there are no credentials; checked was {checked}",
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile with --s3-profile",
)
_DENIED = _Meaning(
    "access denied with the credentials from {checked}",
    f"allow the role what dbsync needs: {_POLICY}",
)
_MISSING = _Meaning("there is no such object", "check the spelling, also of the prefix")
_UNREACHABLE = _Meaning(
    "the store at {endpoint} does not answer",
    "check --s3-endpoint (AWS_ENDPOINT_URL_S3), --s3-region and the network, then try again",
)
_BUSY = _Meaning("the store is busy or failing", "try again later")
_PROFILE = _Meaning(
    "{checked} is not usable", "check --s3-profile (AWS_PROFILE) and the AWS configuration files"
)
_KMS = _Meaning(
    "the encryption key cannot be used", "check --s3-sse-kms-key-id and the rights on that key"
)
_MEANINGS = {
    "NoSuchKey": _MISSING,
    "NoSuchBucket": _Meaning(
        "there is no bucket {bucket}", "create it, or check its name and --s3-endpoint"
    ),
    "InvalidBucketName": _Meaning("{bucket} is no valid name of a bucket", "check its spelling"),
    "ParamValidationError": _Meaning(
        "the name is not valid", "check the bucket's name and the key"
    ),
    "KeyTooLongError": _Meaning("the name is too long", "choose a shorter one"),
    "AccessDenied": _DENIED,
    "AllAccessDisabled": _DENIED,
    "InvalidAccessKeyId": _Meaning(
        "the store does not know the access key; checked was {checked}",
        "correct AWS_ACCESS_KEY_ID or the profile",
    ),
    "SignatureDoesNotMatch": _Meaning(
        "the secret key does not belong to the access key; checked was {checked}",
        "correct AWS_SECRET_ACCESS_KEY or the profile",
    ),
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "InvalidToken": _EXPIRED,
    "TokenRefreshRequired": _EXPIRED,
    "UnauthorizedSSOTokenError": _EXPIRED,
    "SSOTokenLoadError": _EXPIRED,
    "TokenRetrievalError": _EXPIRED,
    "NoCredentialsError": _NO_CREDENTIALS,
    "PartialCredentialsError": _Meaning(
        "the credentials are incomplete; checked was {checked}",
        "set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    ),
    "CredentialRetrievalError": _Meaning(
        "the credentials cannot be fetched; checked was {checked}", "check the profile or the role"
    ),
    "ProfileNotFound": _PROFILE,
    "ConfigParseError": _PROFILE,
    "RequestTimeTooSkewed": _Meaning(
        "the clock of this machine is wrong", "set it, best by a time service"
    ),
    "PermanentRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "InvalidEndpoint": _Meaning("the endpoint is no URL", "correct --s3-endpoint"),
    "NoRegionError": _Meaning("no region is given", "pass --s3-region (DBSYNC_S3_REGION)"),
    "NoSuchUpload": _Meaning(
        "someone else has removed the upload that was under way", "run the command again"
    ),
    "NotImplemented": _Meaning(
        "the store cannot do what dbsync needs",
        "use a store that knows multipart uploads and conditional writes (If-None-Match)",
    ),
    "EntityTooLarge": _Meaning("the object is too large for the store"),
    "QuotaExceeded": _Meaning("the quota of the store is used up", "free some space or raise it"),
    "XMinioStorageFull": _Meaning("the store is full", "free some space"),
    "SSLError": _Meaning(
        "the certificate of {endpoint} is not trusted",
        "name the authority's certificate in AWS_CA_BUNDLE, or correct --s3-endpoint",
    ),
}
_REFUSED = _Meaning("the store refuses")
_SAY_ALL = (_MISSING, _NO_CREDENTIALS)
_BY_STATUS = {403: _DENIED, 404: _MISSING, 301: _REGION, 501: _MEANINGS["NotImplemented"]}


def explain(
    failed: CallFailed, doing: str, what: str, *, bucket: str, checked: str, endpoint: str
) -> StorageError:
    """Translate a failure; the message reads "cannot `doing` `what`: cause".

    `checked` says where the credentials came from.
    """
    meaning = _MEANINGS.get(failed.code) or _BY_STATUS.get(failed.status or 0)
    if meaning is None and failed.code.startswith("KMS."):
        meaning = _KMS
    if meaning is None and failed.passing:
        meaning = _UNREACHABLE if failed.status is None else _BUSY
    if meaning is None:
        meaning = _REFUSED
    cause = meaning.cause.format(checked=checked, bucket=bucket, endpoint=endpoint)
    code = "" if meaning in _SAY_ALL else f" ({failed.code or failed.status})"
    return StorageError(
        f"cannot {doing} {what}: {cause}{code}", hint=meaning.hint, retryable=failed.passing
    )


def already_exists(what: str) -> ConflictError:
    """Say that a key is taken."""
    return ConflictError(
        f"{what} already exists", hint="choose another name or pass --overwrite-archive"
    )


def taken_meanwhile(what: str) -> ConflictError:
    """Say that a key was taken while its object was being written."""
    return ConflictError(
        f"{what} was created by someone else in the meantime and is left as it is",
        hint="choose another name or pass --overwrite-archive",
    )


def changed(what: str) -> StorageError:
    """Say that an object is no longer the one that was described."""
    return StorageError(
        f"{what} was changed by someone else while it was being read", hint="run the command again"
    )
