"""The ready-made processor `codes`: one event when a QR code, a barcode or a marker appears."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
from pydantic import BaseModel, Field

from ninjacam import Frame, Polygon, Processor, events, processor
from ninjacam.processors.plain_text import clean
from ninjacam.tracking.capture_clock import CaptureClock

MAX_WIDTH_PX = 1920
"""Larger frames are halved: reading takes as long as the image is large."""
MAX_CODES = 32
"""Maximum number of codes of one frame."""
MAX_SEEN = 256
"""Maximum number of codes that are remembered as present."""
MAX_LABEL_CHARS = 200
DICTIONARIES = {
    "4x4": cv2.aruco.DICT_4X4_50,
    "5x5": cv2.aruco.DICT_5X5_100,
    "6x6": cv2.aruco.DICT_6X6_250,
    "original": cv2.aruco.DICT_ARUCO_ORIGINAL,
    "apriltag": cv2.aruco.DICT_APRILTAG_36H11,
}


class CodeOptions(BaseModel):
    qr: bool = Field(True, description="Read QR codes.")
    barcodes: bool = Field(True, description="Read barcodes: EAN-8, EAN-13, UPC-A and UPC-E.")
    markers: Literal["off", "4x4", "5x5", "6x6", "original", "apriltag"] = Field(
        "off", description="Read ArUco markers of this kind. Those of 4x4 are found by mistake most often."
    )
    again_after_s: float = Field(
        10, ge=1, le=3600, description="Seconds out of sight after which a code is a new event."
    )


class Code(NamedTuple):
    """A code in a frame. `corners`: (4, 2), in pixels of the frame."""

    format: str
    text: str
    corners: Any


@processor("codes", when="motion", fps=5, width_px=1280)
class Codes(Processor):
    """QR codes, barcodes and markers with their text. In zones, if the camera has any; never in masks."""

    Options = CodeOptions

    def setup(self, camera: str, options: CodeOptions) -> None:
        self.options = options
        self.qr = cv2.QRCodeDetector()
        self.barcodes = cv2.barcode.BarcodeDetector()
        self.markers: Any = None
        if options.markers != "off":
            dictionary = cv2.aruco.getPredefinedDictionary(DICTIONARIES[options.markers])
            self.markers = cv2.aruco.ArucoDetector(dictionary)
        self.seen: OrderedDict[tuple[str, str], int] = OrderedDict()  # Code -> elapsed time when seen last.
        self.clock = CaptureClock()

    def process(self, frame: Frame) -> list[Polygon]:
        self.clock.advance(frame.captured_ns)
        image: Any = frame.gray
        scale = 1
        while image.shape[1] > MAX_WIDTH_PX:
            image = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
            scale *= 2
        found = [Code(code.format, code.text, code.corners * scale) for code in self._read(image)]
        found = [code for code in found[:MAX_CODES] if _counts(code, frame)]
        for code in found:
            self._see(code, frame)
        while self.seen and self._is_gone(next(iter(self.seen.values()))):
            self.seen.popitem(last=False)
        return [Polygon(code.corners, code.text[:MAX_LABEL_CHARS]) for code in found]

    def _see(self, code: Code, frame: Frame) -> None:
        key = (code.format, code.text)
        seen_ns = self.seen.pop(key, None)
        self.seen[key] = self.clock.elapsed_ns
        if len(self.seen) > MAX_SEEN:
            self.seen.popitem(last=False)
        if seen_ns is None or self._is_gone(seen_ns):
            events.create(
                self.camera,
                "code",
                label=code.text[:MAX_LABEL_CHARS],
                start=frame.captured_at,
                data={"format": code.format, "text": code.text},
            )

    def _is_gone(self, seen_ns: int) -> bool:
        return self.clock.elapsed_ns - seen_ns > self.options.again_after_s * 1e9

    def _read(self, image: Any) -> Iterator[Code]:
        if self.options.qr:
            yield from _named("QR", *_call(self.qr, image))
        if self.options.barcodes:
            yield from _named("barcode", *_call(self.barcodes, image))
        if self.markers is not None:
            corners, numbers, _ = self.markers.detectMarkers(image)
            texts = [] if numbers is None else [str(number) for number in numbers.ravel()]
            yield from _named("ArUco", texts, corners)


def _call(detector: Any, image: Any) -> tuple[list[Any], Any]:
    """Return texts, str or bytes, and their corners."""
    # OpenCV before 4.11 returns only str, and fails if one of the texts is not UTF-8.
    read = getattr(detector, "detectAndDecodeBytesMulti", detector.detectAndDecodeMulti)
    try:
        is_found, texts, corners, *_ = read(image)
    except (cv2.error, UnicodeDecodeError):  # Some shapes that resemble codes.
        return [], []
    return (list(texts), corners) if is_found else ([], [])


def _named(name: str, texts: list[Any], corners: Any) -> Iterator[Code]:
    for text, points in zip(texts, corners, strict=False):
        cleaned = clean(text if isinstance(text, str) else text.decode(errors="replace"))
        if cleaned:
            yield Code(name, cleaned, np.asarray(points, np.float64).reshape(-1, 2))


def _counts(code: Code, frame: Frame) -> bool:
    """Return whether the middle of the code is in a zone, if there are any, and in no mask."""
    x, y = code.corners.mean(axis=0).tolist()
    at = [zone.kind for zone in frame.zones.values() if zone.contains(x, y)]
    has_zones = any(zone.kind == "zone" for zone in frame.zones.values())
    return "mask" not in at and ("zone" in at or not has_zones)
