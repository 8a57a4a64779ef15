"""One request to Treasure Data: td-client's own API, sent once, with its errors told apart.

What lives here: `Wire`, a `tdclient.api.API` that neither repeats nor hides anything. Must not
know: when to try again, tables, jobs.

td-client loses the status of a failing GET, repeats some requests and not others, and writes the
key into debug logs; all of it happens above or below the three methods that are replaced here.
"""

from __future__ import annotations

import contextlib
import email.utils
import json
import time
from contextlib import AbstractContextManager
from typing import Any, cast
from urllib.request import getproxies, proxy_bypass

import urllib3
from tdclient import version
from tdclient.api import API
from tdclient.types import StreamBody
from urllib3.util import parse_url

from dbsync.connectors.redaction import redact
from dbsync.connectors.treasuredata.address import Address
from dbsync.connectors.treasuredata.failures import AnswerError, is_lost, lost

_CONNECT_S = 15.0
_READ_S = 60.0
"""Each wait for bytes, not a whole answer."""

_LONGEST_TEXT = 500


class Wire(API):
    """td-client for one account; may be used from several threads at once.

    Raises `AnswerError` for every answer from 300 on, and `LostError` where there is none. Errors
    while a body is read are those of urllib3.
    """

    def __init__(self, address: Address, *, timeout_s: float, connections: int = 16):
        self._address = address
        super().__init__(
            apikey=address.key,
            endpoint=address.endpoint,
            user_agent=f"dbsync (TD-Client-Python/{version.__version__})",
            max_cumul_retry_delay=-1,
            # Redirections are followed, for GET alone.
            retries=urllib3.Retry(
                total=None, connect=False, read=False, status=0, other=0, redirect=3
            ),
            timeout=urllib3.Timeout(
                connect=min(_CONNECT_S, timeout_s), read=min(_READ_S, timeout_s)
            ),
            maxsize=connections,
        )

    def get_part(self, path: str, headers: dict[str, str]) -> AbstractContextManager[Any]:
        """Send a GET whose body arrives as it is stored: without any encoding for the way."""
        url, every = self.build_request(path=path, headers=headers)
        every["accept-encoding"] = "identity"
        response = self.send_request(
            "GET", url, headers=every, decode_content=False, preload_content=False
        )
        return contextlib.closing(response)

    def get_json(self, path: str, required: list[str]) -> dict[str, Any]:
        """Send a GET and parse the object that it answers, which must have the fields named."""
        with self.get(path) as response:
            return self.checked_json(response.read(), required)

    def build_request(
        self,
        path: str | None = None,
        headers: dict[str, str] | None = None,
        endpoint: str | None = None,
    ) -> tuple[str, dict[str, str]]:
        """Leave the key out, since td-client logs the headers that this returns."""
        url, every = super().build_request(path, headers, endpoint)
        every.pop("authorization", None)
        return url, every

    def send_request(
        self,
        method: str,
        url: str,
        fields: dict[str, Any] | None = None,
        body: StreamBody = None,
        headers: dict[str, str] | None = None,
        **kwargs: Any,
    ) -> urllib3.BaseHTTPResponse:
        """Send one request once."""
        every = {**(headers or {}), "authorization": f"TD1 {self._address.key}"}
        try:
            response = super().send_request(
                method, url, fields, body, every, redirect=method == "GET", **kwargs
            )
            if response.status < 300:
                return response
            with contextlib.closing(response):
                content = response.read(1 << 20, decode_content=True)
        except Exception as error:
            if not is_lost(error):
                raise
            raise lost(error) from error
        raise self._answer(response, content)

    def _answer(self, response: urllib3.BaseHTTPResponse, content: bytes) -> AnswerError:
        try:
            found = json.loads(content)
        except ValueError:
            found = None
        fields = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
        text = next((str(fields[n]) for n in ("text", "message", "error") if fields.get(n)), "")
        return AnswerError(
            response.status,
            redact(text, self._address.secrets)[:_LONGEST_TEXT],
            retry_after_s=_seconds(response.headers.get("retry-after")),
            fields=fields,
        )

    def _init_http(
        self, http_proxy: str | None = None, **kwargs: Any
    ) -> urllib3.PoolManager | urllib3.ProxyManager:
        # td-client obeys HTTP_PROXY whatever NO_PROXY says.
        del http_proxy
        proxies = getproxies()
        proxy = proxies.get(self._address.scheme) or proxies.get("http")
        if not proxy or proxy_bypass(self._address.host):
            return urllib3.PoolManager(**kwargs)
        return self._init_http_proxy(proxy, **kwargs)

    def _init_http_proxy(self, http_proxy: str, **kwargs: Any) -> urllib3.ProxyManager:
        parts = parse_url(http_proxy)
        if parts.auth:
            kwargs["proxy_headers"] = urllib3.make_headers(proxy_basic_auth=parts.auth)
        port = f":{parts.port}" if parts.port else ""
        return urllib3.ProxyManager(f"{parts.scheme or 'http'}://{parts.host}{port}", **kwargs)


def _seconds(after: str | None) -> float | None:
    """Read a Retry-After: seconds, or a moment (RFC 9110, 10.2.3)."""
    if not after:
        return None
    if after.isascii() and after.isdigit():
        return float(after)
    try:
        moment = email.utils.parsedate_to_datetime(after)
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - time.time())
