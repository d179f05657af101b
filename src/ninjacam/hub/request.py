"""The stream that a subscriber requests."""

from dataclasses import asdict, dataclass
from typing import Any

from ninjacam.core.errors import ProtocolError
from ninjacam.core.packets import CODEC_BY_LABEL, Codec

WIDTHS_PX = (160, 240, 320, 480, 640, 800, 960, 1280, 1600, 1920, 2560, 3840)
QUALITIES = (40, 50, 60, 70, 80, 90, 95)


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """One stream of a socket. `.packets` sockets use only `audio`; `.pixels` sockets use all other fields.

    `view`: a processor's name, or "" for the camera itself. `width_px`: 0 for the camera's width. `quality`:
    JPEG, 1 to 100. `max_fps`: 0 for no limit. Equal requests share one encoder, so `snapped` rounds user
    input.
    """

    view: str = ""
    codec: Codec = Codec.NONE
    width_px: int = 0
    quality: int = 80
    max_fps: float = 0
    audio: bool = False

    def snapped(self) -> "StreamRequest":
        """Return the nearest request that others are likely to share: the next larger width, the nearest quality,
        whole fps.
        """
        width = next((w for w in WIDTHS_PX if w >= self.width_px), WIDTHS_PX[-1]) if self.width_px > 0 else 0
        quality = min(QUALITIES, key=lambda q: abs(q - self.quality)) if self.codec is Codec.MJPEG else 0
        fps = float(max(1, round(self.max_fps))) if self.max_fps > 0 else 0.0
        return StreamRequest(self.view, self.codec, width, quality, fps, self.audio)

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "codec": self.codec.label}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "StreamRequest":
        """Return the request of a SUBSCRIBE message. Raises: ProtocolError: a field is missing, unknown or of
        the wrong type."""
        try:
            return cls(
                view=str(values["view"]),
                codec=CODEC_BY_LABEL[values["codec"]],
                width_px=int(values["width_px"]),
                quality=int(values["quality"]),
                max_fps=float(values["max_fps"]),
                audio=bool(values["audio"]),
            )
        except (KeyError, TypeError, ValueError) as exc:
            raise ProtocolError("A subscription to a local stream is malformed.") from exc
