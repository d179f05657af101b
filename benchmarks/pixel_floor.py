"""The least that a view costs: decode, convert, the user's code and JPEG, in one process without any machinery.

  python -m benchmarks.pixel_floor CLIP.h264 [-t SECONDS] [--fps 25]

The frames come from the file at their times, as they come from a camera: a process that does not wait between frames
would have warmer caches. Prints its CPU time in ms per frame.
"""

import argparse
import datetime
import sys
import time
from pathlib import Path

import cv2

from benchmarks.clips import access_units
from benchmarks.stage import MJPEG_QUALITY
from ninjacam.core.packets import VIDEO_CLOCK_HZ, Codec, Kind, Packet
from ninjacam.vision.images import Decoder, encode_jpeg


def draw(image: cv2.typing.MatLike) -> None:
    """The overlay of `stage`."""
    text = datetime.datetime.now().isoformat(timespec="milliseconds")
    cv2.putText(image, text, (20, image.shape[0] - 30), cv2.FONT_HERSHEY_SIMPLEX, 1, (0, 255, 0), 2)


def run(clip: Path, seconds: float, fps: float) -> float:
    """Return the CPU time in ms per frame."""
    cv2.setNumThreads(1)
    units = access_units(clip)
    decoder, quality = Decoder(Codec.H264), MJPEG_QUALITY
    started_s, frames = time.monotonic(), 0
    begun_s = time.process_time()
    while time.monotonic() - started_s < seconds:
        time.sleep(max(0.0, started_s + frames / fps - time.monotonic()))
        pts = round(frames * VIDEO_CLOCK_HZ / fps)
        for frame in decoder.decode(Packet(Kind.VIDEO, Codec.H264, units[frames % len(units)], pts, 0)):
            image = frame.bgr()
            draw(image)
            encode_jpeg(image, quality)
        frames += 1
    return (time.process_time() - begun_s) * 1000 / frames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path)
    parser.add_argument("-t", "--seconds", type=float, default=10.0)
    parser.add_argument("--fps", type=float, default=25.0)
    options = parser.parse_args()
    sys.stdout.write(f"{run(options.clip, options.seconds, options.fps)}\n")


if __name__ == "__main__":
    main()
