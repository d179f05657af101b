"""Readable images for when there is no frame: the camera is unavailable, or the view's code fails."""

from typing import Any

import cv2
import numpy as np

from ninjacam.core.text import MAX_CHARS, draw_text, text_size

SIZE_PX = (1280, 720)
TITLE_PX, TEXT_PX = 36, 23
"""Font size in an image 1280 pixels wide."""
TITLE_BGR = (255, 255, 255)
TEXT_BGR = (215, 215, 215)
ACCENT_BGR = (60, 170, 255)
MAX_LINES = 40


def message_image(title: str, lines: list[str], background: Any = None) -> Any:
    """Return an image with `title` and `lines`, on the dimmed `background` (uint8, BGR or gray) if there is one.

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
    room_px = max(16, width - 2 * margin)
    wrapped = [part for line in lines for part in wrap(line, room_px, TEXT_PX * scale)]
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
    title_px = TITLE_PX * scale * min(1.0, room_px / max(1, text_size(title, TITLE_PX * scale).width))
    draw_text(image, title, (margin, y), size_px=title_px, color=TITLE_BGR)
    for number, line in enumerate(wrapped):
        at = (margin, y + int(48 * scale) + number * step)
        draw_text(image, line, at, size_px=TEXT_PX * scale, color=TEXT_BGR)
    return image


def wrap(line: str, width_px: int, size_px: float) -> list[str]:
    """Split `line` into pieces that fit: at spaces, and within words that are too long."""
    pieces = [""]
    for word in line[: MAX_LINES * MAX_CHARS].split() or [""]:
        longer = f"{pieces[-1]} {word}".strip()
        if _fits(longer, width_px, size_px):
            pieces[-1] = longer
            continue
        if pieces[-1]:
            pieces.append("")
        for letter in word:
            if pieces[-1] and not _fits(pieces[-1] + letter, width_px, size_px):
                pieces.append("")
            pieces[-1] += letter
        if len(pieces) > MAX_LINES:
            break
    return pieces[:MAX_LINES]


def _fits(text: str, width_px: int, size_px: float) -> bool:
    return len(text) <= MAX_CHARS and text_size(text, size_px).width <= width_px
