"""Settings under which objects were made: kept where the server has them, else reported."""

from __future__ import annotations

from dbsync.connectors.mysql.settings import PossibleSettings
from dbsync.errors import TargetError
from dbsync.model.schema import Name, NativeObject
from tests.unit.connectors.mysql.catalogs import session

KNOWN = {
    "sql_mode": "ANSI_QUOTES,NO_BACKSLASH_ESCAPES",
    "character_set_client": "latin1",
    "collation_connection": "latin1_german2_ci",
    "collation_database": "utf8mb4_unicode_ci",
    "time_zone": "-03:30",
}


def _object(settings: dict[str, str]) -> NativeObject:
    return NativeObject(
        kind="EVENT", name=Name(None, "e"), sql="", section="after_rows", settings=settings
    )


def test_known_settings_are_kept(maria_url: str) -> None:
    """Nothing is left out or reported, and the session's own settings stay as they were."""
    with session(maria_url, TargetError) as opened:
        variables = ", ".join(f"@@SESSION.{name} AS {name}" for name in KNOWN)
        before = opened.rows(f"SELECT {variables}", "reading")
        settings = PossibleSettings(opened)
        assert settings.of(_object(KNOWN)) == KNOWN
        assert settings.losses() == []
        assert opened.rows(f"SELECT {variables}", "reading") == before


def test_unknown_settings_are_left_out_and_reported(maria_url: str) -> None:
    """Those of MySQL alone, and a zone that the server has no table of, in one line each."""
    unknown = {
        "sql_mode": "TIME_TRUNCATE_FRACTIONAL",
        "collation_connection": "utf8mb4_0900_ai_ci",
        "collation_database": "utf8mb4_0900_as_cs",
        "time_zone": "Middle/Earth",
    }
    given = {**KNOWN, **unknown, "sql_mode": f"ANSI_QUOTES,{unknown['sql_mode']}"}
    kept = {"sql_mode": "ANSI_QUOTES", "character_set_client": "latin1"}
    with session(maria_url, TargetError) as opened:
        settings = PossibleSettings(opened)
        assert settings.of(_object(given)) == kept
        assert settings.of(_object(given)) == kept
        losses = settings.losses()
    assert {loss.severity for loss in losses} == {"changed"}
    assert {loss.object for loss in losses} == {
        f"{name} of 2 views, routines, triggers and events" for name in unknown
    }
    for value in unknown.values():
        assert any(f"under {value}," in loss.reason for loss in losses)
