"""Many viewers of MJPEG streams in one process, which count frames and read their stamps.

  python -m benchmarks.loadclient URL [URL ...] [-n VIEWERS] [-t SECONDS] [--bearer TOKEN] [--cookie N=V] [--json]

Several URLs are assigned to the viewers in turn; {i} in a URL is the viewer's number. The latency is from the camera's
sending to the arrival of the JPEG here, for cameras that send frame k at CLOCK_MONOTONIC (j*loop + k)/fps.
"""

import argparse
import asyncio
import contextlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import urlsplit

import simplejpeg

from ninjacam.testing import stamp

_START, _END = b"\xff\xd8\xff", b"\xff\xd9"
_CONNECT_TIMEOUT_S = 10.0
_RETRY_S = 0.5


def percentile(values: Sequence[float], share: float) -> float | None:
    """Return the value below which `share` (0..1) of the values are; None if there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else None


@dataclass(slots=True)
class Viewer:
    """The results of one viewer after the warm-up. `first_frame_s`: from before it connected."""

    number: int
    url: str
    frames: int = 0
    duplicates: int = 0
    bytes: int = 0
    first_frame_s: float | None = None
    longest_gap_s: float = 0.0
    unreadable: int = 0
    """Decoded frames without a legible stamp."""
    status: str = ""
    error: str = ""
    connects: int = 0
    latencies_ms: list[float] = field(default_factory=list, repr=False)
    numbers: set[int] = field(default_factory=set, repr=False)


@dataclass(frozen=True, slots=True)
class Result:
    seconds: float
    viewers: list[Viewer]

    @property
    def fps(self) -> list[float]:
        """Return the distinct frames per second of each viewer."""
        return [(viewer.frames - viewer.duplicates) / self.seconds for viewer in self.viewers]

    @property
    def latencies_ms(self) -> list[float]:
        return [value for viewer in self.viewers for value in viewer.latencies_ms]

    @property
    def longest_gap_s(self) -> float:
        return max((viewer.longest_gap_s for viewer in self.viewers), default=0.0)

    def summary(self) -> dict[str, Any]:
        """Return the output of the command."""
        frames = sum(viewer.frames for viewer in self.viewers)
        delays = self.latencies_ms
        return {
            "viewers": len(self.viewers),
            "seconds": self.seconds,
            "fps": [round(value, 2) for value in self.fps],
            "latency_p50_ms": _rounded(percentile(delays, 0.5)),
            "latency_p95_ms": _rounded(percentile(delays, 0.95)),
            "latency_max_ms": _rounded(max(delays, default=None)),
            "latencies": len(delays),
            "unreadable": sum(viewer.unreadable for viewer in self.viewers),
            "bytes_per_frame": round(sum(viewer.bytes for viewer in self.viewers) / max(1, frames)),
            "first_frame_s": [_rounded(viewer.first_frame_s, 3) for viewer in self.viewers],
            "longest_gap_ms": round(1000 * self.longest_gap_s),
            "statuses": sorted({viewer.status for viewer in self.viewers}),
            "errors": [viewer.error for viewer in self.viewers if viewer.error][:3],
        }


def _rounded(value: float | None, digits: int = 1) -> float | None:
    return None if value is None else round(value, digits)


@dataclass(frozen=True, slots=True)
class Load:
    """`slow_bytes_per_s`: maximum reading rate of a viewer. `decode_every`: read the stamp of each nth frame."""

    urls: Sequence[str]
    viewers: int = 1
    seconds: float = 10.0
    warm_up_s: float = 3.0
    fps: float = 25.0
    loop: int = 250
    decode_every: int = 5
    stagger_s: float = 0.05
    slow_bytes_per_s: float = 0.0
    reconnect: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


async def run_mjpeg(load: Load) -> Result:
    """Run for `warm_up_s + seconds`. Never raises for the server's behaviour: see `Viewer.error`."""
    measure_s = time.monotonic() + load.warm_up_s
    viewers = [Viewer(i, load.urls[i % len(load.urls)].replace("{i}", str(i))) for i in range(load.viewers)]
    async with asyncio.TaskGroup() as group:
        for viewer in viewers:
            group.create_task(_watch(viewer, load, measure_s), name=f"viewer-{viewer.number}")
    return Result(load.seconds, viewers)


async def _watch(viewer: Viewer, load: Load, measure_s: float) -> None:
    await asyncio.sleep(viewer.number * load.stagger_s)
    started_s, end_s = time.monotonic(), measure_s + load.seconds
    eye = _Eye(viewer, load, measure_s, started_s)
    while time.monotonic() < end_s:
        try:
            async with asyncio.timeout(end_s - time.monotonic()):
                await _stream(viewer, load, eye)
        except TimeoutError:
            return
        except (OSError, EOFError, ValueError) as error:
            viewer.error = f"{type(error).__name__}: {error}"
        if not load.reconnect:
            return
        await asyncio.sleep(_RETRY_S)


async def _stream(viewer: Viewer, load: Load, eye: "_Eye") -> None:
    """Read one connection until it ends. Raises: EOFError: the server closed it; ValueError: it refused."""
    parts = urlsplit(viewer.url)
    async with asyncio.timeout(_CONNECT_TIMEOUT_S):
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80, limit=4 << 20)
    viewer.connects += 1
    try:
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        lines = [f"GET {target} HTTP/1.1", f"Host: {parts.netloc}", "Accept: */*", "User-Agent: loadclient"]
        lines += [f"{name}: {value}" for name, value in load.headers.items()]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        viewer.status = head.partition("\r\n")[0]
        if " 200" not in viewer.status:
            raise ValueError(viewer.status)
        chunks = _Dechunker() if "transfer-encoding: chunked" in head else None
        while data := await reader.read(1 << 18):
            eye.receive(chunks.feed(data) if chunks else data, len(data))
            if load.slow_bytes_per_s:
                await asyncio.sleep(len(data) / load.slow_bytes_per_s)
        raise EOFError("closed by the server")
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


