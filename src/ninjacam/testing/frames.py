"""Frames for unit tests of your own processors."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from ninjacam.core.frames import Area, Frame
from ninjacam.core.results import Result
from ninjacam.core.zones import Zone, Zones

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
FRAME_NS = 40_000_000


def frame(
    image: Any,
    *,
    camera: str = "test",
    number: int = 0,
    captured_at: datetime | None = None,
    results: Mapping[str, Result] | None = None,
    motion: Iterable[Area] = (),
    zones: Iterable[Zone] = (),
) -> Frame:
    """Return a frame that shows `image`, as a camera's decoder would deliver it.

        from ninjacam.testing import frame

        boxes = find_faces(frame(cv2.imread("face.jpg")))

        motion = Motion()                      # a class: as its worker calls it
        motion.setup("gate", None)
        motion.process(frame(first, number=0))
        motion.process(frame(second, number=1))
        motion.close()

    `image`: uint8, (height, width, 3) BGR or (height, width) gray; not changed: the frame has a copy. `frame.gray` is
    its luma, 16 to 235, as cameras send it. `captured_at`: aware; None: 25 frames per second from 2026-01-01.
    `results`: of the processors that run before the tested one in its chain, by name. `motion`: what moves, for
    processors with `when="motion"`. `zones`: those of the camera,
    such as `Zone("door", "line", [(0, 0.5), (1, 0.5)])`.
    Raises: TypeError, ValueError: it is not such an image.
    """
    import cv2  # which importing the fake cameras must not take
    import numpy as np

    if not isinstance(image, np.ndarray):
        raise TypeError(
            f"The image is {type(image).__name__}, not an array. cv2.imread returns None if it cannot read the file."
        )
    if image.dtype != np.uint8 or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)):
        raise ValueError(
            f"The image has the type {image.dtype} and the shape {image.shape}. "
            "Use uint8, (height, width, 3) BGR or (height, width) gray."
        )
    bgr: Any
    luma: Any
    if image.ndim == 2:
        bgr, light = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), image
    else:
        bgr, light = image.copy(), cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    luma = cv2.convertScaleAbs(light, alpha=219 / 255, beta=16)
    luma.flags.writeable = False
    since_ns = number * FRAME_NS
    first_ns = int((captured_at or EPOCH).timestamp() * 1e6) * 1000
    return Frame(
        camera=camera,
        number=number,
        pts_s=since_ns / 1e9,
        captured_ns=first_ns if captured_at is not None else first_ns + since_ns,
        received_ns=since_ns,
        width=image.shape[1],
        height=image.shape[0],
        load_bgr=lambda: bgr,
        load_gray=lambda: luma,
        results=results,
        motion=tuple(motion),
        zones=Zones(zones),
    )
