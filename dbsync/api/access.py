"""What a run needs before it starts: keys, tokens, rights.

Must not know: the command line.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

from dbsync.connectors.base import CheckItem
from dbsync.connectors.options import TreasureDataOptions
from dbsync.connectors.registry import open_source, open_target

if TYPE_CHECKING:
    from dbsync.storage.drive.credentials import Account


def authorize_drive(
    client_secrets: str,
    *,
    token: str | None = None,
    announce: Callable[[str], None],
    open_browser: bool = True,
    callback_port: int = 0,
    drive_endpoint: str | None = None,
) -> Account:
    """Let a person sign in to Google Drive in a browser, and store the token for later runs.

    `client_secrets` is the file of an OAuth client for desktop applications. The token goes into
    the file `token`, which only its owner may read, or where the other functions look for it by
    themselves. `announce` is given the address to visit. Returns whose token it is, and where.
    """
    from dbsync.storage.drive.auth import sign_in

    return sign_in(
        client_secrets,
        token,
        announce=announce,
        open_browser=open_browser,
        callback_port=callback_port,
        endpoint=drive_endpoint,
    )


def generate_key(path: str) -> str:
    """Make a key pair for encrypted archives; returns the public key, for `encrypt_to`.

    The secret key goes into a new file that only its owner may read, for `identities`. Raises
    `ConflictError` where the file exists.
    """
    from dbsync.pipeline import keys

    return keys.write_identity(path)


def readable_by_others(path: str) -> bool:
    """Say whether others than its owner may read a file, such as one with a secret key."""
    from dbsync.pipeline import keys

    return keys.readable_by_others(path)


def check(
    url: str, *, schema: str | None = None, treasure_data: TreasureDataOptions | None = None
) -> tuple[CheckItem, ...]:
    """Connect to a database and say what this role may do and what it lacks; changes nothing."""
    with closing(open_source(url, schema=schema, treasure_data=treasure_data)) as source:
        found = list(source.check())
    with closing(open_target(url, schema=schema, treasure_data=treasure_data)) as target:
        found.extend(item for item in target.check() if not _says(found, item))
    return tuple(found)


def _says(found: list[CheckItem], item: CheckItem) -> bool:
    """Say whether what was looked at for reading tells as much already."""
    return any(
        (known.item, known.ok, known.hint) == (item.item, item.ok, item.hint)
        and item.found in known.found
        for known in found
    )
