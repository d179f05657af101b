"""Recordings of stamped frames, in the recorder's format, without a camera or delays."""

import math
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from ninjacam.core.annotations import encode_annotation_set
from ninjacam.core.packets import Codec, Flags, Kind, Packet, Track
from ninjacam.recordings.audio import make_sound
from ninjacam.recordings.fragments import FileContents, dts_of
from ninjacam.recordings.layout import create_segment, open_directory
from ninjacam.recordings.segments import SegmentInfo
from ninjacam.testing import stamp

FPS = 25
TICKS = 90_000 // FPS
FRAME_NS = 1_000_000_000 // FPS
NOON_NS = 1_790_000_000_000_000_000
"""The wall clock of stamp 0."""


def picture(number: int, size: tuple[int, int]) -> "np.ndarray[tuple[int, int], np.dtype[np.uint8]]":
    luma = np.full((size[1], size[0]), 90, np.uint8)
    luma[size[1] // 2 :, : (number * 7) % size[0]] = 160
    stamp.draw(luma, number)
    return luma


def encode_stamped(
    count: int,
    *,
    size: tuple[int, int] = (640, 360),
    gop: int = FPS,
    bframes: int = 0,
    first: int = 0,
    codec: Codec = Codec.H264,
) -> list[Packet]:
    """Return H.264 or H.265 frames stamped from `first` on, captured from NOON_NS on at intervals of 40 ms."""
    context = av.CodecContext.create("libx264" if codec is Codec.H264 else "libx265", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = *size, "yuv420p"
    context.framerate = FPS  # type: ignore[assignment] # a number will do
    own = f"keyint={gop}:min-keyint={gop}:scenecut=0:repeat-headers=1:log-level=0:b-adapt=0:open-gop=0"
    context.options = {
        "preset": "ultrafast",
        "bf": str(bframes),
        "x264-params": own,
        "x265-params": f"{own}:bframes={bframes}",
    }
    made: list[av.Packet] = []  # type: ignore[type-arg]
    for number in range(count):
        frame = av.VideoFrame.from_ndarray(picture(first + number, size), format="gray").reformat(
            format="yuv420p"
        )
        frame.pts = number
        made += context.encode(frame)
    made += context.encode(None)
    packets = []
    for order, packet in enumerate(made):
        assert packet.pts is not None
        pts = first + packet.pts
        packets.append(
            Packet(
                Kind.VIDEO, codec, bytes(packet), pts * TICKS, pts * FRAME_NS, duration=TICKS,
                dts_offset=(packet.pts - order + (1 if bframes else 0)) * TICKS,
                flags=Flags.KEY if packet.is_keyframe else Flags.NONE,
                captured_ns=NOON_NS + pts * FRAME_NS, sequence=order, width_px=size[0], height_px=size[1],
            )
        )  # fmt: skip
    return packets


def encode_tone(seconds: float) -> list[Packet]:
    """Return G.711 audio of a tone, in packets of 20 ms."""
    return [
        Packet(
            Kind.AUDIO, Codec.PCMU, bytes((0x80 | int(63 * abs(math.sin(n * 160 + i)))) for i in range(160)),
            n * 160, 0, time_base_hz=8000, duration=160, captured_ns=NOON_NS + n * 20_000_000,
        )
        for n in range(int(seconds * 50))
    ]  # fmt: skip


@dataclass(frozen=True)
class Made:
    segment: SegmentInfo
    path: Path


def by_key(packets: Sequence[Packet]) -> list[list[Packet]]:
    groups: list[list[Packet]] = []
    for packet in packets:
        if packet.is_key:
            groups.append([])
        groups[-1].append(packet)
    return groups


def write_file(
    root: Path, packets: Sequence[Packet], *, slug: str = "door", tone: Sequence[Packet] = ()
) -> Made:
    """Write one file with a fragment for each key frame."""
    start_ns = packets[0].captured_ns
    directory = open_directory(root, slug)
    path, descriptor = create_segment(directory, slug, start_ns)
    os.close(directory)
    sound = make_sound(Track(Kind.AUDIO, Codec.PCMU, 8000)) if tone else None
    contents = FileContents(packets[0], sound)
    size_bytes, end_ns = len(contents.header), start_ns
    units = [unit for packet in tone for unit in (sound.feed(packet) if sound else [])]
    with open(descriptor, "wb") as file:
        file.write(contents.header)
        groups = by_key(packets)
        for number, group in enumerate(groups):
            following = groups[number + 1][0] if number + 1 < len(groups) else None
            until_ns = following.captured_ns if following else group[-1].captured_ns + FRAME_NS
            now = [unit for unit in units if unit.captured_ns < until_ns]
            units = units[len(now) :]
            end_dts = dts_of(following) if following else dts_of(group[-1]) + TICKS
            seen = [(packet.pts, encode_annotation_set("none", packet.captured_ns, [])) for packet in group]
            # Players must skip it.
            written = contents.add(group, now, end_dts, seen)
            assert written is not None
            file.write(written.data)
            size_bytes += len(written.data)
            end_ns = written.end_ns
    first = packets[0]
    segment = SegmentInfo(
        slug, path, start_ns, end_ns, size_bytes, first.codec.label, first.width_px, first.height_px,
        "aac" if tone else "", "pcm_mulaw" if tone else "",
    )  # fmt: skip
    return Made(segment, root / path)


def write_files(root: Path, packets: Sequence[Packet], groups_each: int, *, slug: str = "door") -> list[Made]:
    """Write files with the given number of GOPs each."""
    groups = by_key(packets)
    parts = [groups[at : at + groups_each] for at in range(0, len(groups), groups_each)]
    return [write_file(root, [packet for group in part for packet in group], slug=slug) for part in parts]


def read_stamps(path: Path | str, **options: str) -> list[int | None]:
    """Return the numbers of all frames of a file or URL, in display order."""
    numbers = []
    with av.open(str(path), "r", options=options) as container:
        for frame in container.decode(video=0):
            numbers.append(stamp.read(frame.to_ndarray(format="gray").astype(np.uint8)))
    return numbers


def iter_boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (kind, contents)."""
    at = 0
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        assert size >= 8 and at + size <= len(data), (at, size, kind)
        yield kind, data[at + 8 : at + size]
        at += size
