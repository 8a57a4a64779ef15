"""Encrypted archives (section 13 of archive-v1.md): good ones, and one for each broken rule."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import bad
import msgspec
import samples
from age import IDENTITIES, FixedRecipients
from bad import FIRST, SECOND, Vector
from forge import Forge, Member, sha256

from dbsync.archive import Identities
from dbsync.archive.ustar import BLOCK

ONE = FixedRecipients("reader")
TWO = FixedRecipients("stranger", "reader", grease=True)


@cache
def identities() -> Identities:
    text = (IDENTITIES / "reader.txt").read_text()
    return Identities([line for line in text.splitlines() if not line.startswith("#")])


def base() -> bytes:
    """One table, two chunks, one recipient."""
    chunks: list[samples.Chunk] = [
        (0, [samples.batch(samples.ITEMS, [1, 2, 3])]),
        (0, [samples.batch(samples.ITEMS, [4, 5])]),
    ]
    return samples.archive(samples.database(samples.ITEMS), chunks, encryption=ONE)


def two_recipients() -> bytes:
    chunks: list[samples.Chunk] = []
    for number in range(2):
        chunks.append((1, [samples.batch(samples.NOTES, [f"secret note {number}", None])]))
        chunks.append((0, [samples.batch(samples.ITEMS, range(number * 10, number * 10 + 10))]))
    of = samples.database(samples.ITEMS, samples.NOTES)
    return samples.archive(of, chunks, encryption=TWO, catalog_part_rows=4)


def pieces() -> bytes:
    """A chunk of more than two of age's pieces of 64 KiB; its text is like random text."""
    lines = [sha256(b"%d" % number) for number in range(5_000)]
    rows = samples.batch(samples.NOTES, lines)
    return samples.archive(samples.database(samples.NOTES), [(0, [rows])], encryption=ONE)


def forged(edit: Callable[[Forge], object]) -> bytes:
    work = Forge(base(), ONE, identities())
    edit(work)
    return work.build()


def _extra(work: Forge) -> None:
    optional = {"name": "colours", "message": "tables have colours", "version": "9.9"}
    for document in ("dbsync.json", "^head-"):
        work.document(document, samples.with_json_fields)
        work.document(
            document, lambda head: head.update(version="1.7", features_optional=[optional])
        )
    work.members.insert(work.find(SECOND), Member("extra/colours/list.json", b"{}"))


def _tamper(change: Callable[[bytes], bytes], pattern: str = FIRST) -> Callable[[Forge], object]:
    return lambda work: work.change(pattern, tamper=change)


