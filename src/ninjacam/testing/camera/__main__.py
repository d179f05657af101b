"""The fake RTSP camera as a process: `python -m ninjacam.testing.camera --port 8554`.

Prints {"listening": port, "loop": frames, "urls": [...]} when ready, then reads faults from its standard input, one
JSON object a line, and answers each by {"ok": true} or {"error": "..."}:
  {"freeze": true, "stream": "/cam0"}   any field of `faults.Faults`; without "stream": all of them
  {"op": "drop"} {"op": "inject"} {"op": "jump", "seconds": -3600} {"op": "switch", "clip": 1}
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import get_args

from ninjacam.testing.authentication import Login, Scheme
from ninjacam.testing.camera import FakeRtspCamera
from ninjacam.testing.clips import Clip, load_clip
from ninjacam.testing.scenes import SceneOptions, make_clip
from ninjacam.testing.tls import server_context

_STATE_INTERVAL_S = 0.5


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ninjacam.testing.camera",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8554, help="0: a free one")
    parser.add_argument("--streams", type=int, default=1, help="/cam0, /cam1, ...")
    parser.add_argument("--clip", action="append", type=Path, default=[], help="a media file; else the scene")
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--fps", type=int, default=25)
    parser.add_argument("--gop", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--bframes", type=int, default=0)
    parser.add_argument("--codec", choices=("h264", "hevc", "mjpeg"), default="h264")
    parser.add_argument("--audio", choices=("", "pcm_alaw", "pcm_mulaw", "aac"), default="")
    parser.add_argument("--bitrate", type=int, default=3_000_000, help="bit/s")
    parser.add_argument("--no-stamp", action="store_true", help="no frame stamps in the scene")
    parser.add_argument("--cache", type=Path, help="keep encoded scenes in this directory")
    parser.add_argument("--auth", choices=get_args(Scheme), default="none")
    parser.add_argument("--user", default="admin")
    parser.add_argument("--password", default="secret")
    parser.add_argument("--tls", action="store_true", help="rtsps, with a self-signed certificate")
    parser.add_argument("--gop-at-once", action="store_true", help="start clients at the last key frame")
    parser.add_argument("--state", type=Path, help="keep connects, open, ... in this JSON file")
    return parser


def _clips(options: argparse.Namespace) -> list[Clip]:
    if options.clip:
        return [load_clip(path, fps=options.fps) for path in options.clip]
    width, _, height = options.size.partition("x")
    scene = SceneOptions(
        width=int(width),
        height=int(height),
        fps=options.fps,
        seconds=options.seconds,
        gop=options.gop,
        bframes=options.bframes,
        codec=options.codec,
        bitrate_bps=options.bitrate,
        audio=options.audio,
        stamped=not options.no_stamp,
    )
    return [make_clip(scene, cache_dir=options.cache)]


class _Control:
    """Obeys the lines of the standard input, in a thread of its own: reading a file blocks."""

    def __init__(self, camera: FakeRtspCamera, clips: list[Clip], loop: asyncio.AbstractEventLoop) -> None:
        self._camera = camera
        self._clips = clips
        self._loop = loop

    def run(self) -> None:
        for line in sys.stdin:
            answer: dict[str, object] = {"ok": True}
            try:
                asyncio.run_coroutine_threadsafe(self._obey(json.loads(line)), self._loop).result(10)
            except (ValueError, KeyError, IndexError, TypeError) as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            print(json.dumps(answer), flush=True)

    async def _obey(self, order: dict[str, object]) -> None:
        stream = str(order.pop("stream", "*"))
        match order.pop("op", "faults"):
            case "faults":
                self._camera.set_faults(stream, **order)
            case "drop":
                self._camera.drop()
            case "inject":
                self._camera.inject()
            case "jump":
                self._camera.jump(float(str(order["seconds"])), stream)
            case "switch":
                self._camera.switch_clip(self._clips[int(str(order["clip"]))], stream)
            case other:
                raise ValueError(f"No such operation: {other}.")


def _state_writer(camera: FakeRtspCamera, path: Path, loop_frames: int) -> Callable[[], None]:
    def write() -> None:
        stats = camera.stats
        state = {
            "pid": os.getpid(),
            "connects": stats.connections,
            "open": stats.open_connections,
            "loop": loop_frames,
            "bytes": stats.bytes_sent,
            "receiver_reports": stats.receiver_reports,
            "methods": dict(stats.methods),
        }
        unfinished = path.with_name(path.name + ".new")
        unfinished.write_text(json.dumps(state))
        unfinished.replace(path)

    return write


async def _serve(options: argparse.Namespace) -> None:
    clips = _clips(options)
    camera = FakeRtspCamera(
        {f"/cam{number}": clips[0] for number in range(options.streams)},
        host=options.host,
        port=options.port,
        login=Login(options.auth, options.user, options.password),
        ssl_context=server_context() if options.tls else None,
        gop_at_once=options.gop_at_once,
    )
    loop = asyncio.get_running_loop()
    write_state = _state_writer(camera, options.state, clips[0].frames) if options.state else lambda: None
    camera.on_change = write_state

    def on_ready() -> None:
        write_state()
        urls = [camera.url(path, login=False) for path in camera.streams]
        print(json.dumps({"listening": camera.port, "loop": clips[0].frames, "urls": urls}), flush=True)
        control = _Control(camera, clips, loop)
        threading.Thread(target=control.run, name="camera-control", daemon=True).start()

    async def keep_state() -> None:
        while True:
            await asyncio.sleep(_STATE_INTERVAL_S)
            write_state()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, camera.request_stop)
    keeper = asyncio.create_task(keep_state(), name="camera-state") if options.state else None
    try:
        await camera.serve(on_ready)
    finally:
        if keeper:
            keeper.cancel()


def main() -> None:
    options = _arguments().parse_args()
    if options.streams < 1:
        raise SystemExit("--streams must be at least 1.")
    try:
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(_serve(options))
    except (OSError, ValueError) as error:
        raise SystemExit(f"The camera cannot start: {error}") from None
    sys.stdout.flush()
    os._exit(0)  # the control thread may be blocked in a read of the standard input


if __name__ == "__main__":
    main()
