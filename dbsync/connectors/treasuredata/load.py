"""An import into Treasure Data under way: sessions, temporary tables, and their end.

What lives here: `TdLoad`, and in which order things happen so that a run may be killed at any
point. Must not know: how rows are spelled, how a call is repeated.

A table that is created or replaced is loaded into a temporary table, which then takes the final
name; rows that are appended are committed straight into the table, all at once. The bulk import
of a table is its ledger: it has the parts of every chunk that was uploaded, is committed once, and
its name keeps the id of the temporary table, which tells whether that has its final name yet.
Until a session is committed nothing is visible; from there on each step looks first whether it
was done. Sessions are deleted last, so that whoever comes back finds how far it was.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import Self

from msgspec.structs import replace

from dbsync.connectors.base import ImportOptions, Stage, TablePlan
from dbsync.connectors.treasuredata import bulk_calls as bulk
from dbsync.connectors.treasuredata import table_calls as tables
from dbsync.connectors.treasuredata.client import Api
from dbsync.connectors.treasuredata.counting import count_rows
from dbsync.connectors.treasuredata.finish import (
    Loading,
    check_appended,
    check_records,
    put_in_place,
    require_rows,
)
from dbsync.connectors.treasuredata.jobs import FAILED, job_status, wait_for_job
from dbsync.connectors.treasuredata.names import is_temporary
from dbsync.connectors.treasuredata.parts import read_ledger
from dbsync.connectors.treasuredata.plan import Landing, Landings
from dbsync.connectors.treasuredata.writer import PartWriter
from dbsync.errors import DatabaseError, LossError, TargetError
from dbsync.model.schema import Name


class _EveryChunk(frozenset[tuple[Name, int]]):
    """The chunks of an import of which nothing is left to be written."""

    def __contains__(self, chunk: object) -> bool:
        return True


class TdLoad:
    """See `dbsync.connectors.base.Load`; writers may be used from several threads at once."""

    def __init__(self, api: Api, landings: Landings, options: ImportOptions):
        self._api = api
        self._landings = landings
        self._options = options
        self._loading: dict[Name, Loading] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Keep what was uploaded for a run that goes on, unless none could."""
        if not isinstance(error, LossError):
            return
        for one in self._loading.values():
            if one.session.reached("committing"):
                continue
            # What cannot be removed now is removed by the next import; the loss is what matters.
            with suppress(DatabaseError):
                if one.landing.replaces:
                    tables.delete_table(self._api, one.landing.marks.table)
                bulk.delete_session(self._api, one.session.name)

    # Before the rows

    def create(self) -> Iterator[tuple[Stage, str]]:
        """Make the database, temporary tables and sessions; see `Load.create`."""
        if self._landings.complete:
            return
        if self._landings.new_database:
            yield "create", f"database {self._api.address.database}"
            tables.create_database(self._api)
        there = tables.list_tables(self._api) or {}
        sessions = {session.name: session for session in bulk.list_sessions(self._api)}
        fresh: list[Landing] = []
        for landing in self._landings.tables:
            found = sessions.get(landing.session.name) if landing.session else None
            if found is not None and self._hopeless(found, landing):
                found = None
            if found is None:
                yield "create", landing.final
                self._remove_empty(landing, there)
            self._remove_remains(landing, found, there, sessions)
            if found is not None:
                yield "ledger", landing.final
                self._go_on(landing, found)
            else:
                self._begin(landing)
                fresh.append(landing)
        there = tables.list_tables(self._api) or {}
        for landing in fresh:
            yield "ledger", landing.final
            self._open(landing, there)

    def _hopeless(self, session: bulk.Session, landing: Landing) -> bool:
        """Say whether a session has read its parts and will never be committed."""
        if session.reached("committing") or not session.job_id:
            return False
        if job_status(self._api, session.job_id) in FAILED:
            return True
        ledger = read_ledger(bulk.list_parts(self._api, session.name, landing.final))
        short = bool(ledger.rows) and session.valid_records != sum(ledger.rows.values())
        bad = session.error_records or session.error_parts
        return session.reached("ready") and bool(bad or short)

    def _remove_remains(
        self,
        landing: Landing,
        kept: bulk.Session | None,
        there: dict[str, tables.TableState],
        sessions: dict[str, bulk.Session],
    ) -> None:
        """Delete what other imports into the same table have left, and this one if it is begun."""
        family, own = landing.marks.family, landing.marks
        for name in sessions:
            if name.startswith(family) and (kept is None or name != kept.name):
                bulk.delete_session(self._api, name)
        for name in there:
            own_one = kept is not None and name == own.table
            if name.startswith(family) and is_temporary(name) and not own_one:
                tables.delete_table(self._api, name)

    def _remove_empty(self, landing: Landing, there: dict[str, tables.TableState]) -> None:
        """Delete the empty table that an import had made to swap it away and left.

        While there is a temporary table beside it, that is what it is known by.
        """
        final = landing.final
        if landing.remains and final in there and not count_rows(self._api, final):
            tables.delete_table(self._api, final)

    def _go_on(self, landing: Landing, session: bulk.Session) -> None:
        ledger = read_ledger(bulk.list_parts(self._api, session.name, landing.final))
        if not session.reached("frozen"):
            for part in ledger.stray:
                bulk.delete_part(self._api, session.name, part, landing.final)
        self._loading[landing.plan.source.name] = Loading(
            landing=landing, session=session, rows=dict(ledger.rows), chunks=ledger.chunks
        )

    def _begin(self, landing: Landing) -> None:
        if landing.replaces:
            temporary, layout = landing.marks.table, landing.layout
            tables.create_table(self._api, temporary)
            tables.describe_table(
                self._api, temporary, layout.schema, landing.expire_days, landing.final
            )

    def _open(self, landing: Landing, there: dict[str, tables.TableState]) -> None:
        own, into, before = landing.marks, landing.final, None
        name = own.session
        if landing.replaces:
            into = own.table
            if into not in there:
                raise tables.lost_to_another(f"load table {landing.final}", landing.final)
            if not there[into].id:
                raise TargetError(
                    f"cannot load table {landing.final}: Treasure Data lists no ids of tables, by "
                    "which dbsync knows whether one has taken the place of another"
                )
            name = f"{own.session}_{there[into].id}"
        else:
            before = count_rows(self._api, into)
        bulk.create_session(self._api, name, into, landing.final)
        session = bulk.show_session(self._api, name, landing.final)
        self._loading[landing.plan.source.name] = Loading(
            landing=landing, session=session, before=before
        )

    # Rows

    def committed(self) -> frozenset[tuple[Name, int]]:
        """List the chunks whose parts an earlier run has uploaded."""
        if self._landings.complete:
            return _EveryChunk()
        return frozenset(
            (name, chunk) for name, one in self._loading.items() for chunk in one.chunks
        )

    def writer(self, table: TablePlan) -> PartWriter:
        """Open a writer for one table; see `Load.writer`."""
        one = self._loading[table.source.name]
        name, final = one.session.name, one.landing.final

        def upload(part: str, rows: int, data: bytes) -> None:
            bulk.upload_part(self._api, name, part, data, final)
            with self._lock:
                one.rows[part] = rows

        return PartWriter(table.source, one.landing.layout, self._options.made_at, upload)

    # After the rows

    def finalize(self) -> Iterator[tuple[Stage, str]]:
        """Commit each session once, check what arrived, put tables in place; see `Load`."""
        loading = list(self._loading.values())
        for one in loading:
            # The service's jobs run side by side: all are started before the first is awaited.
            yield "perform", one.landing.final
            self._perform(one)
        for one in loading:
            yield "publish", one.landing.final
            self._commit(one)
        for one in loading:
            if one.landing.replaces:
                put_in_place(self._api, one)
        yield "cleanup", ""
        self._clean_up()

    def _perform(self, one: Loading) -> None:
        name, final = one.session.name, one.landing.final
        if not one.session.reached("frozen"):
            found = read_ledger(bulk.list_parts(self._api, name, final))
            require_rows(one, found)
            if not one.rows:
                return
            bulk.freeze(self._api, name, final)
        if one.session.phase in ("uploading", "frozen"):
            one.session = bulk.perform(self._api, name, final)

    def _commit(self, one: Loading) -> None:
        name, final = one.session.name, one.landing.final
        if one.session.reached("performing") and not one.session.reached("committed"):
            if not one.session.reached("committing"):
                if one.session.job_id:
                    wait_for_job(self._api, f"load table {final}", one.session.job_id)
                one.session = bulk.wait_until_ready(self._api, name, final)
                check_records(self._api, one)
            bulk.commit(self._api, name, final)
            one.session = replace(one.session, phase="committed")
            if not one.landing.replaces:
                check_appended(self._api, one)

    def _clean_up(self) -> None:
        """Delete temporary tables, then sessions, which tell the next run how far each table is.

        So that none that is stopped in the middle of this finds only some of them, many tables are
        marked first as being all in place.
        """
        mark, landings = self._landings.mark, self._landings.tables
        for landing in landings:
            if landing.replaces:
                tables.delete_table(self._api, landing.marks.table)
        if len(landings) > 1 and not self._landings.complete:
            final = landings[0].final
            bulk.create_session(self._api, mark, final, final)
        own = {landing.marks.session for landing in landings}
        for session in bulk.list_sessions(self._api):
            if session.name in own or session.name.rpartition("_")[0] in own:
                bulk.delete_session(self._api, session.name)
        if len(landings) > 1:
            bulk.delete_session(self._api, mark)
