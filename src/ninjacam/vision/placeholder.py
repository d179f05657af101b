"""Readable pictures for when there is none: the camera is away, or the view's code fails."""

import textwrap
from typing import Any

import cv2
import numpy as np

SIZE_PX = (1280, 720)
FONT = cv2.FONT_HERSHEY_SIMPLEX
TITLE_BGR = (255, 255, 255)
TEXT_BGR = (215, 215, 215)
ACCENT_BGR = (60, 170, 255)


def message_picture(title: str, lines: list[str], background: Any = None) -> Any:
    """A picture that says `title` and `lines`, on the dimmed `background` (uint8, BGR or gray) where there is one.

    Returns: uint8, (height, width, 3), BGR, of the background's size, else 1280x720.
    """
    if background is None:
        image = np.full((SIZE_PX[1], SIZE_PX[0], 3), (38, 32, 28), np.uint8)
    else:
        if background.ndim == 2:
            background = cv2.cvtColor(background, cv2.COLOR_GRAY2BGR)
        image = cv2.convertScaleAbs(background, alpha=0.28)
    height, width = image.shape[:2]
    scale = max(0.35, width / 1280)
    margin = int(48 * scale)
    columns = max(16, int((width - 2 * margin) / (17 * scale * 0.72)))
    wrapped = [part for line in lines for part in (textwrap.wrap(line, columns) or [""])]
    step = int(34 * scale)
    most = max(1, (height - int(140 * scale)) // step)
    if len(wrapped) > most:
        wrapped = [*wrapped[: most - 1], "..."] if most > 1 else wrapped[:1]
    y = max(int(70 * scale), (height - step * len(wrapped)) // 2)
    cv2.rectangle(
        image,
        (margin // 2, y - int(46 * scale)),
        (margin // 2 + int(6 * scale), y + int(10 * scale)),
        ACCENT_BGR,
        -1,
    )
    _write(image, title, (margin, y), 1.15 * scale, TITLE_BGR, 2)
    for number, line in enumerate(wrapped):
        _write(image, line, (margin, y + int(48 * scale) + number * step), 0.72 * scale, TEXT_BGR, 1)
    return image


def _write(
    image: Any, text: str, at: tuple[int, int], size: float, colour: tuple[int, int, int], weight: int
) -> None:
    plain = text.encode("ascii", "replace").decode()  # OpenCV's Hershey fonts have no other letters
    cv2.putText(image, plain, at, FONT, size, (0, 0, 0), max(1, round(weight * 2.5 * size)), cv2.LINE_AA)
    cv2.putText(image, plain, at, FONT, size, colour, max(1, round(weight * size)), cv2.LINE_AA)
