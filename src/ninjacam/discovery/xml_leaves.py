"""Reads small XML documents of unknown devices: no document type, no entities, and limits on size, depth and number."""

from xml.parsers import expat

from ninjacam.core.errors import ProtocolError

MAX_BYTES = 65_536
MAX_DEPTH = 32
MAX_ELEMENTS = 2_000
MAX_TEXT_CHARS = 4_096


class _Reader:
    def __init__(self) -> None:
        self.leaves: list[tuple[str, str]] = []
        self._open: list[str] = []
        self._text: list[str] = []
        self._size = 0
        self._elements = 0

    def start(self, name: str, _attributes: dict[str, str]) -> None:
        self._elements += 1
        if self._elements > MAX_ELEMENTS or len(self._open) >= MAX_DEPTH:
            raise ProtocolError("The XML document is too large.")
        self._open.append(name.rpartition(":")[2][:100])
        self._text, self._size = [], 0

    def data(self, text: str) -> None:
        room = MAX_TEXT_CHARS - self._size
        if room > 0:
            self._text.append(text[:room])
            self._size += len(text)

    def end(self, _name: str) -> None:
        name = self._open.pop()
        text = "".join(self._text).strip()
        if text:
            self.leaves.append((name, text))
        self._text, self._size = [], 0

    def refuse(self, *_: object) -> None:
        raise ProtocolError("The XML document declares a document type, which is not read.")


def read_leaves(data: bytes) -> list[tuple[str, str]]:
    """Return (local name, text) of the elements that contain text, in document order. Namespaces are ignored, because
    devices get them wrong. Text before a child element is dropped.

    Raises: ProtocolError: malformed, too large, or with a document type.
    """
    if len(data) > MAX_BYTES:
        raise ProtocolError("The XML document is too large.")
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.data
    parser.StartDoctypeDeclHandler = reader.refuse
    parser.EntityDeclHandler = reader.refuse
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError, LookupError) as exc:  # LookupError: an unknown encoding.
        raise ProtocolError("The XML document is malformed.") from exc
    return reader.leaves
