"""Calls about bulk imports, each safe to repeat: a session is asked where it stands.

What lives here: `Session` and the steps that it goes through. Must not know: which table is
temporary, what is in a part.

A step that was made already is refused by the service with one status or another; what counts is
the state that it then reports.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from dbsync.connectors.treasuredata.client import Api
from dbsync.connectors.treasuredata.failures import AnswerError
from dbsync.connectors.treasuredata.table_calls import done, held, lost_to_another
from dbsync.errors import ConflictError, TargetError

if TYPE_CHECKING:
    from dbsync.connectors.treasuredata.wire import Wire

Phase = Literal["uploading", "frozen", "performing", "ready", "committing", "committed"]
_ORDER: tuple[Phase, ...] = (
    "uploading", "frozen", "performing", "ready", "committing", "committed",
)  # fmt: skip
_REFUSED = (400, 404, 409, 422)
_LONGEST_S = 3600.0
_POLL_S = (0.1, 5.0)
"""The first pause and the longest between two looks at a session."""


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """Where a bulk import stands."""

    name: str
    database: str
    table: str
    phase: Phase
    job_id: str = ""
    valid_records: int = 0
    error_records: int = 0
    error_parts: int = 0

    def reached(self, phase: Phase) -> bool:
        """Say whether it is as far as `phase`, or further."""
        return _ORDER.index(self.phase) >= _ORDER.index(phase)


def list_sessions(api: Api) -> list[Session]:
    """List the bulk imports of the account, of every database."""
    found = api.run("list the bulk imports", lambda wire: wire.list_bulk_imports())
    return [_session(item) for item in found]


def show_session(api: Api, name: str, final: str) -> Session:
    """Ask where a session stands; see `held` for `final`."""
    doing = f"look at bulk import {name}"
    return _session(held(api, doing, lambda wire: wire.show_bulk_import(name), final), name)


def _session(item: dict[str, Any], name: str = "") -> Session:
    status = str(item.get("status"))
    if status == "uploading" and item.get("upload_frozen"):
        status = "frozen"
    if status not in _ORDER:
        # Its own words for what came to nothing; what was uploaded is still there.
        status = "frozen"
    return Session(
        name=str(item.get("name") or name),
        database=str(item.get("database") or ""),
        table=str(item.get("table") or ""),
        phase=status,
        job_id=str(item.get("job_id") or ""),
        valid_records=int(item.get("valid_records") or 0),
        error_records=int(item.get("error_records") or 0),
        error_parts=int(item.get("error_parts") or 0),
    )


def create_session(api: Api, name: str, table: str, final: str) -> None:
    """Open a session into `table`; one that exists is left as it is."""
    database = api.address.database
    doing = f"open a bulk import into table {table}"
    try:
        api.run(
            doing,
            lambda wire: wire.create_bulk_import(name, database, table),
            answers=(404, 409),
        )
    except AnswerError as error:
        if error.status == 404:
            raise lost_to_another(doing, final) from error


def delete_session(api: Api, name: str) -> None:
    """Forget a session and its parts; one that is gone is left alone."""
    done(api, f"delete bulk import {name}", lambda wire: wire.delete_bulk_import(name), 404)


def list_parts(api: Api, name: str, final: str) -> list[str]:
    """List the parts that a session has; see `held` for `final`."""
    doing = f"list the parts of bulk import {name}"
    return [
        str(part)
        for part in held(api, doing, lambda wire: wire.list_bulk_import_parts(name), final)
    ]


def upload_part(api: Api, name: str, part: str, data: bytes, final: str) -> None:
    """Upload a part; one of the same name is replaced. See `held` for `final`."""
    doing = f"upload a part of table {final}"
    try:
        held(
            api,
            doing,
            lambda w: w.bulk_import_upload_part(name, part, data, len(data)),
            final,
            answers=(409, 422),
        )
    except AnswerError as error:
        if show_session(api, name, final).reached("frozen"):
            raise ConflictError(
                f"cannot {doing}: another run of this import is finishing it",
                hint="wait for that run; if it fails, run this one again",
            ) from error
        raise TargetError(
            f"cannot {doing}: Treasure Data answers HTTP {error.status}: {error.text}"
        ) from error


def delete_part(api: Api, name: str, part: str, final: str) -> None:
    """Forget a part; one that is gone is left alone."""
    doing = f"delete a part of table {final}"
    done(api, doing, lambda wire: wire.bulk_import_delete_part(name, part), 404)


def freeze(api: Api, name: str, final: str) -> None:
    """Close a session for uploads."""
    _step(api, name, final, "frozen", lambda wire: wire.freeze_bulk_import(name))


def perform(api: Api, name: str, final: str) -> Session:
    """Start the job that reads the parts, and return the session with the job's id."""
    _step(api, name, final, "performing", lambda wire: wire.perform_bulk_import(name))
    return show_session(api, name, final)


def commit(api: Api, name: str, final: str) -> None:
    """Make the records of a session rows of its table, once, and wait until they are."""
    _step(api, name, final, "committing", lambda wire: wire.commit_bulk_import(name))
    _wait_until(api, name, "committed", final)


def wait_until_ready(api: Api, name: str, final: str) -> Session:
    """Wait until a session tells of the job that has read its parts."""
    return _wait_until(api, name, "ready", final)


def _wait_until(api: Api, name: str, phase: Phase, final: str) -> Session:
    began, pause = api.clock(), _POLL_S[0]
    while not (session := show_session(api, name, final)).reached(phase):
        if api.clock() - began > _LONGEST_S:
            raise TargetError(
                f"the bulk import into table {final} has not become {phase} in an hour",
                hint="run the same command again to go on waiting",
                retryable=True,
            )
        api.wait(pause)
        pause = min(pause * 2, _POLL_S[1])
    return session


def error_records(api: Api, name: str, most: int, final: str) -> list[str]:
    """Show the first records that the service has refused, as text."""
    return held(
        api,
        f"read the refused records of table {final}",
        lambda wire: [repr(r) for r in islice(wire.bulk_import_error_records(name), most)],
        final,
    )


def _step(api: Api, name: str, final: str, phase: Phase, call: Callable[[Wire], object]) -> None:
    """Make a step unless it was made; what a refusal means is read from the session."""
    if show_session(api, name, final).reached(phase):
        return
    doing = f"bring the bulk import into table {final} to {phase}"

    def attempt(wire: Wire) -> None:
        try:
            call(wire)
        except AnswerError as error:
            if error.status not in _REFUSED or error.status == 404:
                raise
            if not show_session(api, name, final).reached(phase):
                raise

    held(api, doing, attempt, final)
