"""Action Message Format 0, the encoding of RTMP commands. Parsing is limited, because publishers are untrusted."""

import struct
from typing import Any

from ninjacam.core.errors import ProtocolError

MAX_VALUES = 1_000
"""Maximum number of values in one message, at all depths."""
MAX_DEPTH = 8
_NUMBER, _BOOLEAN, _STRING, _OBJECT, _NULL, _UNDEFINED, _REFERENCE = 0, 1, 2, 3, 5, 6, 7
_ECMA_ARRAY, _OBJECT_END, _STRICT_ARRAY, _DATE, _LONG_STRING, _UNSUPPORTED, _XML, _TYPED = range(8, 15 + 1)
_AMF3 = 17
_END = bytes((0, 0, _OBJECT_END))


def read_values(data: bytes) -> list[Any]:
    """Return the values of a message: float, bool, str, None, list, and dict for objects.

    Parsing ends at a value of AMF 3. Raises: ProtocolError: malformed, or over a limit.
    """
    reader = _Reader(data)
    values = []
    while reader.at < len(data) and data[reader.at] != _AMF3:
        values.append(reader.value(0))
    return values


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.at = 0
        self._data = data
        self._left = MAX_VALUES

    def _take(self, size: int) -> bytes:
        start, self.at = self.at, self.at + size
        if self.at > len(self._data):
            raise ProtocolError("The publisher sent a truncated command.")
        return self._data[start : self.at]

    def _text(self, size_bytes: int) -> str:
        return self._take(int.from_bytes(self._take(size_bytes), "big")).decode("utf-8", "replace")

    def value(self, depth: int) -> Any:
        self._left -= 1
        if self._left < 0 or depth > MAX_DEPTH:
            raise ProtocolError("The publisher sent a command with too many values.")
        kind = self._take(1)[0]
        if kind == _NUMBER:
            return struct.unpack(">d", self._take(8))[0]
        if kind == _BOOLEAN:
            return self._take(1) != b"\0"
        if kind == _STRING:
            return self._text(2)
        if kind in (_LONG_STRING, _XML):
            return self._text(4)
        if kind in (_NULL, _UNDEFINED, _UNSUPPORTED):
            return None
        return self._compound(kind, depth)

    def _compound(self, kind: int, depth: int) -> Any:
        if kind == _REFERENCE:
            self._take(2)
            return None
        if kind == _DATE:
            return struct.unpack(">d", self._take(10)[:8])[0]
        if kind == _STRICT_ARRAY:
            count = int.from_bytes(self._take(4), "big")
            if count > self._left:
                raise ProtocolError("The publisher sent a command with too many values.")
            return [self.value(depth + 1) for _ in range(count)]
        if kind == _TYPED:
            self._text(2)
        elif kind == _ECMA_ARRAY:
            self._take(4)  # Its length is a hint: the array ends like an object.
        elif kind != _OBJECT:
            raise ProtocolError("The publisher sent a command that is not AMF 0.")
        return self._members(depth)

    def _members(self, depth: int) -> dict[str, Any]:
        members: dict[str, Any] = {}
        while True:
            if self._data.startswith(_END, self.at):
                self.at += len(_END)
                return members
            if self.at == len(self._data) and members:
                return members  # Some encoders omit the end of the last object.
            name = self._text(2)
            members[name] = self.value(depth + 1)


def write_values(*values: Any) -> bytes:
    """Return the encoded values: int, float, bool, str of less than 64 KiB, None, list, or a dict of these."""
    return b"".join(map(_write, values))


def _write(value: Any) -> bytes:
    if value is None:
        return bytes((_NULL,))
    if isinstance(value, bool):
        return bytes((_BOOLEAN, value))
    if isinstance(value, int | float):
        return struct.pack(">Bd", _NUMBER, value)
    if isinstance(value, str):
        return bytes((_STRING,)) + _name(value)
    if isinstance(value, list):
        return struct.pack(">BI", _STRICT_ARRAY, len(value)) + write_values(*value)
    return bytes((_OBJECT,)) + b"".join(_name(name) + _write(each) for name, each in value.items()) + _END


def _name(text: str) -> bytes:
    data = text.encode()
    return len(data).to_bytes(2, "big") + data
