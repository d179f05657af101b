"""Reads the texts of small XML documents of unknown devices; the parser refuses document types."""

from ninjacam.core.errors import ProtocolError
from ninjacam.onvif.xml import parse_xml

MAX_BYTES = 65_536


def read_leaves(data: bytes) -> list[tuple[str, str]]:
    """Return (local name, text) of the elements that contain text, in document order.

    Raises: ProtocolError: malformed, too large, or with a document type; NotACameraError: a web page.
    """
    if len(data) > MAX_BYTES:
        raise ProtocolError("The XML document is too large.")
    return [(each.name, text) for each in parse_xml(data).walk() if (text := each.text.strip())]
