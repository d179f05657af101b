"""Recording from a source, decoding the result, and reading its stamps."""

import asyncio
import contextlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np

from ninjacam.capture.camera import find_sps, reorder_depth
from ninjacam.capture.timeline import PacketClock
from ninjacam.core.clock import SYSTEM_CLOCK
from ninjacam.core.errors import SourceError
from ninjacam.core.packets import Kind, Packet, Track
from ninjacam.sources.base import Source, SourceConfig, SourceStats
from ninjacam.sources.registry import open_source
from ninjacam.testing import stamp
from ninjacam.testing.clips import Clip
from tests.harness.fair_clock import fair_s, fair_timeout

QUICK = {"open_timeout_s": 5.0, "read_timeout_s": 2.0}


@dataclass
class Recording:
    packets: list[Packet] = field(default_factory=list)
    tracks: tuple[Track, ...] = ()
    stats: SourceStats = field(default_factory=SourceStats)
    first_stats: SourceStats = field(default_factory=SourceStats)
    """The statistics when the first frame was delivered."""
    error: SourceError | None = None
    close_s: float = 0.0

    @property
    def video(self) -> list[Packet]:
        return [packet for packet in self.packets if packet.kind is Kind.VIDEO]

    @property
    def audio(self) -> list[Packet]:
        return [packet for packet in self.packets if packet.kind is Kind.AUDIO]

    def decoding_times(self) -> list[int]:
        """Return decoding times as capture derives them."""
        timeline = PacketClock(SYSTEM_CLOCK)
        timeline.set_reorder_depth(reorder_depth(self.video[0].codec, find_sps(self.video[0])))
        return [packet.pts - packet.dts_offset for packet in map(timeline.repair, self.video)]


def config(url: str, **changes: object) -> SourceConfig:
    return SourceConfig(url=url, **{**QUICK, **changes})  # type: ignore[arg-type]  # a test's own


def record(
    source_config: SourceConfig,
    enough: int | Callable[[list[Packet]], bool] = 25,
    *,
    at: dict[int, Callable[[], None]] | None = None,
    timeout_s: float = 15.0,
) -> Recording:
    """Open the source, read packets until `enough` (a number of video packets, or a predicate), and close it.

    `at`: actions by packet number.
    """
    return asyncio.run(_record(source_config, enough, at or {}, timeout_s))


async def _record(
    source_config: SourceConfig,
    enough: int | Callable[[list[Packet]], bool],
    at: dict[int, Callable[[], None]],
    timeout_s: float,
) -> Recording:
    recording = Recording()
    source = await open_source(source_config)
    recording.tracks, recording.stats = source.tracks, source.stats
    done = asyncio.Event()

    def is_enough() -> bool:
        return len(recording.video) >= enough if isinstance(enough, int) else enough(recording.packets)

    def on_packet(packet: Packet) -> None:
        recording.packets.append(packet)
        if packet.kind is Kind.VIDEO and len(recording.video) == 1:
            recording.first_stats = replace(recording.stats)
        if packet.kind is Kind.VIDEO and (action := at.get(len(recording.video))):
            action()
        if is_enough():
            done.set()

    running = asyncio.create_task(run_to_error(source, on_packet))
    waiting = asyncio.create_task(done.wait())
    with contextlib.suppress(TimeoutError):
        async with fair_timeout(timeout_s):
            await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    started_s = fair_s()
    ended_by_itself = running.done()
    await source.close()
    recording.close_s = fair_s() - started_s
    async with fair_timeout(2):
        error = await running
    recording.error = error if ended_by_itself else None
    return recording


async def run_to_error(source: Source, on_packet: Callable[[Packet], None]) -> SourceError:
    try:
        await source.run(on_packet)
    except SourceError as error:
        return error
    raise AssertionError("a source never ends without an error")


def decode(packets: Sequence[Packet]) -> list[av.VideoFrame]:
    """Return all frames. Decoding is strict: damage raises."""
    context = av.CodecContext.create(packets[0].codec.label, "r")
    assert isinstance(context, av.VideoCodecContext)
    context.options = {"err_detect": "explode"}
    frames: list[av.VideoFrame] = []
    for packet in packets:
        frames += context.decode(av.Packet(packet.data))
    return frames + context.decode(None)


def stamps(packets: Sequence[Packet]) -> list[int | None]:
    """Return the number stamped in each frame, in display order."""
    return [stamp.read(frame.to_ndarray(format="gray").astype(np.uint8)) for frame in decode(packets)]


def steps(numbers: Sequence[int | None], loop: int) -> set[int]:
    """Return the differences between neighbours, modulo the loop: {1} is a stream without a gap."""
    return {(b - a) % loop if a is not None and b is not None else -1 for a, b in pairwise(numbers)}


def without_huffman_tables(data: bytes) -> bytes:
    """Return a JPEG as many webcams write it: without the standard's Huffman tables (T.81, K.3)."""
    head, at = data[:2], 2
    while data[at + 1] != 0xDA:  # start of scan
        segment = data[at : at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")]
        head += segment if segment[1] != 0xC4 else b""
        at += len(segment)
    return head + data[at:]


def write_file(clip: Clip, path: Path, *, silence: bool = False) -> None:
    """Mux a clip into a media file of the type given by its suffix. `silence`: with an AAC track."""
    raw = clip.video.codec.label
    template = av.open(io.BytesIO(b"".join(unit.data for unit in clip.video.units)), "r", format=raw)
    early_s = max(unit.sent_s - unit.pts_s for unit in clip.video.units)
    with template, av.open(str(path), "w") as output:
        video = output.add_stream_from_template(template.streams.video[0])
        audio = output.add_stream("aac", rate=48_000, layout="mono") if silence else None
        for unit in clip.video.units:
            packet = av.Packet(unit.data)
            packet.stream = video
            packet.time_base = Fraction(1, 90_000)
            packet.pts, packet.dts = round(unit.pts_s * 90_000), round((unit.sent_s - early_s) * 90_000)
            packet.duration = round(90_000 / clip.fps)
            packet.is_keyframe = unit.key
            output.mux(packet)
        if audio is not None:
            for number in range(round(clip.duration_s * 48_000 / 1024)):
                frame = av.AudioFrame(format="fltp", layout="mono", samples=1024)
                frame.planes[0].update(bytes(4096))
                frame.sample_rate, frame.pts = 48_000, 1024 * number
                output.mux(audio.encode(frame))
            output.mux(audio.encode(None))
