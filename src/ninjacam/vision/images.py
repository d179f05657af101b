"""Decoding and encoding: the adapter for PyAV and OpenCV, whose types are too wide for strict typing."""

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any, cast

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter

from ninjacam.codecs.sps import MAX_PIXELS
from ninjacam.core.decode_devices import SOFTWARE
from ninjacam.core.errors import DecodeError, EncodeError
from ninjacam.core.packets import VIDEO_CLOCK_HZ, Codec, Packet
from ninjacam.vision.decoder_opening import DecoderOpening, OpenedDecoder, current_opening

if TYPE_CHECKING:
    from ninjacam.core.frames import BgrImage, GrayImage

MAX_SIDE_PX = 8192
UNSPECIFIED = 2
"""AVCOL_SPC_UNSPECIFIED"""
HD_HEIGHT_PX = 720
"""Video without a color matrix is BT.709 from this height on, as every player assumes."""
BT709 = 1
"""AVCOL_SPC_BT709"""
BT601 = 6
"""AVCOL_SPC_SMPTE170M: what cv2.COLOR_BGR2YUV_I420 computes, with limited range."""
KEY_EVERY_S = 2.0


class DecodedFrame:
    """A decoded frame, converted on demand. Valid only during the call that it was made for."""

    def __init__(self, frame: av.VideoFrame, reformatter: VideoReformatter) -> None:
        self._frame = frame
        self._reformatter = reformatter
        self.width = frame.width
        self.height = frame.height
        self.pts = frame.pts or 0

    def for_thread(self, reformatter: VideoReformatter) -> "DecodedFrame":
        """Return the same frame for another thread, because reformatters keep state."""
        return DecodedFrame(self._frame, reformatter)

    def _reformat(self, pixel_format: str, width: int, height: int) -> av.VideoFrame:
        frame = self._frame
        is_hd = frame.colorspace == UNSPECIFIED and frame.height >= HD_HEIGHT_PX
        try:
            return self._reformatter.reformat(
                frame,
                width,
                height,
                pixel_format,
                src_colorspace=BT709 if is_hd and pixel_format == "bgr24" else None,
                threads=1,
            )
        except (av.FFmpegError, ValueError) as exc:
            raise DecodeError(f"A frame of format {frame.format.name} cannot be converted.") from exc

    def bgr(self, width: int = 0) -> "BgrImage":
        """Return a new array each time: uint8, (height, width, 3), BGR, contiguous, writable, owned by the caller.

        `width`: scale to this width, keeping the aspect ratio; 0: as decoded.
        """
        height = self.height if not width else max(2, round(self.height * width / self.width))
        return cast("BgrImage", self._reformat("bgr24", width or self.width, height).to_ndarray())

    def gray(self) -> "GrayImage":
        """Return the luma plane without a copy, read-only: uint8, (height, width). Valid while this object is."""
        layout = self._frame.format
        if not layout.name.startswith(("yuv", "nv", "gray")) or layout.components[0].bits != 8:
            return cast("GrayImage", cv2.cvtColor(self.bgr(), cv2.COLOR_BGR2GRAY))
        plane = self._frame.planes[0]
        rows = np.frombuffer(cast("memoryview[int]", plane), np.uint8).reshape(plane.height, plane.line_size)
        array = rows[:, : plane.width]
        array.flags.writeable = False
        return array


class Decoder:
    """Decodes access units, without a frame of delay unless the stream itself reorders. Thread: one.

    If the hardware fails at a key frame that software decodes, software takes over. `software_reason`: why the hardware
    that the settings name does not decode; "" if it does, or if they name none.
    """

    def __init__(self, codec: Codec, opening: DecoderOpening | None = None) -> None:
        self.codec = codec
        self._opening = opening or current_opening()
        self._use(self._opening.open(codec))
        self._reformatter = VideoReformatter()

    def _use(self, opened: OpenedDecoder) -> None:
        context, self._device, self.software_reason = opened
        context.thread_count = 1
        context.options = {"max_pixels": str(MAX_PIXELS)}
        # Frame threads add a frame of delay each, and deadlock with av.logging.
        context.thread_type = "NONE"
        context.flags |= int(av.codec.context.Flags.low_delay)
        self._context = context

    def decode(self, packet: Packet) -> list[DecodedFrame]:
        """Raises: DecodeError: this packet is damaged; the next one may work."""
        return [DecodedFrame(frame, self._reformatter) for frame in self.decode_frames(packet)]

    def decode_frames(self, packet: Packet) -> list[av.VideoFrame]:
        """Return the decoder's own frames. Raises: DecodeError: as `decode`."""
        try:
            return self._context.decode(_as_unit(packet))
        except (av.FFmpegError, ValueError) as exc:
            if self._device != SOFTWARE and packet.is_key:
                return self._decode_in_software(packet, exc)
            raise DecodeError("An access unit cannot be decoded.") from exc

    def _decode_in_software(self, packet: Packet, error: Exception) -> list[av.VideoFrame]:
        """Raises: DecodeError: the packet itself is damaged; the hardware remains in use."""
        before = OpenedDecoder(self._context, self._device)
        self._use(self._opening.open_software(self.codec, self._device, error))
        try:
            return self._context.decode(_as_unit(packet))
        except (av.FFmpegError, ValueError) as exc:
            self._context, self._device, self.software_reason = before
            raise DecodeError("An access unit cannot be decoded.") from exc


