"""The ready-made processor `clock`: date, time and the name of the camera in the image."""

from typing import Any, Literal

from django.db import DatabaseError, connection
from django.utils import timezone
from pydantic import BaseModel, Field

from ninjacam import Frame, Processor, draw_text, processor, text_size
from ninjacam.models import Camera

MIN_SIZE_PX = 10
GAP = 0.5
"""Distance from the edges of the image and between parts, as a fraction of the text size."""


class ClockOptions(BaseModel):
    position: Literal["top left", "top right", "bottom left", "bottom right"] = Field(
        "top left", description="Corner of the image."
    )
    size: float = Field(5, ge=2, le=20, description="Text size, in percent of the height of the image.")
    date: bool = Field(True, description="Show the date.")
    name: bool = Field(True, description="Show the name of the camera.")


@processor("clock")
class ClockView(Processor):
    """The image with date, time and the name of the camera, in the time zone of the site."""

    Options = ClockOptions

    def setup(self, camera: str, options: ClockOptions) -> None:
        self.options = options
        self.title = _name_of(camera) if options.name else ""

    def process(self, frame: Frame) -> Any:
        at = timezone.localtime(frame.captured_at, timezone.get_default_timezone())
        parts = [f"{at:%Y-%m-%d}" if self.options.date else "", f"{at:%H:%M:%S}", self.title]
        self._draw(frame.image, [part for part in parts if part])
        return frame.image

    def _draw(self, image: Any, parts: list[str]) -> None:
        """Draw each part by itself: texts are cached, and only the time is a new one each second."""
        height, width = image.shape[:2]
        size_px = max(MIN_SIZE_PX, self.options.size / 100 * height)
        gap = GAP * size_px
        sizes = [text_size(part, size_px) for part in parts]
        vertical, horizontal = self.options.position.split()
        total = sum(size.width for size in sizes) + gap * (len(parts) - 1)
        # The beginning is always visible, also if the name is longer than the image is wide.
        x = gap if horizontal == "left" else max(gap, width - gap - total)
        y = gap / 2 + sizes[0].ascent if vertical == "top" else height - gap / 2 - sizes[0].descent
        for part, size in zip(parts, sizes, strict=True):
            draw_text(image, part, (x, y), size_px=size_px)
            x += size.width + gap


def _name_of(camera: str) -> str:
    """Return the name of a camera; its short name if it has none, or if the database is not available."""
    try:
        name = Camera.objects.filter(slug=camera).values_list("name", flat=True).first()
    except DatabaseError:
        name = ""
    finally:
        if not connection.in_atomic_block:
            connection.close()  # This thread needs no other query.
    return name or camera
