"""Found as admin.py is. Save it, and every viewer sees the change within two seconds."""

import cv2

from ninjacam import Frame, draw_text, processor


@processor
def outline(frame: Frame) -> None:
    edges = cv2.Canny(frame.gray, 80, 160)
    frame.image[edges > 0] = (0, 255, 255)
    text = f"{frame.captured_at:%H:%M:%S}"
    draw_text(frame.image, text, (24, 96), size_px=36)