def _as_unit(packet: Packet) -> "av.Packet[Any]":
    unit = av.Packet(packet.data)
    unit.pts, unit.time_base = packet.pts, Fraction(1, packet.time_base_hz)
    return unit


def check_image(value: object) -> Any:
    """Return a processor's result as an array for the encoders: uint8, (h, w, 3) BGR or (h, w) gray, contiguous.

    Raises: EncodeError: with a message for the processor's author.
    """
    if not isinstance(value, np.ndarray):
        raise EncodeError(
            f"The processor returned {type(value).__name__}; return an image (NumPy array), annotations "
            "(a list of Box, Point, Polygon, Text), both as (image, annotations), or None."
        )
    if value.dtype == np.bool_:
        value = value.astype(np.uint8) * 255
    if value.dtype != np.uint8:
        raise EncodeError(f"The processor returned an array of {value.dtype}; return uint8 (0 to 255).")
    if value.ndim == 3 and value.shape[2] == 1:
        value = value[:, :, 0]
    if not (value.ndim == 2 or (value.ndim == 3 and value.shape[2] == 3)):
        raise EncodeError(
            f"The processor returned an array of shape {value.shape}; "
            "return (height, width, 3) in BGR, or (height, width) in gray."
        )
    if not all(2 <= side <= MAX_SIDE_PX for side in value.shape[:2]):
        raise EncodeError(
            f"The processor returned {value.shape[1]}x{value.shape[0]} pixels; each side must be 2 to {MAX_SIDE_PX}."
        )
    return np.ascontiguousarray(value)


def fit_width(image: Any, width: int) -> Any:
    """Return the image scaled down to `width` pixels (0, or larger than the image: unchanged)."""
    if not width or width >= image.shape[1]:
        return image
    height = max(2, round(image.shape[0] * width / image.shape[1]))
    try:
        return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    except cv2.error as exc:
        raise EncodeError("The frame cannot be scaled.") from exc


def encode_jpeg(image: Any, quality: int) -> bytes:
    try:
        done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    except cv2.error as exc:
        raise EncodeError("The frame cannot be encoded as JPEG.") from exc
    if not done:
        raise EncodeError("The frame cannot be encoded as JPEG.")
    return bytes(data)


class H264Encoder:
    """x264 ultrafast without delay: one frame in, one access unit out; a key frame every 2 s. Fixed size."""

    def __init__(self, width: int, height: int, fps: float) -> None:
        self.width, self.height = width & ~1, height & ~1
        context = av.CodecContext.create("libx264", "w")
        assert isinstance(context, av.VideoCodecContext)
        context.width, context.height = self.width, self.height
        context.pix_fmt = "yuv420p"
        context.time_base = Fraction(1, VIDEO_CLOCK_HZ)
        context.framerate = Fraction(max(1, round(fps)), 1)
        context.gop_size = max(1, round(fps * KEY_EVERY_S))
        context.max_b_frames = 0
        context.thread_count = 1
        context.colorspace = context.color_primaries = context.color_trc = BT601
        context.color_range = 1
        context.options = {"preset": "ultrafast", "tune": "zerolatency", "crf": "23"}
        self._context = context
        self._last_pts = -1

    def encode(self, image: Any, pts: int) -> Iterator[tuple[bytes, bool]]:
        """`image` as returned by `check_image`, of this encoder's size. Yields (Annex B, whether it is a key
        frame).
        """
        image = image[: self.height, : self.width]
        if image.ndim == 2:
            image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
        planes = cast("GrayImage", cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_BGR2YUV_I420))
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        self._last_pts = frame.pts = max(pts, self._last_pts + 1)
        frame.time_base = Fraction(1, VIDEO_CLOCK_HZ)
        try:
            for unit in self._context.encode(frame):
                yield bytes(unit), unit.is_keyframe
        except av.FFmpegError as exc:
            raise EncodeError("The frame cannot be encoded as H.264.") from exc
