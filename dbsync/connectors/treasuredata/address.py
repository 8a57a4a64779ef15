"""Where a Treasure Data database is: the URL, the regions, the API key.

What lives here: `Address` and `parse_url`. Must not know: the client library, or what is asked.

Endpoints: https://docs.treasuredata.com/products/my-settings/sites-and-endpoints
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from dbsync.errors import UsageError

REGIONS = {
    "us01": "api.treasuredata.com",
    "ap01": "api.treasuredata.co.jp",
    "eu01": "api.eu01.treasuredata.com",
    "ap02": "api.ap02.treasuredata.com",
    "ap03": "api.ap03.treasuredata.com",
}
"""Each region and its endpoint."""

KEY_VARIABLE = "DBSYNC_TD_API_KEY"

_ALIASES = {"us": "us01", "jp": "ap01", "tokyo": "ap01"}
_FORM = "the form is td://REGION-OR-HOST/DATABASE, such as td://us01/my_database"
_DATABASE = re.compile(r"[a-z0-9_]{3,128}")
_PARAMETERS = ("scheme",)


@dataclass(frozen=True)
class Address:
    """One database of one account.

    `host` is a host name with the port where one is given; `scheme` is that of its HTTP.
    """

    host: str
    database: str
    key: str = field(repr=False)
    scheme: str = "https"

    def __str__(self) -> str:
        """Name the place in messages, without the key."""
        return f"td://{self.region or self.host}/{self.database}"

    @property
    def endpoint(self) -> str:
        """Give the root of the service's URLs; td-client needs the slash at its end."""
        return f"{self.scheme}://{self.host}/"

    @property
    def region(self) -> str | None:
        """Name the region of the endpoint, None for one that is not listed here."""
        return next((name for name, host in REGIONS.items() if host == self.host), None)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every text that must not appear in any output."""
        return (self.key,)


def parse_url(url: str) -> Address:
    """Split a ``td://`` URL, whose password is the API key.

    The host is a region (``us``, ``us01``, ``jp``, ``tokyo``, ``ap01``, ``eu01``, ``ap02``,
    ``ap03``) or an endpoint's name, with a port where it has one; ``?scheme=http`` is for an
    endpoint without TLS. Raises `UsageError`, which quotes no part that may be the key.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UsageError(
            "the Treasure Data URL is malformed",
            hint=f"{_FORM}; in a key write / as %2F and % as %25",
        ) from None
    if parts.scheme.partition("+")[0].lower() != "td":
        raise UsageError("a Treasure Data URL starts with td://", hint=_FORM)
    if parts.username:
        raise UsageError(
            "the Treasure Data URL has a user, and the service knows only API keys",
            hint=f"set {KEY_VARIABLE}, or write td://:KEY@HOST/DATABASE",
        )
    key = unquote(parts.password or "").strip()
    if not key:
        raise UsageError(
            "there is no API key for Treasure Data",
            hint=f"set {KEY_VARIABLE} (or {KEY_VARIABLE}_FILE, the path of a file that holds it)",
        )
    if not (key.isascii() and key.isprintable()):
        raise UsageError(
            "the API key for Treasure Data holds characters that no key has",
            hint=f"check {KEY_VARIABLE}: a key is one line of letters, digits and /",
        )
    return Address(
        host=_host(parts.hostname or "", port),
        database=_database(unquote(parts.path)),
        key=key,
        scheme=_scheme(parts.query),
    )


def _host(name: str, port: int | None) -> str:
    if not name:
        raise UsageError(
            "the Treasure Data URL names no region and no endpoint",
            hint=f"{_FORM}; the regions are {', '.join(REGIONS)}",
        )
    region = _ALIASES.get(name, name)
    if region in REGIONS and port is None:
        return REGIONS[region]
    if "." not in name and ":" not in name and name != "localhost" and port is None:
        raise UsageError(
            f"{name!r} is no region of Treasure Data",
            hint=f"the regions are {', '.join(REGIONS)}; an endpoint is a whole host name",
        )
    shown = f"[{name}]" if ":" in name else name
    return shown if port is None else f"{shown}:{port}"


def _database(path: str) -> str:
    name = path.removeprefix("/").removesuffix("/")
    if not _DATABASE.fullmatch(name):
        raise UsageError(
            "the Treasure Data URL does not name one database",
            hint=f"{_FORM}; names have 3 to 128 of the characters a-z, 0-9 and _",
        )
    return name


def _scheme(query: str) -> str:
    options = dict(parse_qsl(query, keep_blank_values=True))
    unknown = [name for name in options if name not in _PARAMETERS]
    if unknown:
        raise UsageError(
            f"the Treasure Data URL has the unknown parameter {unknown[0]!r}",
            hint=f"known is {', '.join(_PARAMETERS)}",
        )
    scheme = options.get("scheme", "https")
    if scheme not in ("https", "http"):
        raise UsageError("scheme in the Treasure Data URL is unknown", hint="one of https, http")
    return scheme
