"""Parameters of requests for MJPEG and snapshots, and the responses when there is no frame."""

from collections.abc import Mapping
from dataclasses import dataclass

from ninjacam.core.packets import CameraState, Codec
from ninjacam.hub.request import StreamRequest
from ninjacam.live.feeds import Feed
from ninjacam.problems import Problem

MAX_WIDTH_PX = 7680
MAX_FPS = 240.0
RAW = "raw"
"""Name by which a URL may refer to the camera's own view."""


@dataclass(frozen=True, slots=True)
class PictureWish:
    """`width_px`, `quality`, `fps`: 0 if not given."""

    view: str = ""
    width_px: int = 0
    quality: int = 0
    fps: float = 0.0

    @classmethod
    def parse(cls, query: Mapping[str, str]) -> "PictureWish":
        """Raises: Problem 400."""
        view = query.get("view", "")
        if len(view) > 100:
            raise Problem(400, "bad_request", "The parameter 'view' is too long.")
        return cls(
            view="" if view == RAW else view,
            width_px=int(_number(query, "width", 16, MAX_WIDTH_PX, whole=True)),
            quality=int(_number(query, "quality", 1, 100, whole=True)),
            fps=_number(query, "fps", 0.1, MAX_FPS),
        )

    @property
    def is_plain(self) -> bool:
        """Return whether the camera's own JPEGs can be sent unchanged."""
        return not (self.view or self.width_px or self.quality or self.fps)

    def request(self, quality: int) -> StreamRequest:
        """`quality`: the default, if the request has none."""
        return StreamRequest(
            view=self.view,
            codec=Codec.MJPEG,
            width_px=self.width_px,
            quality=self.quality or quality,
            max_fps=self.fps,
        ).snapped()


def no_picture(feed: Feed, *, details: bool) -> Problem:
    """Return the problem that explains why there is no frame. `details`: for users who may configure the camera."""
    code, message = (
        "stream_unavailable",
        f"No frame came from the camera in time (state: {feed.state.value}).",
    )
    if feed.state is CameraState.DISABLED:
        code, message = "disabled", "The camera is disabled."
    if feed.info is not None and feed.info.error:
        code = str(feed.info.error.get("code", code))
    headers = ((b"retry-after", b"2"), (b"x-ninjacam-state", feed.state.value.encode()))
    return Problem(503, code, feed.message(details=details) or message, headers)


def _number(query: Mapping[str, str], name: str, least: float, most: float, *, whole: bool = False) -> float:
    text = query.get(name, "")
    if not text:
        return 0
    try:
        value = float(int(text) if whole else float(text))
    except (ValueError, OverflowError):
        value = -1.0
    if not least <= value <= most:
        kind = "an integer" if whole else "a number"
        raise Problem(
            400, "bad_request", f"The parameter {name!r} must be {kind} from {least:g} to {most:g}."
        )
    return value
