"""What a camera says it offers: the Session Description Protocol (RFC 8866), as far as cameras use it."""

import base64
import binascii
from dataclasses import dataclass, field

from ninjacam.core.bitstream import START_CODE
from ninjacam.core.errors import ProtocolError

MAX_SDP_BYTES = 65_536
MAX_LINES = 1_000
MAX_MEDIA = 16
_STATIC = {0: ("PCMU", 8000, 1), 8: ("PCMA", 8000, 1), 26: ("JPEG", 90_000, 0)}  # RFC 3551, section 6


@dataclass(slots=True)
class Media:
    """One m= section. `encoding` is in upper case, "" where unknown; `fmtp` has names in lower case."""

    kind: str
    payload_type: int
    encoding: str = ""
    clock_hz: int = 0
    channels: int = 1
    control: str = ""
    fmtp: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, str] = field(default_factory=dict)

    def integer(self, name: str, default: int = 0) -> int:
        """A number out of `fmtp`."""
        text = self.fmtp.get(name, "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else default


@dataclass(slots=True)
class Description:
    control: str = ""
    media: list[Media] = field(default_factory=list)


def parse_sdp(body: bytes) -> Description:
    """Raises: ProtocolError: too long, or not an SDP at all."""
    if len(body) > MAX_SDP_BYTES:
        raise ProtocolError("The camera's description of its streams is too long.")
    lines = body.decode("utf-8", "replace").splitlines()
    if len(lines) > MAX_LINES:
        raise ProtocolError("The camera's description of its streams has too many lines.")
    description = Description()
    media: Media | None = None
    for line in lines:
        kind, equals, value = line.strip().partition("=")
        if not equals:
            continue
        if kind == "m":
            media = _parse_media(value)
            if media is not None:
                description.media.append(media)
                if len(description.media) > MAX_MEDIA:
                    raise ProtocolError("The camera offers too many streams.")
        elif kind == "a" and media is not None:
            _parse_attribute(media, value)
        elif kind == "a" and not description.media and value.startswith("control:"):
            description.control = value[8:].strip()
    return description


def _parse_media(value: str) -> Media | None:
    parts = value.split()
    if len(parts) < 4 or not (parts[3].isascii() and parts[3].isdigit() and len(parts[3]) < 4):
        return None
    payload_type = int(parts[3])
    encoding, clock_hz, channels = _STATIC.get(payload_type, ("", 0, 1))
    return Media(parts[0].lower(), payload_type, encoding, clock_hz, channels or 1)


def _parse_attribute(media: Media, value: str) -> None:
    name, _, rest = value.partition(":")
    rest = rest.strip()
    if name == "control":
        media.control = rest
    elif name in ("rtpmap", "fmtp"):
        number, _, text = rest.partition(" ")
        if number != str(media.payload_type):
            return
        if name == "fmtp":
            for item in text.split(";"):
                key, equals, setting = item.strip().partition("=")
                if equals:
                    media.fmtp[key.strip().lower()] = setting.strip()
            return
        encoding, _, rest = text.strip().partition("/")
        clock, _, channels = rest.partition("/")
        media.encoding = encoding.upper()
        media.clock_hz = int(clock) if clock.isascii() and clock.isdigit() and len(clock) < 9 else 0
        media.channels = (
            int(channels) if channels.isascii() and channels.isdigit() and len(channels) < 3 else 1
        )
    elif len(media.attributes) < 50:
        media.attributes[name] = rest


def sprop_annexb(media: Media) -> bytes:
    """The parameter sets that the SDP gives (RFC 6184, 8.1; RFC 7798, 7.1), in Annex B; broken ones are left out."""
    parts: list[bytes] = []
    for name in ("sprop-parameter-sets", "sprop-vps", "sprop-sps", "sprop-pps"):
        for text in media.fmtp.get(name, "").split(","):
            try:
                nal = base64.b64decode(text + "=" * (-len(text) % 4))
            except (binascii.Error, ValueError):
                continue
            nal = nal.removeprefix(START_CODE)  # some cameras
            if nal:
                parts += (START_CODE, nal)
    return b"".join(parts)
