"""Settings of the stores that need more than a URL, in one value for all of them.

What lives here: `StorageOptions`. Must not know: where the values came from, or a client library.
"""

from __future__ import annotations

from typing import Literal

import msgspec

ServerSideEncryption = Literal["AES256", "aws:kms", "aws:kms:dsse"]


class StorageOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach and use S3 and Drive; what is None is left to their usual chains and defaults.

    No field holds a secret: credentials come from the environment, from profiles and from files.
    """

    s3_region: str | None = None
    s3_endpoint: str | None = None
    """URL of a store other than Amazon's, such as MinIO or R2."""
    s3_profile: str | None = None
    """Section of the AWS configuration files to take credentials and region from."""
    s3_sse: ServerSideEncryption | None = None
    s3_sse_kms_key_id: str | None = None
    """Key of `s3_sse` ``aws:kms``, which it implies."""
    s3_part_bytes: int | None = None
    """Size of an upload's parts; None chooses it from the estimate of the object's size."""
    drive_credentials: str | None = None
    """Path of a service account's key or of a token that ``dbsync auth drive`` has stored."""
    drive_endpoint: str | None = None
    """Address of a Drive other than Google's: for tests only."""
