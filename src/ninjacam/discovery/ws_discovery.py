"""WS-Discovery, the discovery protocol of ONVIF devices. Source: WS-Discovery 1.0 (2005/04), ONVIF Core, section 7.

Only the responses are read; the devices' ONVIF services are not called.
"""

import re
import uuid
from urllib.parse import unquote, urlsplit

from ninjacam.discovery.devices import Evidence, Kind
from ninjacam.discovery.makers import maker_of
from ninjacam.discovery.text import clean
from ninjacam.discovery.xml_leaves import read_leaves

GROUP = ("239.255.255.250", 3702)
PORT = 3702
_MAX_SCOPES = 64
_ENVELOPE = (
    '<?xml version="1.0" encoding="utf-8"?>'
    '<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope" '
    'xmlns:w="http://schemas.xmlsoap.org/ws/2004/08/addressing" '
    'xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery" '
    'xmlns:dn="http://www.onvif.org/ver10/network/wsdl" xmlns:tds="http://www.onvif.org/ver10/device/wsdl">'
    "<e:Header><w:MessageID>uuid:{id}</w:MessageID>"
    "<w:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</w:To>"
    "<w:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</w:Action></e:Header>"
    "<e:Body><d:Probe><d:Types>{type}</d:Types></d:Probe></e:Body></e:Envelope>"
)
TYPES = ("dn:NetworkVideoTransmitter", "tds:Device")
_SCOPE = re.compile(r"onvif://www\.onvif\.org/([A-Za-z_]{1,30})/?(\S*)", re.IGNORECASE)


def format_probe(kind: str = TYPES[0]) -> bytes:
    """Return a Probe for devices of this type, with a new message id."""
    return _ENVELOPE.format(id=uuid.uuid4(), type=kind).encode()


def parse_answer(data: bytes, sender: str) -> Evidence | None:
    """Return the evidence in a ProbeMatches message; None: it is another message.

    Addresses in the message (XAddrs) count only if they are the sender's. Raises: ProtocolError.
    """
    types, scopes, addresses = "", "", ""
    leaves = read_leaves(data)
    for name, text in leaves:
        if name == "Types":
            types = types or text
        elif name == "Scopes":
            scopes = scopes or text
        elif name == "XAddrs":
            addresses = addresses or text
    if not scopes and not addresses:
        return None
    said = _scopes(scopes)
    name, hardware = said.get("name", ""), said.get("hardware", "")
    is_camera = "NetworkVideoTransmitter" in types or "video_encoder" in scopes.lower()
    is_recorder = any(each in types + scopes for each in ("NetworkVideoStorage", "RecordingService"))
    kind: Kind = "recorder" if is_recorder else "camera" if is_camera else "unknown"
    return Evidence(
        sender,
        "onvif",
        "onvif_camera" if is_camera else "onvif_device",
        kind=kind,
        maker=maker_of(name, hardware, said.get("manufacturer", ""), said.get("mfr", "")),
        model=hardware,
        name=name,
        onvif_url=_own_url(addresses, sender),
    )


def _scopes(text: str) -> dict[str, str]:
    """Return the first value of each kind of scope, sanitized."""
    found: dict[str, str] = {}
    for scope in text.split()[:_MAX_SCOPES]:
        match = _SCOPE.match(scope[:400])
        if match:
            found.setdefault(match[1].lower(), clean(unquote(match[2])))
    return found


def _own_url(addresses: str, sender: str) -> str:
    for text in addresses.split()[:8]:
        try:
            parts = urlsplit(text)
            is_own = parts.scheme in ("http", "https") and parts.hostname == sender and parts.username is None
            _ = parts.port
        except ValueError:
            continue
        if is_own and text.isascii():
            return clean(text, 200)
    return ""
