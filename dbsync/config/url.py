"""Database URLs as text: built from parts, shown without their secrets.

What lives here: percent-encoding and what counts as a secret in a URL. Must not know: what a
connector makes of a URL.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote, urlsplit

from dbsync.errors import UsageError

MASK = "***"

_FILE_ENGINES = frozenset({"sqlite"})
_ENGINES = {
    "postgresql": "postgresql",
    "postgres": "postgresql",
    "mysql": "mysql",
    "mariadb": "mariadb",
    "sqlite": "sqlite",
    "td": "td",
}
_SAME = {"mariadb": "mysql"}
"""Schemes that reach the same servers; the connector asks the server what it is."""

_SOCKET = {"postgresql": "host", "mysql": "unix_socket", "mariadb": "unix_socket"}
"""What a socket is called in the query of a URL: a folder for PostgreSQL, else a file."""

_TREASURE_DATA = "td"
"""Its password is the API key, and nothing else stands before the @."""

_PORTS = {"postgresql": 5432, "mysql": 3306}
ENGINES = tuple(_ENGINES)

_SECRET_QUERY = re.compile(
    r"([?&](?:password|passwd|pwd|sslpassword|apikey|api_key|token|secret)=)([^&#\s]*)",
    re.IGNORECASE,
)
_SECRET_WORD = re.compile(
    r"(?<![\w?&])((?:password|passwd|sslpassword)\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s,;&)'\"]+)",
    re.IGNORECASE,
)
_URL_IN_TEXT = re.compile(r"\b[A-Za-z][\w+.\-]*:?//\S+")


def build_url(
    *,
    engine: str | None,
    host: str | None = None,
    port: int | None = None,
    username: str | None = None,
    password: str | None = None,
    database: str | None = None,
) -> str:
    """Make a URL out of its parts, each percent-encoded.

    A host that is an absolute path is a Unix socket: its folder for PostgreSQL, the socket itself
    for MySQL and MariaDB. For SQLite `database` is the path of the file and nothing else may be
    given. Raises `UsageError`.
    """
    if engine is None:
        raise UsageError(
            "the database is described without --engine",
            hint=f"add --engine ({', '.join(ENGINES)}), or give one --url",
        )
    scheme = _ENGINES.get(engine.lower())
    if scheme is None:
        raise UsageError(f"unknown engine {engine!r}", hint=f"one of {', '.join(ENGINES)}")
    if not database:
        raise UsageError("the database is described without --database", hint="add its name")
    if scheme in _FILE_ENGINES:
        if host or port or username or password:
            raise UsageError(
                "SQLite takes no host, port, username or password",
                hint="give only --engine sqlite and --database FILE",
            )
        return f"{scheme}:///{quote(database, safe='/:')}"
    if scheme == _TREASURE_DATA and (username or password or not host):
        raise UsageError(
            "Treasure Data takes a host and an API key, no username or password",
            hint="give --host with the region or the endpoint, such as eu01, and the key as "
            "DBSYNC_TD_API_KEY",
        )
    name = quote(database, safe="")
    user = quote(username, safe="") if username else ""
    if password:
        user += ":" + quote(password, safe="")
    authority = f"{user}@" if user else ""
    if host and host.startswith("/"):
        suffix = f"&port={port}" if port and scheme == "postgresql" else ""
        return f"{scheme}://{authority}/{name}?{_SOCKET[scheme]}={quote(host, safe='')}{suffix}"
    if host and ":" in host and not host.startswith("["):
        host = f"[{host}]"
    if port and not host and scheme != "postgresql":
        host = "localhost"
    place = (host or "") + (f":{port}" if port else "")
    if port and not host and scheme == "postgresql":
        return f"{scheme}://{authority}/{name}?port={port}"
    return f"{scheme}://{authority}{place}/{name}"


def has_password(url: str) -> bool:
    """Say whether a URL carries a password."""
    return bool(secrets_of(url))


def with_password(url: str, password: str) -> str:
    """Put a password into a URL, in place of the one it may have."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    start, end = _userinfo(rest, is_treasure_data(url))
    user = rest[start:end].partition(":")[0]
    tail = rest[end + 1 :] if end else rest
    return f"{scheme}://{user}:{quote(password, safe='')}@{tail}"


def takes_password(url: str) -> bool:
    """Say whether the engine behind a URL knows passwords at all."""
    return _scheme(url) not in {*_FILE_ENGINES, _TREASURE_DATA}


def is_treasure_data(url: str) -> bool:
    """Say whether a URL names a database of Treasure Data."""
    return _scheme(url) == _TREASURE_DATA


def redact(text: str) -> str:
    """Mask the password of a URL, or of every URL and ``password=`` in a longer text.

    Works on malformed URLs too: in doubt it hides more than the password.
    """
    text = _URL_IN_TEXT.sub(lambda match: _redact_url(match.group()), text)
    text = _SECRET_QUERY.sub(rf"\1{MASK}", text)
    return _SECRET_WORD.sub(rf"\1{MASK}", text)


def secrets_of(url: str) -> frozenset[str]:
    """Collect the secrets in a URL, as written and percent-decoded."""
    found: set[str] = set()
    _, separator, rest = url.partition("//")
    if separator:
        start, end = _userinfo(rest, is_treasure_data(url))
        user, colon, password = rest[start:end].partition(":")
        if colon and password:
            found.add(password)
        if user and is_treasure_data(url):
            found.add(user)
    found.update(value for _, value in _SECRET_QUERY.findall(url) if value)
    return frozenset(found | {unquote(secret) for secret in found})


def same_database(one: str, other: str) -> bool:
    """Say whether two URLs plainly name the same database; different spellings may hide it."""
    return _identity(one) == _identity(other)


def _identity(url: str) -> tuple[object, ...]:
    parts = urlsplit(url)
    scheme = _scheme(url)
    scheme = _ENGINES.get(scheme, scheme)
    scheme = _SAME.get(scheme, scheme)
    try:
        port = parts.port
    except ValueError:
        return (url,)
    port = port or _PORTS.get(scheme)
    # The same names in another account of Treasure Data are another database.
    account = parts.password if scheme == _TREASURE_DATA else None
    return (
        *(scheme, (parts.hostname or "").lower(), port),
        *(unquote(parts.path), parts.query, account),
    )


def _scheme(url: str) -> str:
    return url.partition(":")[0].partition("+")[0].lower()


def _redact_url(url: str) -> str:
    head, separator, rest = url.partition("//")
    start, end = _userinfo(rest, is_treasure_data(url))
    user, colon, password = rest[start:end].partition(":")
    if user and is_treasure_data(url):
        return f"{head}{separator}{MASK}{rest[end:]}"
    if not colon or not password:
        return url
    return f"{head}{separator}{user}:{MASK}{rest[end:]}"


def _userinfo(rest: str, slashes: bool) -> tuple[int, int]:
    """Find user and password behind ``//``: from 0 to the index of the ``@``, or (0, 0).

    `slashes` says that the password usually has some, as the keys of Treasure Data do.
    """
    if slashes:
        return 0, max(0, rest.rfind("@"))
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" in authority:
        return 0, authority.rindex("@")
    # An @ after the authority belongs to a query or a path, unless what looks like a port is no
    # number: then it is a password with a / or ? that should have been percent-encoded.
    _, colon, port = authority.partition(":")
    if colon and "@" in rest and not port.isdigit() and not authority.startswith("["):
        return 0, rest.rindex("@")
    return 0, 0
