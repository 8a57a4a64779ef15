"""Settings of ``dbsync auth``.

Must not know: where a `Given` came from, or how a person signs in.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from dbsync.config.given import Given
from dbsync.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class AuthDriveSettings:
    """Arguments of `dbsync.api.authorize_drive`."""

    client_secrets: str
    token: str | None
    open_browser: bool
    callback_port: int
    drive_endpoint: str | None

    @classmethod
    def of(cls, given: Given) -> AuthDriveSettings:
        """Resolve what was given; raises `UsageError` where no OAuth client is named."""
        client = given.text("client_secrets")
        if client is None:
            raise UsageError(
                "nothing says which OAuth client to sign in with",
                hint="pass --client-secrets FILE; the Google Cloud console makes the file, under "
                "Credentials, as an OAuth client ID of the type Desktop app",
            )
        return cls(
            client_secrets=client,
            token=given.text("drive_credentials"),
            open_browser=given.flag("browser"),
            callback_port=given.number("callback_port") or 0,
            drive_endpoint=given.text("drive_endpoint"),
        )

    def arguments(self) -> dict[str, Any]:
        """Return the keyword arguments of the library function."""
        return {field.name: getattr(self, field.name) for field in fields(self)}
