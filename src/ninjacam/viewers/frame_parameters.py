"""Parameters of requests for JPEG images: MJPEG, snapshots and stills."""

from collections.abc import Mapping
from dataclasses import dataclass

from ninjacam.core.packets import Codec
from ninjacam.hub.request import StreamRequest
from ninjacam.problems import Problem
from ninjacam.routes import FPS, QUALITY, VIEW, WIDTH, Parameter
from ninjacam.viewers.auth import view_of


@dataclass(frozen=True, slots=True)
class FrameParameters:
    """The parameters of a request. `width_px`, `quality`, `fps`: 0 if missing. `stream`: "" if missing."""

    view: str = ""
    stream: str = ""
    width_px: int = 0
    quality: int = 0
    fps: float = 0.0

    @classmethod
    def parse(cls, query: Mapping[str, str]) -> "FrameParameters":
        """Raises: Problem 400."""
        view = view_of(query)
        if not VIEW.accepts(view):
            raise Problem(400, "bad_request", "The parameter 'view' is too long.")
        return cls(
            view=view,
            stream=query.get("stream", ""),
            width_px=int(_number(query, WIDTH)),
            quality=int(_number(query, QUALITY)),
            fps=_number(query, FPS),
        )

    @property
    def is_unchanged(self) -> bool:
        """Return whether the camera's JPEG images can be sent unchanged, unless a view is sent."""
        return not (self.width_px or self.quality or self.fps)

    def stream_request(self, quality: int) -> StreamRequest:
        """Return the request for a local stream, without its view. `quality`: the default, if the request has none."""
        return StreamRequest(
            codec=Codec.MJPEG,
            width_px=self.width_px,
            quality=self.quality or quality,
            max_fps=self.fps,
        ).snapped()


def _number(query: Mapping[str, str], parameter: Parameter) -> float:
    """Return the value, or 0 without the parameter. Raises: Problem 400."""
    text = query.get(parameter.name, "")
    if not text:
        return 0
    if not parameter.accepts(text):
        schema = parameter.schema
        kind = "an integer" if schema["type"] == "integer" else "a number"
        raise Problem(
            400,
            "bad_request",
            f"The parameter {parameter.name!r} must be {kind} from {schema['minimum']:g} to {schema['maximum']:g}.",
        )
    return float(text)
