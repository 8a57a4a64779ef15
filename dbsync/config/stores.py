"""Options of the commands that reach a store of archives.

Must not know: where a `Given` came from, or how a store is reached.
"""

from __future__ import annotations

from typing import cast
from urllib.parse import urlsplit

from dbsync.config.given import Given
from dbsync.config.text import parse_size
from dbsync.errors import UsageError
from dbsync.storage.options import ServerSideEncryption, StorageOptions

# What S3 accepts, as far as parts fit into memory.
MIN_PART_BYTES = 5 << 20
MAX_PART_BYTES = 1 << 30


def storage_options(given: Given) -> StorageOptions:
    """Gather how stores are reached; raises `UsageError` for what is malformed."""
    sse, key = given.text("s3_sse"), given.text("s3_sse_kms_key_id")
    if key is not None and sse == "AES256":
        raise UsageError(
            f"{given.label('s3_sse_kms_key_id')} names a key, which AES256 does not use",
            hint=f"leave {given.label('s3_sse')} out, or set it to aws:kms",
        )
    part = given.text("s3_part_bytes")
    label = given.label("s3_part_bytes")
    return StorageOptions(
        s3_region=given.text("s3_region"),
        s3_endpoint=_endpoint(given, "s3_endpoint"),
        s3_profile=given.text("s3_profile"),
        s3_sse=cast("ServerSideEncryption | None", sse or ("aws:kms" if key else None)),
        s3_sse_kms_key_id=key,
        s3_part_bytes=parse_size(part, label, minimum=MIN_PART_BYTES, maximum=MAX_PART_BYTES)
        if part is not None
        else None,
        drive_credentials=given.text("drive_credentials"),
        drive_endpoint=_endpoint(given, "drive_endpoint"),
    )


def _endpoint(given: Given, name: str) -> str | None:
    text = given.text(name)
    if text is None:
        return None
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise UsageError(
            f"{given.label(name)} is no URL of a server",
            hint="write https://host or http://host:port, without a user or password",
        )
    return text
