"""Parses a camera's description of its streams: the Session Description Protocol (RFC 8866), as used by cameras."""

import base64
import binascii
import re
from dataclasses import dataclass, field

from ninjacam.codecs.bitstream import START_CODE
from ninjacam.core.errors import ProtocolError

MAX_SDP_BYTES = 65_536
MAX_LINES = 1_000
MAX_MEDIA = 16
MAX_FORMATS = 64
_MAX_ATTRIBUTES = 50
_STATIC = {0: ("PCMU", 8000), 8: ("PCMA", 8000), 26: ("JPEG", 90_000)}  # RFC 3551, section 6
_OTHER_NAMES = {
    "AVC": "H264",
    "AVC1": "H264",
    "H264-SVC": "H264",
    "HEVC": "H265",
    "HVC1": "H265",
    "MJPEG": "JPEG",
}
"""Nonstandard names of formats. The base layer of H264-SVC (RFC 6190) is H.264."""
_NUMBERED = re.compile(r"\s*(\d{1,3})(?!\d)[\s:;,]*(.*)", re.ASCII)
_SETTINGS = re.compile(r";|[\s,]+(?=[A-Za-z][\w-]*\s*=\s*[^=,;\s])", re.ASCII)
"""Separator of the settings of an fmtp line: some cameras write spaces or commas. A comma between base64 texts does
not match, because their "=" is not followed by a value.
"""


@dataclass(slots=True)
class Format:
    """One payload type of an m= line. `encoding` is in upper case without dots, "" if unknown; `fmtp` has lower-case
    names.
    """

    payload_type: int
    encoding: str = ""
    clock_hz: int = 0
    channels: int = 1
    fmtp: dict[str, str] = field(default_factory=dict)

    def integer(self, name: str, default: int = 0) -> int:
        """Return a number from `fmtp`."""
        text = self.fmtp.get(name, "")
        return int(text) if re.fullmatch(r"\d{1,9}", text, re.ASCII) else default


@dataclass(slots=True)
class Media:
    """One m= section. `control` keeps the received bytes ("surrogateescape"); attribute names are in lower case."""

    kind: str
    formats: list[Format] = field(default_factory=list)
    control: str = ""
    attributes: dict[str, str] = field(default_factory=dict)

    def format_of(self, payload_type: int) -> Format | None:
        return next((each for each in self.formats if each.payload_type == payload_type), None)


@dataclass(slots=True)
class Description:
    control: str = ""
    media: list[Media] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Note:
    """An rtpmap or fmtp line, and its section."""

    media: Media | None
    name: str
    payload_type: int
    text: str


def parse_sdp(body: bytes) -> Description:
    """Parse an SDP. Raises: ProtocolError: too long."""
    if len(body) > MAX_SDP_BYTES:
        raise ProtocolError("The camera's description of its streams is too long.")
    lines = re.split(r"\r\n|\n|\r", body.decode("utf-8", "surrogateescape"))
    if len(lines) > MAX_LINES:
        raise ProtocolError("The camera's description of its streams has too many lines.")
    description = Description()
    media: Media | None = None
    notes: list[_Note] = []
    for line in lines:
        kind, _, value = line.strip(" \t\0\ufeff").partition("=")
        if kind in ("m", "M"):
            media = _parse_media(value)
            description.media.append(media)
            if len(description.media) > MAX_MEDIA:
                raise ProtocolError("The camera offers too many streams.")
        elif kind in ("a", "A"):
            name, _, text = value.partition(":")
            name, text = name.strip().lower(), text.strip()
            if name in ("rtpmap", "fmtp"):
                if found := _NUMBERED.match(text):
                    notes.append(_Note(media, name, int(found[1]), found[2].strip()))
            elif name == "control":
                (media or description).control = text
            elif media is not None and len(media.attributes) < _MAX_ATTRIBUTES:
                media.attributes[name] = text
    _apply(notes, description.media)
    return description


def _parse_media(value: str) -> Media:
    parts = value.split()
    media = Media(parts[0].lower() if parts else "")
    for text in parts[3 : 3 + MAX_FORMATS]:
        if re.fullmatch(r"\d{1,3}", text, re.ASCII):
            encoding, clock_hz = _STATIC.get(int(text), ("", 0))
            media.formats.append(Format(int(text), encoding, clock_hz))
    return media


def _apply(notes: list[_Note], sections: list[Media]) -> None:
    """Assign notes to formats: first those of the same section, then those of other sections."""
    for note in [note for note in notes if not _apply_to_own(note)]:
        named = [each for section in sections if (each := section.format_of(note.payload_type))]
        if not named and note.media and len(note.media.formats) == 1:
            named = note.media.formats  # The number is wrong, but only one format is possible.
        for each in named:
            _apply_to(each, note, override=False)
    for section in sections:
        for each in section.formats:
            if not each.encoding and section.kind == "video":
                each.encoding = _guess(each.fmtp)


def _apply_to_own(note: _Note) -> bool:
    """Apply a note to the format of its own section. Return whether there is one."""
    if note.media is None:
        return False
    own = note.media.format_of(note.payload_type)
    if own is None and not note.media.formats and note.name == "rtpmap":
        own = Format(note.payload_type)  # The m= line did not list it.
        note.media.formats.append(own)
    if own is not None:
        _apply_to(own, note, override=True)
    return own is not None


def _apply_to(form: Format, note: _Note, *, override: bool) -> None:
    if note.name == "fmtp":
        for item in _SETTINGS.split(note.text):
            key, equals, setting = item.partition("=")
            if equals and (override or key.strip().lower() not in form.fmtp):
                form.fmtp[key.strip().lower()] = setting.strip()
        return
    encoding, clock, channels = (*map(str.strip, note.text.split("/")), "", "")[:3]
    if encoding and (override or not form.encoding):
        name = encoding.strip("\"'").upper().replace(".", "").removeprefix("X-")
        form.encoding = _OTHER_NAMES.get(name, name)
        form.clock_hz = int(clock) if re.fullmatch(r"\d{1,8}", clock, re.ASCII) else 0
        form.channels = int(channels) if re.fullmatch(r"\d{1,2}", channels, re.ASCII) else 1


def _guess(fmtp: dict[str, str]) -> str:
    """Return the encoding of a video format without an rtpmap line."""
    if not fmtp.keys().isdisjoint(("sprop-vps", "sprop-sps", "sprop-pps")):
        return "H265"
    known = ("sprop-parameter-sets", "packetization-mode", "profile-level-id")
    return "" if fmtp.keys().isdisjoint(known) else "H264"


def sprop_annexb(form: Format) -> bytes:
    """Return the parameter sets of the SDP (RFC 6184, 8.1; RFC 7798, 7.1), in Annex B; malformed ones are skipped."""
    parts: list[bytes] = []
    for name in ("sprop-parameter-sets", "sprop-vps", "sprop-sps", "sprop-pps"):
        for text in form.fmtp.get(name, "").split(","):
            try:
                nal = base64.b64decode(text + "=" * (-len(text) % 4))
            except (binascii.Error, ValueError):
                continue
            nal = nal.removeprefix(START_CODE)  # Some cameras include start codes.
            if nal:
                parts += (START_CODE, nal)
    return b"".join(parts)
