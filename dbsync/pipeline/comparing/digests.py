"""Digests of rows by key range, within bounded memory whatever the number of rows.

What lives here: `RangeDigests`, a histogram whose bins are the leading bits of positions
(`dbsync.pipeline.comparing.keys`) and whose values are additive digests. Must not know: where rows
come from, what positions mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
import pyarrow as pa

from dbsync.model.values import RowsDigest
from dbsync.model.values.kernels import pc

BINS = 4096
"""Most bins of one table; more would be halved."""
_MODULUS = 1 << 128

Bins = dict[bytes, "list[int]"]


class RangeDigests:
    """Digests by key range, of one side.

    A bin is called by the first `bits` bits of its positions, with zeros up to a whole byte. Rows
    come in any order; when there are more than `limit` bins, all become twice as wide until there
    are not. Digests of the same rows on two sides are equal, bin by bin, once both have the same
    `bits`. Used by one thread at a time.
    """

    def __init__(self, width: int, limit: int = BINS, *, bits: int | None = None):
        self.width = width
        self.bits = width * 8 if bits is None else bits
        self._limit = limit
        self._bins: Bins = {}

    def __len__(self) -> int:
        return len(self._bins)

    def items(self) -> list[tuple[bytes, RowsDigest]]:
        """List bins and their digests in the order of the keys."""
        return [(b, RowsDigest(n, s % _MODULUS)) for b, (n, s) in sorted(self._bins.items())]

    def total(self) -> RowsDigest:
        """Give the digest of all rows."""
        count = sum(n for n, _ in self._bins.values())
        return RowsDigest(count, sum(s for _, s in self._bins.values()) % _MODULUS)

    def add(self, positions: pa.Array, hashes: Sequence[bytes]) -> None:
        """Add rows, at most 2^20 of them: their positions and what `row_hashes` made of them."""
        codes, names = leading(positions, self.bits)
        if len(names) > self._limit:
            self.coarsen(_finest(names, self.bits, self._limit))
            codes, names = leading(positions, self.bits)
        counts = np.bincount(codes, minlength=len(names)).tolist()
        # Sums of so many 32-bit numbers are exact in the doubles that bincount adds up.
        parts = np.frombuffer(b"".join(hashes), "<u4").reshape(-1, 4)
        limbs = [
            np.bincount(codes, weights=parts[:, limb], minlength=len(names)).tolist()
            for limb in range(4)
        ]
        bins = self._bins
        for number, name in enumerate(names):
            value = sum(int(limb[number]) << (32 * n) for n, limb in enumerate(limbs))
            _put(bins, name, counts[number], value)
        self._shrink()

    def merge(self, other: RangeDigests) -> None:
        """Add the rows of `other`, which may be changed to the same width of bins."""
        self.coarsen(other.bits)
        other.coarsen(self.bits)
        for name, (count, value) in other._bins.items():
            _put(self._bins, name, count, value)
        self._shrink()

    def coarsen(self, bits: int) -> None:
        """Join bins until `bits` bits or fewer tell them apart."""
        if bits >= self.bits:
            return
        joined: Bins = {}
        for name, (count, value) in self._bins.items():
            _put(joined, cut(name, bits), count, value)
        self._bins, self.bits = joined, bits

    def _shrink(self) -> None:
        if len(self._bins) > self._limit:
            self.coarsen(_finest(self._bins, self.bits, self._limit))


def _finest(names: Iterable[bytes], bits: int, limit: int) -> int:
    """Say how many bits leave no more than `limit` of distinct `names` of `bits` bits."""
    ordered = sorted(names)
    size = len(ordered[0])
    octets = np.frombuffer(b"".join(ordered), np.uint8).reshape(-1, size)
    unlike = octets[1:] ^ octets[:-1]
    first = np.argmax(unlike != 0, axis=1)
    odd = unlike[np.arange(len(first)), first]
    # So many bits are the same in neighbours; as many bins are left as neighbours differ, and one.
    shared = first * 8 + 8 - np.frexp(odd)[1]
    return min(bits, int(np.partition(shared, limit - 1)[limit - 1]))


def _put(bins: Bins, name: bytes, count: int, value: int) -> None:
    found = bins.get(name)
    if found is None:
        bins[name] = [count, value]
    else:
        found[0] += count
        found[1] = (found[1] + value) % _MODULUS


def row_hashes(rows: pa.Array) -> list[bytes]:
    """Hash canonical rows, each to 16 bytes, as ``formats/types-v1.md`` section 9 says."""
    return [blake2b(row, digest_size=16).digest() for row in rows.to_pylist()]


def cut(name: bytes, bits: int) -> bytes:
    """Keep the first `bits` bits of a position, with zeros up to a whole byte."""
    whole, rest = divmod(bits, 8)
    if not rest:
        return name[:whole]
    return name[:whole] + bytes([name[whole] & (0xFF00 >> rest) & 0xFF])


def highest(name: bytes, bits: int) -> bytes:
    """Give the greatest position, up to a whole byte, that begins with the bits of `name`."""
    rest = bits % 8
    return name if not rest else name[:-1] + bytes([name[-1] | (0xFF >> rest)])


def leading(positions: pa.Array, bits: int) -> tuple[np.ndarray[Any, Any], list[bytes]]:
    """Cut positions to their first `bits` bits: a code for each row, and what bin it means."""
    size = -(-bits // 8)
    if size == 0 or len(positions) == 0:
        return np.zeros(len(positions), np.int64), [b""] if len(positions) else []
    padded = pc.binary_slice(
        pc.binary_join_element_wise(
            positions, pa.scalar(bytes(size), pa.binary()), pa.scalar(b"", pa.binary())
        ),
        0,
        size,
    )
    fixed = padded.cast(pa.binary(size))
    if bits % 8:
        octets = np.frombuffer(fixed.buffers()[1], np.uint8)[fixed.offset * size :]
        octets = octets[: len(fixed) * size].reshape(-1, size).copy()
        octets[:, -1] &= (0xFF00 >> (bits % 8)) & 0xFF
        fixed = pa.Array.from_buffers(pa.binary(size), len(fixed), [None, pa.py_buffer(octets)])
    coded = fixed.dictionary_encode()
    names: list[bytes] = coded.dictionary.to_pylist()
    return np.asarray(coded.indices, dtype=np.int64), names


def chosen_rows(positions: pa.Array, bits: int, wanted: Iterable[bytes]) -> pa.Array:
    """Mark the rows whose position lies in one of the bins `wanted`."""
    codes, names = leading(positions, bits)
    bins = wanted if isinstance(wanted, set | frozenset | dict) else set(wanted)
    inside = np.fromiter((name in bins for name in names), bool, len(names))
    return pa.array(inside[codes] if len(names) else np.zeros(0, bool))
