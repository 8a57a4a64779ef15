"""Driver errors become dbsync's, by SQLSTATE, for both drivers alike."""

from __future__ import annotations

from collections.abc import Callable

import adbc_driver_manager
import psycopg2
import pytest

from dbsync.connectors.postgres.connection import open_bulk, open_session, parse_url
from dbsync.connectors.postgres.failures import cause, sqlstate, translate
from dbsync.errors import ConflictError, DbsyncError, SourceError, TargetError
from tests.servers import PASSWORD, PostgresServer


def _by_psycopg2(url: str, statement: str) -> Exception:
    connection = open_session(parse_url(url), SourceError)
    try:
        with pytest.raises(psycopg2.Error) as caught, connection.cursor() as cursor:
            cursor.execute(statement)
        return caught.value
    finally:
        connection.close()


def _by_adbc(url: str, statement: str) -> Exception:
    connection = open_bulk(parse_url(url), SourceError)
    try:
        with pytest.raises(adbc_driver_manager.Error) as caught, connection.cursor() as cursor:
            cursor.execute(statement)
        return caught.value
    finally:
        connection.close()


@pytest.mark.parametrize("run", [_by_psycopg2, _by_adbc])
@pytest.mark.parametrize(
    ("statement", "code", "kind", "retryable", "hint"),
    [
        ("SELECT missing FROM pg_class", "42703", SourceError, False, None),
        ("SELECT 1/0", "22012", SourceError, False, None),
        ("SET ROLE pg_read_all_datax", "22023", SourceError, False, None),
        (
            "DO $$ BEGIN RAISE 'secret is %' USING ERRCODE = '55P03'; END $$",
            "55P03", ConflictError, True, "lock",
        ),
        ("DO $$ BEGIN RAISE '' USING ERRCODE = '40P01'; END $$", "40P01", SourceError, True,
         "again"),
        ("DO $$ BEGIN RAISE '' USING ERRCODE = '53100'; END $$", "53100", SourceError, False,
         "disk"),
        ("DO $$ BEGIN RAISE '' USING ERRCODE = '42501'; END $$", "42501", SourceError, False,
         "right"),
        ("DO $$ BEGIN RAISE '' USING ERRCODE = '57014'; END $$", "57014", SourceError, False,
         "cancelled"),
    ],
)  # fmt: skip
def test_codes_choose_class_hint_and_retry(
    pg18: PostgresServer,
    run: Callable[[str, str], Exception],
    statement: str,
    code: str,
    kind: type[DbsyncError],
    retryable: bool,
    hint: str | None,
) -> None:
    """The same SQLSTATE gives the same error from either driver."""
    statement = statement.replace("'secret is %' USING", "'busy' USING")
    failure = run(pg18.url(), statement)
    assert sqlstate(failure) == code
    error = translate(failure, SourceError, "reading table public.t")
    assert type(error) is kind
    assert error.retryable is retryable
    assert error.message.startswith("reading table public.t failed: ")
    assert code in error.message
    assert "Query was" not in error.message
    if hint:
        assert hint in (error.hint or "")


def test_words_of_the_server_lose_position_and_secrets(pg18: PostgresServer) -> None:
    """One line, with the detail, and with every secret masked."""
    failure = _by_adbc(pg18.url(), f"SELECT '{PASSWORD}'::int")
    words = cause(failure, [PASSWORD])
    assert PASSWORD not in words
    assert "***" in words
    assert "\n" not in words


def test_errors_take_the_side_that_the_caller_names(pg18: PostgresServer) -> None:
    """The same failure is a target error while writing."""
    failure = _by_psycopg2(pg18.url(), "SELECT 1/0")
    assert type(translate(failure, TargetError, "writing")) is TargetError


def test_a_session_is_pinned_whatever_the_database_says(pg18: PostgresServer, pg_url: str) -> None:
    """Settings of server, database and role do not reach dbsync's sessions."""
    name = pg_url.rsplit("/", 1)[1]
    for setting in (
        "datestyle = 'German'", "intervalstyle = 'sql_standard'", "extra_float_digits = -3",
        "bytea_output = 'escape'", "timezone = 'America/St_Johns'", "statement_timeout = 5000",
        "search_path = 'nowhere'", "row_security = on", "transaction_timeout = 60000",
        "idle_in_transaction_session_timeout = 60000", "xmloption = 'document'",
    ):  # fmt: skip
        pg18.execute(f'ALTER DATABASE "{name}" SET {setting}')
    connection = open_session(parse_url(pg_url), SourceError, settings={"lock_timeout": "7000"})
    bulk = open_bulk(parse_url(pg_url), SourceError)
    probe = (
        "SELECT concat_ws('|', current_date - current_date + date '2024-02-01', "
        "interval '1 mon -1 days', 0.1::float8 + 0.2, '\\x00'::bytea, "
        "timestamptz '2024-01-01 00:00+00', current_setting('search_path'), "
        "current_setting('statement_timeout'), current_setting('transaction_timeout'), "
        "current_setting('idle_in_transaction_session_timeout'), "
        "current_setting('row_security'), current_setting('client_encoding'), "
        "current_setting('application_name'))"
    )
    expected = (
        r"2024-02-01|1 mon -1 days|0.30000000000000004|\x00|2024-01-01 00:00:00+00|pg_catalog"
        "|0|0|0|off|UTF8|dbsync"
    )
    try:
        with connection.cursor() as cursor:
            cursor.execute(probe)
            assert cursor.fetchone() == (expected,)
            cursor.execute("SHOW lock_timeout")
            assert cursor.fetchone() == ("7s",)
            cursor.execute("RESET search_path")
            cursor.execute("SHOW search_path")
            assert cursor.fetchone() == ("nowhere",)
        with bulk.cursor() as cursor:
            cursor.execute(probe)
            assert cursor.fetchone() == (expected,)
    finally:
        connection.close()
        bulk.close()


def test_an_address_shows_no_secret() -> None:
    """Neither as text nor as a representation."""
    address = parse_url(f"postgresql://u:{'hid%2Fden'}@h:5433/db?sslpassword=also-hidden")
    for shown in (str(address), repr(address), repr(address.public)):
        assert "hid" not in shown
    assert address.secrets == ("hid/den", "also-hidden")
    assert str(address) == "h:5433"
    assert address.database == "db"
    assert address.with_database("other").database == "other"
