"""SSDP, the discovery protocol of UPnP devices, and device descriptions. Source: UPnP Device Architecture 1.1."""

import re
from urllib.parse import urlsplit

from ninjacam.discovery.devices import Evidence
from ninjacam.discovery.makers import MIXED, maker_of
from ninjacam.discovery.text import clean
from ninjacam.discovery.xml_leaves import read_leaves
from ninjacam.sources.rtsp.messages import MAX_HEAD_BYTES, parse_head

GROUP = ("239.255.255.250", 1900)
_CAMERA = re.compile(r"camera|surveillance|\bipc\b|\bnvr\b|\bdvr\b|onvif", re.IGNORECASE)


def format_search() -> bytes:
    return (
        b"M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n"
        b'MAN: "ssdp:discover"\r\nMX: 1\r\nST: upnp:rootdevice\r\n\r\n'
    )


def parse_answer(data: bytes, sender: str) -> str:
    """Return the URL of the device's description, if it is on the sender itself; else "".

    Raises: ProtocolError, NotACameraError: not a response.
    """
    message, _ = parse_head(data[:MAX_HEAD_BYTES].strip())
    if message.status != 200:
        return ""
    location = message.header("location")[:400]
    try:
        parts = urlsplit(location)
        is_own = parts.scheme == "http" and parts.hostname == sender and parts.username is None
        _ = parts.port
    except ValueError:
        return ""
    is_plain = location.isascii() and location.isprintable() and " " not in location
    return location if is_own and is_plain else ""


def parse_description(data: bytes, sender: str) -> Evidence | None:
    """Return the evidence in a description; None: it does not describe a camera. Raises: ProtocolError."""
    said: dict[str, str] = {}
    for name, text in read_leaves(data):
        said.setdefault(name, clean(text))  # The root device comes first.
    name, maker, model = (said.get(key, "") for key in ("friendlyName", "manufacturer", "modelName"))
    words = " ".join((name, model, said.get("modelDescription", ""), said.get("deviceType", "")))
    known = maker_of(maker, name, model)
    is_camera = bool(_CAMERA.search(words))
    if not is_camera and (not known or known in MIXED):
        return None  # Their routers and access points describe themselves, too.
    return Evidence(
        sender,
        "ssdp",
        "ssdp_description",
        kind="camera" if is_camera else "unknown",
        maker=known or maker,
        model=model,
        name=name,
    )
