"""Publishing devices: FFmpeg's RTMP and RTSP (through PyAV) as a process, and hostile ones as sockets.

As a program: `python -m tests.harness.publisher URL FILE` sends the file in a loop, in real time.
"""

import shutil
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

import av

from ninjacam.sources.rtmp.amf import write_values
from ninjacam.sources.rtmp.chunks import ChunkReader, Message, MessageType, write_message
from tests.harness.processes import Process, python


class Publisher(Process):
    """`file`: H.264 or H.265 in a container that FFmpeg reads."""

    def __init__(self, url: str, file: Path) -> None:
        super().__init__(
            f"publisher {url.partition(':')[0]}", python("-m", "tests.harness.publisher", url, str(file))
        )


GST_PICTURE = (
    "videotestsrc is-live=true ! video/x-raw,format=I420,width=320,height=240,framerate=25/1 "
    "! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=25"
)
GST_SINKS = {
    "rtsp": "rtspclientsink protocols=tcp location={url}",
    "rtmp": "h264parse ! flvmux streamable=true ! rtmp2sink location={url}",
}


def gst_publisher(url: str) -> Process:
    """Return a GStreamer pipeline that publishes H.264."""
    scheme = url.partition(":")[0]
    pipeline = f"{GST_PICTURE} ! {GST_SINKS[scheme].format(url=url)}"
    return Process(f"gstreamer {scheme}", ["gst-launch-1.0", "-q", *pipeline.split()])


def has_gst(*elements: str) -> bool:
    """Return whether GStreamer's tools and these elements are installed."""
    if not shutil.which("gst-inspect-1.0"):
        return False
    return all(
        subprocess.run(["gst-inspect-1.0", "--exists", each], check=False).returncode == 0
        for each in elements
    )


class RtmpSocket:
    """A minimal RTMP client for requests that FFmpeg does not send. `tls`: without verification."""

    def __init__(self, port: int, *, tls: bool = False) -> None:
        self._socket: socket.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        if tls:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self._socket = context.wrap_socket(self._socket)
        self._reader = ChunkReader()
        self._messages: list[Message] = []

    def shake_hands(self) -> None:
        self.send(b"\x03" + bytes(1536))
        left = 1 + 2 * 1536
        while left:
            left -= len(self._receive(left))
        self.send(bytes(1536))

    def publish(self, key: str) -> str:
        """Return the code of the response: "NetStream.Publish.Start"."""
        self.shake_hands()
        self.command("connect", {"app": "publish"})
        self.command("createStream", None)
        self.command("publish", None, key, "live")
        while True:
            for message in self._reader.feed(self._receive()):
                if message.kind == MessageType.COMMAND and b"onStatus" in message.data:
                    start = message.data.index(b"\x00\x04code\x02") + 9
                    return message.data[start : message.data.index(b"\x00\x0bdescription")].decode()

    def command(self, name: str, *values: object) -> None:
        self.send(write_message(MessageType.COMMAND, write_values(name, 1, *values)))

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def is_closed(self) -> bool:
        """Wait until the server closes the connection. Return False after 10 s."""
        try:
            while self._socket.recv(65_536):
                pass
        except TimeoutError:
            return False
        except OSError:
            pass
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def _receive(self, most: int = 65_536) -> bytes:
        data = self._socket.recv(most)
        assert data, "the server has closed the connection"
        return data


def main(url: str, path: str) -> None:
    is_rtmp = url.startswith("rtmp")
    options = {} if is_rtmp else {"rtsp_transport": "tcp"}
    with av.open(path) as source, av.open(url, "w", "flv" if is_rtmp else "rtsp", options=options) as sink:
        stream = source.streams.video[0]
        output = sink.add_stream_from_template(stream)
        begun_s, loops_s = time.monotonic(), 0.0
        while True:
            last_s = 0.0
            for packet in source.demux(stream):
                if packet.dts is None or packet.pts is None or packet.time_base is None:
                    continue
                last_s = loops_s + float(packet.dts * packet.time_base)
                time.sleep(max(0, begun_s + last_s - time.monotonic()))
                shift = round(loops_s / packet.time_base)
                packet.dts, packet.pts, packet.stream = packet.dts + shift, packet.pts + shift, output
                sink.mux(packet)
            loops_s = last_s + 0.04
            source.seek(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
