"""Where a MySQL or MariaDB server is and how to log in to it: the URL and the TLS mode.

What lives here: `Address`, `parse_url`, and the TLS context that a mode means. Must not know: the
driver, or what is said over the connection.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from dbsync.errors import UsageError

if TYPE_CHECKING:
    import ssl

SSL_MODES = ("disabled", "preferred", "required", "verify_ca", "verify_identity")
"""As in MySQL's own clients (MySQL manual, "Command Options for Encrypted Connections")."""

_SCHEMES = ("mysql", "mariadb")
_PARAMETERS = ("unix_socket", "ssl_mode", "ssl_ca", "ssl_cert", "ssl_key", "charset")
_FORM = "the form is mysql://user:password@host:port/database?name=value"
_ESCAPES = "in user and password write @ as %40, / as %2F, : as %3A and % as %25"


@dataclass(frozen=True)
class Address:
    """One database of one server. Paths are those of files on this machine."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str
    socket: str | None = None
    ssl_mode: str = "preferred"
    ssl_ca: str | None = None
    ssl_cert: str | None = None
    ssl_key: str | None = None

    def __str__(self) -> str:
        """Name the place in messages, never with a secret."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.socket or f"{host}:{self.port}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every text that must not appear in any output."""
        return (self.password,) if self.password else ()

    def with_database(self, name: str) -> Address:
        """Return the address of another database of the same server."""
        return replace(self, database=name)


def parse_url(url: str) -> Address:
    """Split a ``mysql://`` or ``mariadb://`` URL; ``+driver`` after the scheme is ignored.

    Parts are percent-decoded as UTF-8. Known parameters: ``unix_socket``, ``ssl_mode``, ``ssl_ca``,
    ``ssl_cert``, ``ssl_key``, and ``charset``, which is ignored because sessions always speak
    utf8mb4. ``ssl_ca`` without a mode means ``verify_ca``, as in MySQL's clients. Raises
    `UsageError`, which quotes no user, password, host or value of the URL: a misplaced part may
    be the password.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.partition("+")[0].lower() not in _SCHEMES:
        raise UsageError("a MySQL URL starts with mysql:// or mariadb://", hint=_FORM)
    login, at, place = rest.partition("@")
    if not at or "/" in login:
        login, place = "", rest
    place, _, query = place.partition("?")
    if "@" in place:
        raise UsageError("the database URL has more than one @, or a / before it", hint=_ESCAPES)
    user, _, password = login.partition(":")
    authority, _, path = place.partition("/")
    host, port = _host_and_port(authority)
    database = _decode(path)
    if not database or "/" in path:
        raise UsageError("the database URL does not name one database", hint=_FORM)
    options = _options(query)
    default_mode = "verify_ca" if "ssl_ca" in options else "preferred"
    mode = options.get("ssl_mode", default_mode).lower().replace("-", "_")
    if mode not in SSL_MODES:
        raise UsageError(
            "ssl_mode in the database URL is unknown", hint=f"one of {', '.join(SSL_MODES)}"
        )
    if "ssl_key" in options and "ssl_cert" not in options:
        raise UsageError("ssl_key in the database URL needs ssl_cert as well")
    return Address(
        host=host,
        port=port,
        user=_decode(user),
        password=_decode(password),
        database=database,
        socket=options.get("unix_socket"),
        ssl_mode=mode,
        ssl_ca=options.get("ssl_ca"),
        ssl_cert=options.get("ssl_cert"),
        ssl_key=options.get("ssl_key"),
    )


def tls_context(address: Address) -> ssl.SSLContext | None:
    """Build the TLS context that the address's mode means; None where TLS is not to be used.

    The modes that verify trust ``ssl_ca``, or without it the system's authorities. A socket file
    is not encrypted unless the mode demands it. Raises `OSError` for an unreadable file (of which
    `ssl.SSLError` is a subclass).
    """
    import ssl

    preferred = address.ssl_mode == "preferred"
    if address.ssl_mode == "disabled" or (preferred and address.socket):
        return None
    context = ssl.create_default_context(cafile=address.ssl_ca)
    context.check_hostname = address.ssl_mode == "verify_identity"
    if not address.ssl_mode.startswith("verify"):
        context.verify_mode = ssl.CERT_NONE
    # The certificates that a MySQL server makes for itself lack what the strict mode of newer
    # OpenSSL versions demands.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if address.ssl_cert:
        context.load_cert_chain(address.ssl_cert, keyfile=address.ssl_key)
    return context


def _host_and_port(authority: str) -> tuple[str, int]:
    if authority.startswith("["):
        host, closed, port = authority[1:].partition("]")
        if not closed or (port and not port.startswith(":")):
            raise UsageError("the IPv6 address in the database URL is malformed", hint=_FORM)
        port = port[1:]
    else:
        host, _, port = authority.partition(":")
    if port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise UsageError("the port in the database URL is not a number", hint=_ESCAPES)
    return _decode(host) or "localhost", int(port or 3306)


def _options(query: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for part in query.split("&") if query else ():
        name, _, value = part.partition("=")
        name = _decode(name).lower().replace("-", "_")
        if name not in _PARAMETERS:
            raise UsageError(
                f"the database URL has the unknown parameter {name!r}",
                hint=f"known are {', '.join(_PARAMETERS)}",
            )
        if name in options:
            raise UsageError(f"the database URL has the parameter {name!r} twice")
        options[name] = _decode(value)
    return {name: value for name, value in options.items() if value}


def _decode(part: str) -> str:
    try:
        text = unquote_to_bytes(part).decode("utf-8")
    except UnicodeDecodeError:
        raise UsageError("a part of the database URL is not UTF-8", hint=_ESCAPES) from None
    if "\0" in text:
        raise UsageError("a part of the database URL holds a NUL character", hint=_ESCAPES)
    return text
