"""Evidence about one address, and the device derived from it."""

import math
import re
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["camera", "phone", "recorder", "unknown"]
Origin = Literal["onvif", "rtsp", "http", "mdns", "ssdp", "neighbour"]
Code = Literal[
    "onvif_camera",
    "onvif_device",
    "rtsp_video",
    "rtsp_locked",
    "rtsp_server",
    "http_video",
    "http_page",
    "mdns_service",
    "ssdp_description",
    "mac_camera",
    "mac_mixed",
    "mac_phone",
    "maker_paths",
]

WEIGHTS: dict[Code, float] = {
    "onvif_camera": 0.9,
    "onvif_device": 0.6,
    "rtsp_video": 0.97,
    "rtsp_locked": 0.85,
    "rtsp_server": 0.6,
    "http_video": 0.95,
    "http_page": 0.8,
    "mdns_service": 0.7,
    "ssdp_description": 0.7,
    "mac_camera": 0.5,
    "mac_mixed": 0.1,
    "mac_phone": 0.05,
    "maker_paths": 0.0,
}
"""The probability that a device is a camera, given only this evidence. Estimates: no survey of networks exists."""
MIN_CERTAINTY = 0.3
"""Minimum certainty of reported devices."""
MAX_EVIDENCE = 32
MAX_STREAMS = 8
_ORDER: tuple[Origin, ...] = ("onvif", "http", "rtsp", "mdns", "ssdp", "neighbour")
"""Origins of evidence in the order in which their maker, model and name take precedence."""
_RECORDER = re.compile(r"(?<![a-z])(?:nvr|dvr|xvr|hvr|recorder)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class FoundStream:
    """A stream of a device. `state`: "verified" (described without a password), "locked" (requires one), or "guess"
    (a common path of its maker)."""

    url: str
    name: Literal["main", "sub"] = "main"
    state: Literal["verified", "locked", "guess"] = "guess"
    codec: str = ""
    width_px: int = 0
    height_px: int = 0

    def as_dict(self) -> dict[str, Any]:
        return {
            "url": self.url,
            "name": self.name,
            "state": self.state,
            "codec": self.codec,
            "width_px": self.width_px,
            "height_px": self.height_px,
        }


@dataclass(frozen=True, slots=True)
class Evidence:
    """One observation about the device at `address`. Its texts are sanitized."""

    address: str
    origin: Origin
    code: Code
    kind: Kind = "unknown"
    maker: str = ""
    model: str = ""
    name: str = ""
    hostname: str = ""
    mac: str = ""
    port: int = 0
    onvif_url: str = ""
    streams: tuple[FoundStream, ...] = ()
    needs_password: bool | None = None


@dataclass(slots=True)
class FoundDevice:
    """All evidence about one address. The same code of the same port counts once."""

    address: str
    is_final: bool = False
    """Whether no more evidence is expected."""
    _evidence: dict[tuple[Code, int], Evidence] = field(default_factory=dict)

    def add(self, evidence: Evidence) -> bool:
        """Add evidence, and return whether anything changed. The first evidence of a code and port takes precedence."""
        key = (evidence.code, evidence.port)
        if key in self._evidence or len(self._evidence) >= MAX_EVIDENCE:
            return False
        self._evidence[key] = evidence
        return True

    @property
    def codes(self) -> list[Code]:
        """Return the kinds of evidence, in descending order of weight."""
        found = {code for code, _port in self._evidence if WEIGHTS[code]}
        return sorted(found, key=lambda code: (-WEIGHTS[code], code))

    @property
    def certainty(self) -> float:
        return 1 - math.prod(1 - WEIGHTS[code] for code in self.codes)

    @property
    def kind(self) -> Kind:
        said = [each.kind for each in self._ordered() if each.kind != "unknown"]
        if "recorder" in said or _RECORDER.search(f"{self.text('model')} {self.text('name')}"):
            return "recorder"
        if "phone" in said:
            return "phone"
        return "camera" if said or self.certainty >= 0.6 else "unknown"

    @property
    def streams(self) -> list[FoundStream]:
        """Return the streams: verified ones first, then locked ones, then guesses; each URL once."""
        found: dict[str, FoundStream] = {}
        for stream in sorted(
            (stream for each in self._evidence.values() for stream in each.streams),
            key=lambda stream: ("verified", "locked", "guess").index(stream.state),
        ):
            found.setdefault(stream.url, stream)
        return list(found.values())[:MAX_STREAMS]

    @property
    def needs_password(self) -> bool | None:
        """Return False if any stream is open; None: unknown."""
        said = {each.needs_password for each in self._evidence.values()}
        return False if False in said else True if True in said else None

    def text(self, name: Literal["maker", "model", "name", "hostname", "mac", "onvif_url"]) -> str:
        return next((value for each in self._ordered() if (value := str(getattr(each, name)))), "")

    def _ordered(self) -> list[Evidence]:
        return sorted(self._evidence.values(), key=lambda each: _ORDER.index(each.origin))

    def as_dict(self) -> dict[str, Any]:
        return {
            "address": self.address,
            "kind": self.kind,
            "maker": self.text("maker"),
            "model": self.text("model"),
            "name": self.text("name"),
            "hostname": self.text("hostname"),
            "mac": self.text("mac"),
            "onvif_url": self.text("onvif_url"),
            "certainty": round(self.certainty, 2),
            "evidence": self.codes,
            "needs_password": self.needs_password,
            "streams": [stream.as_dict() for stream in self.streams],
            "is_final": self.is_final,
        }
