"""Parses the XML of cameras into a tree of bounded size, by local names.

A document with a DTD is refused before any entity is read, so there are no entities to expand and nothing external is
loaded. Prefixes and namespaces are ignored: cameras declare wrong ones, or none.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat
from xml.sax.saxutils import escape as _escape

from ninjacam.core.errors import NotACameraError, ProtocolError

MAX_DEPTH = 48
MAX_ELEMENTS = 30_000
MAX_ATTRIBUTES = 64
"""Maximum number of attributes of one element."""
_PADDING = b"\0 \t\r\n\xef\xbb\xbf"
_UNPRINTABLE = re.compile(
    r"[^\x20-\x7e\xa0-\ud7ff\uf900-\uffee]+|[\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]+"
)
"""Control characters, and those that change the direction of text."""
_HTML = re.compile(
    rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.{0,500}?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.I | re.S
)


@dataclass(slots=True)
class Element:
    """An XML element. `name` and the names of attributes have no prefix; `text` excludes that of the children.

    `namespace`: the declared one, used only to return an element to the camera; "" if it is not declared.
    """

    name: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: "list[Element]" = field(default_factory=list)
    text: str = ""
    namespace: str = ""

    def find(self, *path: str) -> "Element | None":
        """Return the first element at this path of names below this one."""
        found: Element | None = self
        for name in path:
            found = next((child for child in found.children if child.name == name), None) if found else None
        return found

    def find_all(self, *path: str) -> "list[Element]":
        """Return all elements at this path; all but the last name select the first match."""
        parent = self.find(*path[:-1])
        return [child for child in parent.children if child.name == path[-1]] if parent else []

    def get_text(self, *path: str, default: str = "") -> str:
        found = self.find(*path)
        return found.text if found is not None and found.text else default

    def get_float(self, *path: str) -> float | None:
        """Return the number at this path; None: missing, or not a finite number."""
        return as_float(self.get_text(*path))

    def get_int(self, *path: str) -> int | None:
        value = self.get_float(*path)
        return None if value is None else round(value)

    def walk(self) -> "Iterator[Element]":
        """Yield this element and all below it, in the order of the document."""
        pending = [self]
        while pending:
            element = pending.pop()
            yield element
            pending.extend(reversed(element.children))


def parse_xml(data: bytes) -> Element:
    """Return the root element of a document.

    Raises: ProtocolError: malformed, too large, or with a DTD; NotACameraError: a web page.
    """
    data = _as_utf8(data).strip(_PADDING)
    if _HTML.match(data[:4096]):
        raise NotACameraError(
            "A web page answers there, not ONVIF: check the address, and that ONVIF is switched on in the camera."
        )
    try:
        return _Builder().parse(data)
    except expat.ExpatError as exc:
        raise ProtocolError("The camera sends malformed XML.") from exc


def _as_utf8(data: bytes) -> bytes:
    """Return the document in UTF-8. The declared encoding is ignored, because names and numbers are ASCII."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace").encode("utf-8", "replace")
    return data.decode("utf-8", "replace").encode()


class _Builder:
    """Builds the tree without recursion."""

    def __init__(self) -> None:
        self._root: Element | None = None
        self._open: list[Element] = []
        self._texts: list[list[str]] = []
        self._prefixes: list[dict[str, str]] = [{}]
        self._elements = 0

    def parse(self, data: bytes) -> Element:
        parser = expat.ParserCreate("utf-8")
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._refuse_dtd
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._add_text
        parser.Parse(data, True)
        if self._root is None:
            raise ProtocolError("The camera sends malformed XML.")
        return self._root

    def _refuse_dtd(self, *_: object) -> None:
        raise ProtocolError("The camera sends XML with a document type definition, which is not read.")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._elements += 1
        if self._elements > MAX_ELEMENTS or len(self._open) >= MAX_DEPTH or len(attributes) > MAX_ATTRIBUTES:
            raise ProtocolError("The camera sends XML that is too large or too deeply nested.")
        prefixes = self._prefixes[-1]
        declared = {key[6:]: value for key, value in attributes.items() if key.startswith("xmlns")}
        if declared:
            prefixes = {**prefixes, **declared}
            if len(prefixes) > MAX_ATTRIBUTES:
                raise ProtocolError("The camera sends XML with too many namespaces.")
        self._prefixes.append(prefixes)
        element = Element(
            local_name(name),
            {local_name(key): value for key, value in attributes.items() if not key.startswith("xmlns")},
            namespace=prefixes.get(name.rpartition(":")[0], ""),
        )
        if self._open:
            self._open[-1].children.append(element)
        else:
            self._root = element
        self._open.append(element)
        self._texts.append([])

    def _end(self, _: str) -> None:
        self._prefixes.pop()
        self._open.pop().text = "".join(self._texts.pop()).strip()

    def _add_text(self, text: str) -> None:
        self._texts[-1].append(text)


def local_name(name: str) -> str:
    """Return a name, or a qualified value such as `ter:NotAuthorized`, without its prefix."""
    return name.rpartition(":")[2]


def as_float(text: str) -> float | None:
    """Return the number; None: it is not a finite number. Some cameras write a decimal comma."""
    try:
        value = float(text.strip().replace(",", "."))
    except ValueError:
        return None
    return value if abs(value) < 1e12 else None


def printable(text: str, max_chars: int = 120) -> str:
    """Return a camera's text for messages and pages: one line of printable characters, truncated."""
    plain = _UNPRINTABLE.sub(" ", text[: 4 * max_chars]).strip()
    return plain if len(plain) <= max_chars else plain[: max_chars - 1].rstrip() + "…"


def escape(text: str) -> str:
    """Return text for the content of an element or an attribute, without characters that XML 1.0 forbids."""
    return _escape(
        re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "", text), {'"': "&quot;"}
    )
