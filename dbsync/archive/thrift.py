"""Thrift's compact protocol, as much of it as Parquet uses, for input that is not trusted.

What lives here: reading structs into dictionaries by field number. Must not know: Parquet.
Source: Apache Thrift, ``thrift-compact-protocol.md``.
"""

from __future__ import annotations

from typing import Any

Struct = dict[int, Any]
"""Field number to int, nested `Struct`, list of these, or None for text and floating point."""
_MAX_DEPTH = 16


class BadThrift(ValueError):
    """The bytes are not what the protocol allows."""


def read_struct(data: memoryview) -> tuple[Struct, int]:
    """Read a struct from the start of `data`; return it and how many bytes it took.

    Memory and time are proportional to those bytes. Raises `BadThrift`.
    """
    reader = _Reader(data)
    try:
        return reader.struct(0), reader.position
    except IndexError:
        raise BadThrift("it is cut off") from None


class _Reader:
    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.position = 0

    def struct(self, depth: int) -> Struct:
        if depth > _MAX_DEPTH:
            raise BadThrift("it is nested too deeply")
        fields: Struct = {}
        number = 0
        while (head := self._byte()) != 0:
            delta, kind = head >> 4, head & 15
            number = number + delta if delta else self._zigzag()
            if number in fields:
                raise BadThrift(f"field {number} stands twice")
            # A boolean's value is its type; inside lists it is a byte of its own.
            fields[number] = int(kind == 1) if kind in (1, 2) else self._value(kind, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        match kind:
            case 1 | 2 | 3:
                return self._byte()
            case 4 | 5 | 6:
                return self._zigzag()
            case 7:
                self._skip(8)
            case 8:
                self._skip(self._varint())
            case 9 | 10:
                return self._list(depth)
            case 12:
                return self.struct(depth + 1)
            case _:
                raise BadThrift(f"a value has the unknown type {kind}")
        return None

    def _list(self, depth: int) -> list[Any]:
        head = self._byte()
        count, kind = head >> 4, head & 15
        if count == 15:
            count = self._varint()
        if count > len(self.data) - self.position:
            raise BadThrift("a list is longer than the input")
        if depth > _MAX_DEPTH:
            raise BadThrift("it is nested too deeply")
        return [self._value(kind, depth + 1) for _ in range(count)]

    def _skip(self, count: int) -> None:
        if count > len(self.data) - self.position:
            raise BadThrift("a value is longer than the input")
        self.position += count

    def _byte(self) -> int:
        value = self.data[self.position]
        self.position += 1
        return value

    def _varint(self) -> int:
        result = shift = 0
        while True:
            byte = self._byte()
            result |= (byte & 127) << shift
            if byte < 128:
                return result
            shift += 7
            if shift > 63:
                raise BadThrift("a number is too long")

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
