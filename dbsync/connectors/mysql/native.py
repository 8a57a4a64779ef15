"""Native DDL as text: what has to be done to a statement before a server runs it again.

What lives here: taking the definer out, and the bytes of a statement for a client of another
character set. Must not know: catalogs, which objects are exported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dbsync.connectors.mysql.tokens import Token, tokenize, without

_SAME_BYTES = frozenset({"utf8mb4", "utf8mb3", "utf8", "binary"})
_CODECS = {
    "latin2": "iso8859_2", "latin5": "iso8859_9", "latin7": "iso8859_13", "greek": "iso8859_7",
    "hebrew": "iso8859_8", "cp1250": "cp1250", "cp1251": "cp1251", "cp1256": "cp1256",
    "cp1257": "cp1257", "cp850": "cp850", "cp852": "cp852", "cp866": "cp866", "koi8r": "koi8_r",
    "koi8u": "koi8_u",
}  # fmt: skip
"""Character sets of clients that have one byte for each character."""

_BEFORE_DEFINER = frozenset(
    {"CREATE", "OR", "REPLACE", "ALGORITHM", "=", "UNDEFINED", "MERGE", "TEMPTABLE", "AGGREGATE"}
)


def without_definer(sql: str, sql_mode: str = "") -> str:
    """Take ``DEFINER = ...`` out of a CREATE statement, so that whoever runs it is the definer.

    `sql_mode` is the one that the statement was written under; it decides what double quotes are.
    Only the clause in front of the object's kind is taken, never what a body holds. A statement
    without one comes back as it is.
    """
    tokens = tokenize(sql, sql_mode)
    solid = [place for place, token in enumerate(tokens) if token.kind not in ("space", "comment")]
    for at, place in enumerate(solid):
        word = tokens[place].upper
        if word == "DEFINER" and at > 0:
            end = _after_principal(tokens, solid, at + 1)
            return sql if end is None else without(sql, [(tokens[place].start, end)])
        if word not in _BEFORE_DEFINER:
            return sql
    return sql


def _after_principal(tokens: Sequence[Token], solid: Sequence[int], at: int) -> int | None:
    """Find the end of ``= user@host``, with the blanks after it; None where it is not that."""
    if at + 1 >= len(solid) or tokens[solid[at]].text != "=":
        return None
    place = solid[at + 1]
    if tokens[place].upper in ("CURRENT_USER", "CURRENT_ROLE"):
        if [token.text for token in tokens[place + 1 : place + 3]] == ["(", ")"]:
            place += 2
    else:
        place = _after_host(tokens, place)
    place += 1
    while place < len(tokens) and tokens[place].kind == "space":
        place += 1
    return tokens[place].start if place < len(tokens) else None


def _after_host(tokens: Sequence[Token], place: int) -> int:
    """Find the last token of a user and its host, either of them in any quotes or bare."""
    following = [p for p in range(place + 1, len(tokens)) if tokens[p].kind != "space"]
    if "@" not in tokens[place].text or tokens[place].kind != "word":
        if not following or not tokens[following[0]].text.startswith("@"):
            return place  # a role
        place = following[0]
        if tokens[place].text == "@":
            place = following[1] if len(following) > 1 else place
    # A bare host may hold dots and hyphens, which are tokens of their own.
    while (
        tokens[place].kind in ("word", "sign")
        and place + 2 < len(tokens)
        and tokens[place + 1].text in (".", "-")
    ):
        place += 2
    return place


def replayable(sql: str, settings: Mapping[str, str]) -> tuple[str | bytes, dict[str, str]]:
    """Give a statement and its settings as they have to be sent over a connection of UTF-8.

    Under ``character_set_client`` the server takes the bytes for another character set: the
    statement is given in that one. Where Python does not know it, the setting is left out; the
    statement means the same then, and only SHOW CREATE tells the difference.
    """
    charset = settings.get("character_set_client", "utf8mb4").lower()
    if sql.isascii() or charset in _SAME_BYTES:
        return sql, dict(settings)
    try:
        if charset == "latin1":
            return b"".join(_latin1(c) for c in sql), dict(settings)
        return sql.encode(_CODECS[charset]), dict(settings)
    except (KeyError, UnicodeEncodeError):
        return sql, {k: v for k, v in settings.items() if k != "character_set_client"}


def _latin1(character: str) -> bytes:
    """Encode one character in the server's latin1: cp1252, and control characters in its holes."""
    if character in "\x81\x8d\x8f\x90\x9d":
        return bytes([ord(character)])
    return character.encode("cp1252")
