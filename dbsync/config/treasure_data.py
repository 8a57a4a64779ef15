"""Options of the commands that reach Treasure Data: the key, and how it is read and written.

What lives here: which key belongs to which side, the grammar of time ranges, and which option
means which side. Must not know: what a connector makes of them.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from dbsync.config.environment import Origin
from dbsync.config.given import Given
from dbsync.config.text import parse_duration, parse_table_columns
from dbsync.config.url import has_password, is_treasure_data, with_password
from dbsync.connectors.options import TreasureDataOptions
from dbsync.errors import UsageError

KEY_OPTIONS = ("td_api_key", "from_td_api_key", "to_td_api_key")
"""Options whose value is an API key."""

_OWN_KEYS = {"source": "from_td_api_key", "target": "to_td_api_key"}
_OF_SOURCE = ("td_time_range", "td_time")
_OF_TARGET = ("td_time_column",)
_LONGEST = timedelta(days=1)


def with_key(given: Given, url: str, place: str = "url") -> str:
    """Complete a URL of Treasure Data with the API key that is meant for it; others stay the same.

    `place` is the option that gave the URL. Of a clone's two sides, the key of a side's own comes
    before the one for both where they have one origin. Raises `UsageError` for no key, or two.
    """
    if not is_treasure_data(url):
        return url
    own = _OWN_KEYS.get(place)
    named = [name for name in (own, "td_api_key") if name and given.text(name)]
    name = max(named, key=given.origin, default=None)
    if has_password(url):
        if name is None or given.origin(name) < given.origin(place):
            return url
        if given.origin(name) == given.origin(place) is not Origin.DEFAULT:
            raise UsageError(
                f"{given.label(place)} has an API key, and {given.label(name)} gives another",
                hint="give it once",
            )
    if name is None:
        own_variable = f"DBSYNC_{own.upper()} or " if own else ""
        raise UsageError(
            "there is no API key for Treasure Data",
            hint=f"set {own_variable}DBSYNC_TD_API_KEY, or DBSYNC_TD_API_KEY_FILE to the name of "
            "a file that holds it",
        )
    return with_password(url, (given.text(name) or "").strip())


def treasure_data_options(
    given: Given, *, source: str | None = None, target: str | None = None
) -> TreasureDataOptions | None:
    """Gather how Treasure Data is read and written; None where neither side is Treasure Data.

    Raises `UsageError` for what is malformed, and for flags that mean a side that is none.
    """
    for names, url in ((_OF_SOURCE, source), (_OF_TARGET, target)):
        if url is not None and is_treasure_data(url):
            continue
        for name in names:
            if given.origin(name) is Origin.FLAG:
                what = "read" if names is _OF_SOURCE else "written"
                raise UsageError(
                    f"{given.label(name)}: no Treasure Data is {what} here", hint="leave it out"
                )
    if not any(url is not None and is_treasure_data(url) for url in (source, target)):
        return None
    defaults = TreasureDataOptions()
    time_range, timeout = given.text("td_time_range"), given.text("timeout")
    return TreasureDataOptions(
        time_range=parse_time_range(time_range, given.label("td_time_range"))
        if time_range is not None
        else None,
        keep_time=given.text("td_time") != "drop",
        time_columns=parse_table_columns(
            given.texts("td_time_column"), given.label("td_time_column")
        ),
        timeout_s=_seconds(timeout, given.label("timeout")) if timeout else defaults.timeout_s,
        table_parallelism=given.number("table_parallelism") or defaults.table_parallelism,
        download_parallelism=given.number("download_parallelism") or defaults.download_parallelism,
    )


def parse_time_range(text: str, label: str) -> tuple[int | None, int | None]:
    """Read ``FROM,TO`` into Unix seconds, half open; either may be empty, but not both.

    A moment is Unix seconds, or an ISO 8601 date or time, in UTC where it names no zone. Raises
    `UsageError`.
    """
    first, comma, last = text.partition(",")
    if not comma:
        raise UsageError(
            f"{label} {text!r}: not of the form FROM,TO", hint="leave a side empty to leave it open"
        )
    start, end = (_moment(part.strip(), text, label) for part in (first, last))
    if start is None and end is None:
        raise UsageError(f"{label} {text!r}: both sides are empty", hint="leave the option out")
    if start is not None and end is not None and start >= end:
        raise UsageError(
            f"{label} {text!r}: no moment lies in it", hint="TO is the first moment after the range"
        )
    return start, end


def _moment(text: str, whole: str, label: str) -> int | None:
    if not text:
        return None
    if text.removeprefix("-").isdecimal() and text.isascii():
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{label} {whole!r}: {text!r} is no moment",
            hint="write Unix seconds, or 2026-01-31 or 2026-01-31T12:00:00Z",
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    if moment.microsecond:
        raise UsageError(f"{label} {whole!r}: {text!r} is no whole second")
    return int(moment.timestamp())


def _seconds(text: str, label: str) -> float:
    seconds = f"{text}s" if text.strip().isdecimal() else text
    span = parse_duration(seconds, label, minimum=timedelta(seconds=1), maximum=_LONGEST)
    return span.total_seconds()
