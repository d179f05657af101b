#!/usr/bin/python3
"""RTSP cameras on GStreamer's server, an independent implementation, that play a looped clip without encoding.

  /usr/bin/python3 benchmarks/gst_camera.py PORT CLIP.h264 [--streams N] [--state FILE] [--user U --password P --digest]

Runs with the system's python3 (Debian: python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-{base,good,bad}), so
it imports no modules of the project. CLIP is Annex B with access unit delimiters (`clips.stamped_annexb`). URLs:
rtsp://127.0.0.1:PORT/cam0 ... cam{N-1}. Frame k of the L of the clip is sent at CLOCK_MONOTONIC (j*L + k)/fps. --state
keeps {"pid", "connects", "open", "loop"} up to date. --codec h265 and mjpeg transcode while playing.
"""

import argparse
import itertools
import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

DELIMITER = b"\x00\x00\x00\x01\x09"
SOURCE = (
    "appsrc name=src is-live=true do-timestamp=true format=time "
    "caps=video/x-h264,stream-format=byte-stream,alignment=au ! h264parse config-interval=-1"
)
PIPELINES = {
    "h264": f"( {SOURCE} ! rtph264pay name=pay0 pt=96 config-interval=-1 )",
    "h265": (
        f"( {SOURCE} ! avdec_h264 ! x265enc speed-preset=ultrafast tune=zerolatency key-int-max=50 "
        "! rtph265pay name=pay0 pt=96 config-interval=-1 )"
    ),
    "mjpeg": f"( {SOURCE} ! avdec_h264 ! jpegenc quality=75 ! rtpjpegpay name=pay0 pt=26 )",
}


def access_units(path: Path) -> list[bytes]:
    data = path.read_bytes()
    starts, at = [], data.find(DELIMITER)
    while at >= 0:
        starts.append(at)
        at = data.find(DELIMITER, at + 4)
    return [data[start:end] for start, end in zip(starts, [*starts[1:], len(data)])]  # noqa: B905 (Python 3.9)


class State:
    """Written to a file after every change."""

    def __init__(self, path: Path | None, loop: int) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._values = {"pid": os.getpid(), "connects": 0, "open": 0, "loop": loop}
        self.add()

    def add(self, **changes: int) -> None:
        with self._lock:
            for name, change in changes.items():
                self._values[name] += change
            if self._path:
                unfinished = self._path.with_name(self._path.name + ".new")
                unfinished.write_text(json.dumps(self._values))
                unfinished.replace(self._path)


class Feeder:
    """Pushes the access units into the pipelines of all streams, on time."""

    def __init__(self, units: list[bytes], fps: float, gop: int) -> None:
        self._units = units
        self._fps = fps
        self._gop = gop
        self._waiting: dict[int, Any] = {}
        self._running: dict[int, Any] = {}

    def add(self, source: Any, key: int) -> None:
        """Start with the next key frame."""
        self._waiting[key] = source

    def discard(self, key: int) -> None:
        self._waiting.pop(key, None)
        self._running.pop(key, None)

    def run(self) -> None:
        number = int(time.monotonic() * self._fps) + 1
        while True:
            wait_s = number / self._fps - time.monotonic()
            if wait_s > 0:
                time.sleep(wait_s)
            place = number % len(self._units)
            if place % self._gop == 0:
                for key, source in list(self._waiting.items()):
                    self._waiting.pop(key, None)
                    self._running[key] = source
            for key, source in list(self._running.items()):
                buffer = Gst.Buffer.new_wrapped(self._units[place])
                if source.emit("push-buffer", buffer) != Gst.FlowReturn.OK:
                    self._running.pop(key, None)
            number += 1


def make_auth(user: str, password: str, digest: bool) -> Any:
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    if digest:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(user, password, token)
    else:
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    return auth


# id(media) is not unique: the wrapper is freed immediately, and the next one gets its address.
_keys = itertools.count()


def make_factory(launch: str, feeder: Feeder, *, guarded: bool) -> Any:
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(launch)
    factory.set_shared(True)
    factory.set_latency(0)

    def on_media(_factory: Any, media: Any) -> None:
        key = next(_keys)
        feeder.add(media.get_element().get_child_by_name("src"), key)
        media.connect("unprepared", lambda _media: feeder.discard(key))

    factory.connect("media-configure", on_media)
    if guarded:
        permissions = GstRtspServer.RTSPPermissions()
        permissions.add_permission_for_role("viewer", "media.factory.access", True)
        permissions.add_permission_for_role("viewer", "media.factory.construct", True)
        factory.set_permissions(permissions)
    return factory


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("port", type=int)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--streams", type=int, default=1)
    parser.add_argument("--fps", type=float, default=25.0)
    parser.add_argument("--gop", type=int, default=50)
    parser.add_argument("--state", type=Path)
    parser.add_argument("--user")
    parser.add_argument("--password", default="")
    parser.add_argument("--digest", action="store_true")
    parser.add_argument("--codec", choices=sorted(PIPELINES), default="h264")
    parser.add_argument(
        "--launch", help="a pipeline of your own, with an appsrc named src and a payloader named pay0"
    )
    return parser.parse_args()


def main() -> None:
    options = arguments()
    Gst.init(None)
    units = access_units(options.clip)
    feeder = Feeder(units, options.fps, options.gop)
    server = GstRtspServer.RTSPServer()
    server.set_service(str(options.port))
    server.set_address("127.0.0.1")
    server.get_thread_pool().set_max_threads(-1)  # otherwise the streams preroll one by one, a GOP each
    if options.user:
        server.set_auth(make_auth(options.user, options.password, options.digest))
    for number in range(options.streams):
        factory = make_factory(options.launch or PIPELINES[options.codec], feeder, guarded=bool(options.user))
        server.get_mount_points().add_factory(f"/cam{number}", factory)
    if not server.attach(None):
        raise SystemExit(f"Port {options.port} is taken.")
    state = State(options.state, len(units))

    def on_client(_server: Any, client: Any) -> None:
        state.add(connects=1, open=1)
        client.connect("closed", lambda _client: state.add(open=-1))

    server.connect("client-connected", on_client)
    print(json.dumps({"listening": options.port, "loop": len(units)}), flush=True)
    threading.Thread(target=feeder.run, name="feeder", daemon=True).start()
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