def _flip_payload(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def _other_mac(data: bytes) -> bytes:
    position = data.index(b"\n--- ") + 6
    letter = b"A" if data[position : position + 1] != b"A" else b"B"
    return data[:position] + letter + data[position + 1 :]


def _for_others(work: Forge) -> None:
    member = work.members[work.find(FIRST)]
    data = FixedRecipients("stranger").encrypt(member.data)
    work.change(FIRST, tamper=lambda _: data)


def _two_recipients_once(work: Forge) -> None:
    member = work.members[work.find(FIRST)]
    data = FixedRecipients("reader", "stranger").encrypt(member.data)
    work.change(FIRST, tamper=lambda _: data)


def _plain_member(work: Forge) -> None:
    work.change(FIRST, raw=True)


def _head(**fields: Any) -> Callable[[Forge], None]:
    return lambda work: work.document("dbsync.json", lambda head: head.update(fields))


def _whole_head(**fields: Any) -> Callable[[Forge], None]:
    return lambda work: work.document("^head-", lambda head: head.update(fields))


def _no_whole_head(work: Forge) -> None:
    work.members.pop(work.find("^head-"))


def _digest_of_content(work: Forge) -> None:
    """The catalog gives the digest of what was encrypted."""
    plain = sha256(work.members[work.find(FIRST)].data)
    work.edit_entries = lambda entries: [
        msgspec.structs.replace(e, sha256=plain) if e.chunk == 1 else e for e in entries
    ]


def _bomb() -> bytes:
    rows = samples.batch(samples.NOTES, ["x"])
    of = samples.database(samples.NOTES)
    work = Forge(samples.archive(of, [(0, [rows])], encryption=ONE), ONE, identities())
    work.content(FIRST, lambda _: bad._bomb())
    return work.build()


def _age_in_plain(work: Forge) -> None:
    member = work.members[work.find(FIRST)]
    data = ONE.encrypt(member.data)
    path = re.sub(r"[0-9a-f]{32}", sha256(data)[:32], member.path) + ".age"
    work.change(FIRST, path=path, data=data)


def _flip_stored(part: str, offset: int) -> bytes:
    archive = base()
    return bad._flip(archive, bad._offset(archive, part) + offset)


def vectors() -> list[Vector]:
    """List the encrypted vectors: the good ones, then the bad ones by error name."""
    good = [
        ("encrypted", "one recipient, two chunks", base),
        ("encrypted-two-recipients", "two recipients, stanzas that mean nothing, a catalog in "
         "parts", two_recipients),
        ("encrypted-pieces", "a chunk that age seals in several pieces", pieces),
        ("encrypted-minor-version", "version 1.7 with unknown fields and an encrypted extra "
         "member", partial(forged, _extra)),
    ]  # fmt: skip
    found = [Vector(name, text, make, "ok", "ok", "reader") for name, text, make in good]
    locked = "E_ENCRYPTED"
    found.append(Vector("encrypted-no-identity", "no key was given", base, locked, locked))
    stranger = "the key of somebody else was given"
    code = "E_IDENTITY"
    found.append(Vector("encrypted-stranger", stranger, base, code, code, "stranger"))
    for code, name, text, make in _WHOLE:
        found.append(Vector(name, text, make, code, code, "reader"))
    for code, name, text, edit, *stream in _FORGED:
        make = partial(forged, edit)
        found.append(Vector(name, text, make, code, stream[0] if stream else code, "reader"))
    return found


_WHOLE: list[tuple[Any, ...]] = [
    ("E_CHECKSUM", "encrypted-flipped-head", "a bit flipped in the encrypted head",
     lambda: _flip_stored("head-", BLOCK + 300)),
    ("E_CHECKSUM", "encrypted-flipped-chunk", "a bit flipped in an encrypted chunk",
     lambda: _flip_stored("00000002-", BLOCK + 300)),
    ("E_CHECKSUM", "encrypted-flipped-manifest", "a bit flipped in the encrypted manifest",
     lambda: _flip_stored("manifest.json", BLOCK + 300)),
    ("E_LIMIT", "encrypted-bomb", "two gigabytes from a dictionary page, encrypted", _bomb),
    ("E_ORDER", "encrypted-member-in-plain", "an encrypted chunk in an archive that is not",
     lambda: bad.forged(_age_in_plain)),
]  # fmt: skip

_FORGED: list[tuple[Any, ...]] = [
    ("E_DECRYPT", "encrypted-tampered-chunk", "a chunk changed under digests that fit",
     _tamper(_flip_payload)),
    ("E_DECRYPT", "encrypted-tampered-head", "the encrypted head changed under digests that fit",
     _tamper(_flip_payload, "^head-")),
    ("E_DECRYPT", "encrypted-tampered-header", "an age header that its MAC does not fit",
     _tamper(_other_mac)),
    ("E_DECRYPT", "encrypted-cut-chunk", "an age file without its last byte",
     _tamper(lambda data: data[:-1])),
    ("E_DECRYPT", "encrypted-no-age-file", "a chunk that is no age file",
     _tamper(lambda _: b"PAR1 is how Parquet begins")),
    ("E_DECRYPT", "encrypted-long-header", "an age header of many stanzas",
     _tamper(lambda data: data.replace(b"\n", b"\n" + b"-> x\n\n" * 3_000, 1))),
    ("E_DECRYPT", "encrypted-for-others", "a chunk that only another key opens", _for_others),
    ("E_SCHEMA_MISMATCH", "encrypted-one-more-recipient",
     "a chunk with more recipients than the head says", _two_recipients_once),
    ("E_SCHEMA_MISMATCH", "encrypted-other-count", "the head counts other recipients",
     _head(encryption={"recipients": 2})),
    ("E_SCHEMA_MISMATCH", "encrypted-heads-differ", "the two heads name different archives",
     _whole_head(archive_id="another")),
    ("E_JSON", "encrypted-no-count", "a public head that does not count recipients",
     lambda work: work.document("dbsync.json", lambda head: head.pop("encryption"))),
    ("E_JSON", "encrypted-many-recipients", "more recipients than the format allows",
     _head(encryption={"recipients": 65})),
    ("E_ORDER", "encrypted-no-head", "the encrypted head is missing", _no_whole_head),
    ("E_ORDER", "encrypted-plain-chunk", "a chunk that is not encrypted", _plain_member),
    ("E_ORDER", "encrypted-plain-manifest", "a manifest that is not encrypted",
     lambda work: setattr(work, "raw_manifest", True)),
    ("E_CATALOG_MISMATCH", "encrypted-digest-of-content",
     "the catalog gives the digest of a chunk's content", _digest_of_content),
]  # fmt: skip
