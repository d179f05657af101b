"""The names that cameras and phone apps of large makers report, and the paths of their streams.

Facts from the makers' manuals and from logs in public issue trackers, collected on 2026-11-30. Firmware differs: a
path is a guess until the camera describes it. UniFi Protect and battery cameras are missing because their URLs
contain a key, or do not exist. Larix and similar apps publish, so they cannot be found.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Literal

from ninjacam.discovery.devices import Kind


@dataclass(frozen=True, slots=True)
class Maker:
    """A maker. `main`, `sub`: RTSP paths. `words`: regular expression of names and models. `realm`: of RTSP and HTTP
    challenges and `Server` headers; empty: nothing typical. `ports`: RTSP ports besides 554 and 8554."""

    name: str
    main: str
    sub: str
    words: str
    realm: str = ""
    ports: tuple[int, ...] = ()


MAKERS = (
    Maker(
        "Hikvision",
        "/Streaming/Channels/101",
        "/Streaming/Channels/102",
        r"hikvision|\bds-2[a-z]{2}",
        r"^IP Camera\(|^DS-|^App-webs|^DNVRS-Webs|^Hikvision",
    ),
    Maker("EZVIZ", "/Streaming/Channels/101", "/Streaming/Channels/102", r"ezviz"),
    Maker(
        "Amcrest", "/cam/realmonitor?channel=1&subtype=0", "/cam/realmonitor?channel=1&subtype=1", r"amcrest"
    ),
    Maker(
        "Dahua",
        "/cam/realmonitor?channel=1&subtype=0",
        "/cam/realmonitor?channel=1&subtype=1",
        r"dahua|\bimou\b|\b(?:ipc|dh)-h[df]w",
        r"^Login to [0-9A-Za-z]{8,32}$|^Dahua Rtsp Server",
    ),
    Maker("Lorex", "/cam/realmonitor?channel=1&subtype=0", "/cam/realmonitor?channel=1&subtype=1", r"lorex"),
    Maker(
        "Axis",
        "/axis-media/media.amp",
        "/axis-media/media.amp?resolution=640x360",
        r"\baxis\b",
        r"^AXIS_",
    ),
    Maker(
        "Reolink", "/h264Preview_01_main", "/h264Preview_01_sub", r"reolink|\brlc-|\brln", r"^BC Streaming"
    ),
    Maker("Foscam", "/videoMain", "/videoSub", r"foscam", ports=(88,)),
    Maker("TP-Link", "/stream1", "/stream2", r"\btapo\b|tp-link|\bvigi\b", r"^TP-Link IP-Camera"),
    Maker("Ubiquiti", "/s0", "/s1", r"ubiquiti|\bunifi\b|\buvc\b"),
    Maker("Hanwha", "/profile2/media.smp", "/profile3/media.smp", r"hanwha|wisenet|techwin", r"^iPolis"),
    Maker("Bosch", "/rtsp_tunnel?inst=1", "/rtsp_tunnel?inst=2", r"\bbosch\b"),
    Maker("Vivotek", "/live1s1.sdp", "/live1s2.sdp", r"vivotek"),
    Maker("Uniview", "/unicast/c1/s0/live", "/unicast/c1/s1/live", r"uniview|\bunv\b"),
    Maker("Milesight", "/main", "/sub", r"milesight"),
    Maker("Mobotix", "/mobotix.h264", "", r"mobotix"),
    Maker("i-PRO", "/MediaInput/h264/stream_1", "/MediaInput/h264/stream_2", r"\bi-pro\b"),
    Maker("TVT", "/profile1", "/profile2", r"\btvt\b|avycon"),
)
MIXED = frozenset(("TP-Link", "Ubiquiti"))
"""Makers whose routers and access points have web pages, too, so that their name alone does not indicate a camera.
"""
BY_NAME = {maker.name: maker for maker in MAKERS}
COMMON_PATHS = ("/", "/live", "/stream", "/cam0", "/test", "/mjpeg/1", "/live/ch0", "/11", "/onvif1")
"""Paths for RTSP servers of unknown makers, tried before those of the makers."""


@dataclass(frozen=True, slots=True)
class App:
    """Software recognized by its `Server` header or the title of its web page.

    `path`: its MJPEG stream, on `port`, or on the page's port if 0.
    """

    name: str
    kind: Kind
    sign: re.Pattern[str]
    path: str
    port: int = 0


APPS = (
    App("IP Webcam", "phone", re.compile(r"IP Webcam", re.I), "/video"),
    App("DroidCam", "phone", re.compile(r"DroidCam", re.I), "/video", 4747),
    App("ESP32-CAM", "camera", re.compile(r"ESP32.{0,20}(?:OV\d{4}|cam)", re.I), "/stream", 81),
    App("MJPG-streamer", "camera", re.compile(r"MJPG-?Streamer", re.I), "/?action=stream"),
    App("motion", "camera", re.compile(r"^Motion/"), "/"),
)
MJPEG_PORTS = {81: "/stream", 4747: "/video"}
"""Ports that serve a stream and no page: ESP32-CAM and DroidCam. Tried if the maker makes a stream likely."""


def maker_of(*texts: str) -> str:
    """Return the maker in a name or model, or ""."""
    text = " ".join(texts)
    return next((each.name for each in MAKERS if re.search(each.words, text, re.IGNORECASE)), "")


def maker_of_challenge(*texts: str) -> str:
    """Return the maker whose cameras send one of these realms, `Server` headers or titles, or ""."""
    for each in MAKERS:
        if each.realm and any(re.search(each.realm, text, re.IGNORECASE) for text in texts):
            return each.name
    named = maker_of(*texts)
    return "" if named in MIXED else named


@lru_cache(maxsize=1)
def _prefixes() -> dict[str, tuple[Literal["camera", "mixed", "phone"], str]]:
    found: dict[str, tuple[Literal["camera", "mixed", "phone"], str]] = {}
    kinds: dict[str, Literal["camera", "mixed", "phone"]] = {
        "camera": "camera",
        "mixed": "mixed",
        "phone": "phone",
    }
    for line in files(__package__).joinpath("oui.txt").read_text("ascii").splitlines()[1:]:
        kind, maker, prefixes = line.split("\t")
        found.update({prefixes[at : at + 6]: (kinds[kind], maker) for at in range(0, len(prefixes), 6)})
    return found


def maker_of_mac(mac: str) -> tuple[Literal["camera", "mixed", "phone", ""], str]:
    """Return (kind, maker) by the prefix of a MAC address such as 44:19:b6:01:02:03; empty: unknown.

    `mixed`: a maker of cameras and, more often, of other devices. A locally administered address belongs to a phone
    that hides its own: ("phone", "").
    """
    digits = mac.replace(":", "").upper()
    if re.fullmatch(r"[0-9A-F]{12}", digits) is None:
        return "", ""
    if int(digits[:2], 16) & 2:
        return "phone", ""
    return _prefixes().get(digits[:6], ("", ""))
