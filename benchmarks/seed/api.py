"""The blog's listings, with a line of text drawn into each frame. The camera's URL is in the environment: CAM.

/api/thread: a VideoCapture and a thread per request, the latest frame, paced by the camera: the measured variant.
/api/camera: the first listing, a synchronous generator: under ASGI it never sends a frame, and its memory grows.
/api/async: the second listing, an async generator that calls cap.read() itself and so blocks the event loop. Its flaws
are unchanged: no `finally`, no sharing, cv2's JPEG quality of 95.
"""

import asyncio
import datetime
import os
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import cv2
from django.http import HttpRequest, StreamingHttpResponse
from ninja import NinjaAPI

os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;tcp")
URL = os.environ.get("CAM", "")
CONTENT_TYPE = "multipart/x-mixed-replace; boundary=frame"

api = NinjaAPI()


def encode(frame: Any) -> bytes:
    text = datetime.datetime.now().isoformat(timespec="milliseconds")
    place = (20, frame.shape[0] - 30)
    cv2.putText(frame, text, place, cv2.FONT_HERSHEY_SIMPLEX, 1, (0, 255, 0), 2)
    _, jpeg = cv2.imencode(".jpg", frame)
    return b"--frame\r\nContent-Type: image/jpeg\r\n\r\n" + bytes(jpeg.tobytes()) + b"\r\n"


class ThreadedCamera:
    def __init__(self, source: str) -> None:
        self.capture = cv2.VideoCapture(source)
        self.frame: Any = None
        self.number = 0
        self.stopped = False
        threading.Thread(target=self.update, daemon=True).start()

    def update(self) -> None:
        while not self.stopped:
            good, frame = self.capture.read()
            if not good:
                self.stopped = True
                break
            self.frame = frame
            self.number += 1


@api.get("/thread")
async def thread(request: HttpRequest) -> StreamingHttpResponse:
    camera = ThreadedCamera(URL)

    async def generate() -> AsyncIterator[bytes]:
        last = 0
        while not camera.stopped:
            if camera.number == last:
                await asyncio.sleep(0.005)
                continue
            last = camera.number
            yield encode(camera.frame.copy())

    return StreamingHttpResponse(generate(), content_type=CONTENT_TYPE)


@api.get("/camera")
def first_listing(request: HttpRequest) -> StreamingHttpResponse:
    capture = cv2.VideoCapture(URL)

    def generate() -> Iterator[bytes]:
        while True:
            good, frame = capture.read()
            if not good:
                break
            yield encode(frame)

    return StreamingHttpResponse(generate(), content_type=CONTENT_TYPE)


@api.get("/async")
async def second_listing(request: HttpRequest) -> StreamingHttpResponse:
    capture = cv2.VideoCapture(URL)

    async def generate() -> AsyncIterator[bytes]:
        while capture.isOpened():
            good, frame = capture.read()
            if not good:
                break
            yield encode(frame)

    return StreamingHttpResponse(generate(), content_type=CONTENT_TYPE)
