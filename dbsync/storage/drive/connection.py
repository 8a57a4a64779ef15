"""One connection to Google whose requests carry an account's token.

What lives here: asking for a token, adding it, and asking again when it is refused. Must not know:
what the requests are about, or which failures pass by themselves.

google-auth's own way of adding a token (`before_request`) also starts a thread that asks another of
Google's services in which regions the account may be used, over this connection and without anyone
waiting for it. Drive does not need the answer, and a process that ended meanwhile crashed inside
OpenSSL; so tokens are asked for and added by the two public steps, `refresh` and `apply`.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import httplib2

_REFUSED = 401
_RENEWALS = 2
"""As often google-auth's own connection asks for a new token (DEFAULT_MAX_REFRESH_ATTEMPTS)."""


class Connection:
    """Sends requests as one account, for one thread at a time; `timeout_s` limits each wait."""

    def __init__(self, credentials: Any, timeout_s: float):
        import httplib2
        from google_auth_httplib2 import Request

        self._http = httplib2.Http(timeout=cast("Any", timeout_s))
        # 308 answers a part of an upload here; httplib2 would follow it as a redirection.
        self._http.redirect_codes = self._http.redirect_codes - {308}
        self._http.follow_redirects = False
        self._credentials = credentials
        self._for_tokens = Request(self._http)

    def request(
        self,
        uri: str,
        *,
        method: str,
        headers: Mapping[str, str],
        body: bytes | memoryview | str | None = None,
    ) -> tuple[httplib2.Response, bytes]:
        """Send a request, and again with a new token where the one it had is refused.

        Returns every answer, whatever its status. Raises what httplib2 and google-auth raise.
        """
        if not self._credentials.valid:
            self._credentials.refresh(self._for_tokens)
        response, content = self._send(uri, method, headers, body)
        for _ in range(_RENEWALS):
            if response.status != _REFUSED:
                break
            self._credentials.refresh(self._for_tokens)
            response, content = self._send(uri, method, headers, body)
        return response, content

    def abort(self) -> None:
        """Break off the request that another thread waits for; it raises there."""
        for connection in list(self._http.connections.values()):
            if getattr(connection, "sock", None) is not None:
                with suppress(OSError):
                    connection.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close it."""
        self._http.close()

    def _send(
        self, uri: str, method: str, headers: Mapping[str, str], body: Any
    ) -> tuple[httplib2.Response, bytes]:
        signed = dict(headers)
        self._credentials.apply(signed)
        return cast("Any", self._http.request(uri, method, body=body, headers=signed))
