"""Packets of real encoders, and a recorder that runs in the test's thread."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from ninjacam.core.packets import Codec, Flags, Kind, Packet, Track
from ninjacam.recordings.cutter import Job
from ninjacam.recordings.files import CameraFiles
from ninjacam.recordings.recorder import Recorder
from ninjacam.recordings.segments import SegmentInfo
from ninjacam.testing.clock import FakeClock
from ninjacam.testing.packets import START_NS

WALL_NS = 1_700_000_000_123_456_789


def stamped(packets: Iterable[Packet], wall_ns: int = WALL_NS) -> list[Packet]:
    """Add the capture times on the wall clock that correspond to the pts."""
    packets = list(packets)
    first = packets[0].pts * 1_000_000_000 // packets[0].time_base_hz
    return [
        packet._replace(captured_ns=wall_ns + packet.pts * 1_000_000_000 // packet.time_base_hz - first)
        for packet in packets
    ]


def encoded(
    codec: Codec,
    count: int,
    *,
    b_frames: int = 0,
    gop: int = 25,
    width_px: int = 322,
    height_px: int = 242,
    ticks: int = 3600,
) -> list[Packet]:
    """Return a real encoder's packets in decoding order, `ticks` of 1/90000 s apart."""
    name = {Codec.H264: "libx264", Codec.H265: "libx265", Codec.MJPEG: "mjpeg"}[codec]
    context = av.CodecContext.create(name, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height = width_px, height_px
    context.pix_fmt = "yuvj420p" if codec is Codec.MJPEG else "yuv420p"
    context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
    common = f"bframes={b_frames}:keyint={gop}:min-keyint={gop}:repeat-headers=1:scenecut=0"
    if codec is Codec.H264:
        context.options = {"preset": "ultrafast", "x264-params": f"{common}:rc-lookahead=0"}
    elif codec is Codec.H265:
        context.options = {"preset": "ultrafast", "x265-params": f"{common}:log-level=none"}
    made = []
    for number in range(count):
        image = np.full((height_px, width_px, 3), number % 25 * 10, np.uint8)
        image[:, ::7] = 200
        picture = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format=context.pix_fmt)
        picture.pts = number
        made += context.encode(picture)
    made += context.encode(None)
    first = made[0].dts or 0
    packets = []
    for number, unit in enumerate(made):
        assert unit.pts is not None and unit.dts is not None
        packets.append(
            Packet(
                Kind.VIDEO, codec, bytes(unit), (unit.pts - first) * ticks,
                START_NS + number * 1_000_000_000 * ticks // 90_000, duration=ticks,
                dts_offset=(unit.pts - unit.dts) * ticks,
                flags=(Flags.KEY if unit.is_keyframe else Flags.NONE) | (Flags.NONE if number else Flags.CONFIG),
                sequence=number, width_px=width_px, height_px=height_px,
            )
        )  # fmt: skip
    return stamped(packets)


class Recorded:
    """Records into `root` synchronously, without a thread."""

    def __init__(self, root: Path, *, period_s: float = 60.0, tracks: tuple[Track, ...] = ()) -> None:
        self.root = root
        self.clock = FakeClock()
        self.segments: dict[str, SegmentInfo] = {}
        self.files = CameraFiles(
            root, "door", self._on_segment, period_s=period_s, on_grown=lambda *_: None, clock=self.clock
        )
        self.recorder = Recorder(
            hand_on=self._hand_on, end_file=self.files.pause, state=dict, clock=self.clock
        )
        self.recorder.begin(tracks)

    def _hand_on(self, job: Job) -> bool:
        self.files.write(job)
        return True

    def _on_segment(self, segment: SegmentInfo) -> None:
        self.segments[segment.path] = segment

    def feed(self, packets: Iterable[Packet]) -> "Recorded":
        for packet in packets:
            self.recorder.add(packet)
        return self

    def close(self) -> list[Path]:
        """Return the files, in order of their first appearance."""
        self.recorder.close()
        return [self.root / path for path in self.segments]


def demuxed(path: Path, kind: str = "video") -> list[tuple[int, int, bool]]:
    """Return (pts, dts, is key) of each packet, in ticks of its track."""
    with av.open(str(path)) as container:
        stream = next(stream for stream in container.streams if stream.type == kind)
        return [
            (packet.pts or 0, packet.dts or 0, packet.is_keyframe)
            for packet in container.demux(stream)
            if packet.size
        ]