class _Dechunker:
    """Decodes the chunked transfer coding (RFC 9112, section 7.1)."""

    def __init__(self) -> None:
        self._raw = bytearray()
        self._left = 0

    def feed(self, data: bytes) -> bytes:
        """Raises: EOFError: at the last chunk."""
        self._raw += data
        out = bytearray()
        while self._raw:
            if self._left == 0:
                end = self._raw.find(b"\r\n")
                if end < 0:
                    break
                line = bytes(self._raw[:end])
                del self._raw[: end + 2]
                if not line:  # after a chunk
                    continue
                self._left = int(line.partition(b";")[0], 16)
                if self._left == 0:
                    raise EOFError("the last chunk")
            piece = self._raw[: self._left]
            out += piece
            self._left -= len(piece)
            del self._raw[: len(piece)]
        return bytes(out)


class _Eye:
    """Extracts and examines the JPEG images in a stream."""

    def __init__(self, viewer: Viewer, load: Load, measure_s: float, started_s: float) -> None:
        self._viewer = viewer
        self._load = load
        self._measure_s = measure_s
        self._started_s = started_s
        self._data = bytearray()
        self._searched = 0
        self._last_s: float | None = None
        self._last_hash = 0

    def receive(self, data: bytes, size_on_the_wire: int) -> None:
        now_s = time.monotonic()
        if now_s >= self._measure_s:
            self._viewer.bytes += size_on_the_wire
        self._data += data
        while frame := self._next():
            self._look(frame, now_s)

    def _next(self) -> bytes:
        """Return the next complete JPEG image, if any."""
        start = self._data.find(_START)
        if start < 0:
            del self._data[:-2]
            return b""
        end = self._data.find(_END, max(start + 2, self._searched))
        if end < 0:
            self._searched = max(start + 2, len(self._data) - 1)
            return b""
        frame = bytes(self._data[start : end + 2])
        del self._data[: end + 2]
        self._searched = 0
        return frame

    def _look(self, frame: bytes, now_s: float) -> None:
        viewer = self._viewer
        if viewer.first_frame_s is None:
            viewer.first_frame_s = now_s - self._started_s
        last_s, self._last_s = self._last_s, now_s
        if now_s < self._measure_s:
            return
        viewer.frames += 1
        if last_s is not None:
            viewer.longest_gap_s = max(viewer.longest_gap_s, now_s - last_s)
        present_hash = hash(frame[200:4000])
        if present_hash == self._last_hash:
            viewer.duplicates += 1
            return
        self._last_hash = present_hash
        if viewer.frames % self._load.decode_every == 0:
            self._read(frame, now_s)

    def _read(self, frame: bytes, now_s: float) -> None:
        try:
            number = stamp.read(simplejpeg.decode_jpeg(frame, "GRAY", strict=False)[:, :, 0])
        except ValueError:
            number = None
        if number is None:
            self._viewer.unreadable += 1
            return
        self._viewer.numbers.add(number)
        load = self._load
        self._viewer.latencies_ms.append(((now_s * load.fps - number) % load.loop) / load.fps * 1000)


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("url", nargs="+")
    parser.add_argument("-n", "--viewers", type=int, default=1)
    parser.add_argument("-t", "--seconds", type=float, default=10.0)
    parser.add_argument("--warm-up", type=float, default=3.0)
    parser.add_argument("--fps", type=float, default=25.0)
    parser.add_argument("--loop", type=int, default=250, help="frames of the camera's clip")
    parser.add_argument("--decode-every", type=int, default=5)
    parser.add_argument("--stagger", type=float, default=0.05, help="seconds between the viewers' starts")
    parser.add_argument("--slow", type=float, default=0.0, help="bytes/s that a viewer reads at most")
    parser.add_argument("--reconnect", action="store_true")
    parser.add_argument("--bearer", help="API token")
    parser.add_argument("--cookie", help="NAME=VALUE")
    parser.add_argument("--viewers-too", action="store_true", help="print each viewer as well")
    parser.add_argument("--json", action="store_true")
    return parser


def request_headers(bearer: str | None, cookie: str | None) -> dict[str, str]:
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    return {**headers, "Cookie": cookie} if cookie else headers


def main() -> None:
    options = arguments().parse_args()
    load = Load(
        urls=options.url,
        viewers=options.viewers,
        seconds=options.seconds,
        warm_up_s=options.warm_up,
        fps=options.fps,
        loop=options.loop,
        decode_every=options.decode_every,
        stagger_s=options.stagger,
        slow_bytes_per_s=options.slow,
        reconnect=options.reconnect,
        headers=request_headers(options.bearer, options.cookie),
    )
    result = asyncio.run(run_mjpeg(load))
    summary = result.summary()
    if options.viewers_too:
        summary["each"] = [
            {**asdict(viewer), "numbers": len(viewer.numbers), "latencies_ms": len(viewer.latencies_ms)}
            for viewer in result.viewers
        ]
    print(
        json.dumps(summary)
        if options.json
        else "\n".join(f"{key:16} {value}" for key, value in summary.items())
    )


if __name__ == "__main__":
    main()
