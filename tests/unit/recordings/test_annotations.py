"""Annotations in recorded files belong to their frames and do not affect players."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ninjacam.containers.mp4 import box, encode_emsg
from ninjacam.core.annotations import encode_annotation_set
from ninjacam.core.packets import Codec, Packet
from ninjacam.recordings import annotations, cutter, recorder
from ninjacam.recordings.annotations import LATE_NS, read_annotations
from ninjacam.recordings.reader import read_recording, read_segment
from ninjacam.recordings.repair import repair_file
from ninjacam.testing.packets import video_packets
from tests.unit.recordings.recording_support import Recorded, demuxed, encoded, stamped

S = 10**9
FOREVER = (0, 1 << 62)


def seen_on(packet: Packet, view: str = "faces", text: str = "") -> Packet:
    """Return an annotation set as a vision worker sends it."""
    seen = [{"type": "text", "points": [[0, 0]], "label": text or str(packet.sequence)}]
    return packet._replace(
        codec=Codec.ANNOTATIONS, data=encode_annotation_set(view, packet.captured_ns, seen)
    )


def record(root: Path, packets: list[Packet], *, late: int = 3, period_s: float = 60) -> list[Path]:
    """Record packets with the annotations of each frame, which arrive `late` frames after it."""
    recorded = Recorded(root, period_s=period_s)
    for at, packet in enumerate(packets):
        recorded.recorder.add(packet)
        if at >= late:
            recorded.recorder.annotate(seen_on(packets[at - late]))
    return recorded.close()


def make_recorder() -> tuple[recorder.Recorder, list[cutter.Job]]:
    """Return a recorder and the jobs that it passes on."""
    taken: list[cutter.Job] = []

    def hand_on(job: cutter.Job) -> bool:
        taken.append(job)
        return True

    it = recorder.Recorder(hand_on=hand_on, end_file=lambda: None, state=dict)
    it.begin(())
    return it, taken


def numbers(lines: list[bytes]) -> list[int]:
    return [int(json.loads(line)["annotations"][0]["label"]) for line in lines]


def test_each_frame_has_its_annotations(tmp_path: Path) -> None:
    packets = encoded(Codec.H264, 100)
    files = record(tmp_path, packets, period_s=2)
    assert len(files) > 1
    lines, end_ns = read_annotations(files, *FOREVER)
    assert numbers(lines) == list(range(97))  # those of the last three frames arrive after the end
    assert end_ns == FOREVER[1]
    assert [json.loads(line)["captured_us"] for line in lines] == [
        p.captured_ns // 1000 for p in packets[:97]
    ]


def test_annotations_match_their_frame_although_the_clock_settles_in_between(tmp_path: Path) -> None:
    """As at a camera's first sender report: packets of one fragment are on two clocks, and the file is on the first."""
    packets = [
        packet if packet.sequence < 60 else packet._replace(captured_ns=packet.captured_ns - 680_000_000)
        for packet in encoded(Codec.H264, 150)
    ]
    (path,) = record(tmp_path, packets)
    shown: dict[int, int] = {}
    for each in read_recording(path).fragments:
        for dts in range(each.dts, each.dts + each.duration, 3600):
            shown[dts // 3600] = (each.start_ns + (dts - each.dts) * S // 90_000) // 1000
    lines, _ = read_annotations([path], *FOREVER)
    found = {
        int(json.loads(line)["annotations"][0]["label"]): json.loads(line)["captured_us"] for line in lines
    }
    assert len(found) > 120
    assert {number: abs(found[number] - shown[number]) <= 1 for number in found} == dict.fromkeys(found, True)


def test_only_annotations_of_the_span_are_returned_even_from_the_next_file(tmp_path: Path) -> None:
    packets = encoded(Codec.H264, 100)
    first, second, *_ = record(tmp_path, packets, period_s=2)
    begins = read_recording(second).fragments[0].start_ns
    at = next(n for n, packet in enumerate(packets) if packet.captured_ns >= begins)
    asked = packets[at - 5].captured_ns, packets[at].captured_ns  # the end of the first file
    assert numbers(read_annotations([first], *asked)[0]) != list(range(at - 5, at))
    assert numbers(read_annotations([first, second], *asked)[0]) == list(range(at - 5, at))


def test_other_readers_see_the_file_as_without_annotations(tmp_path: Path) -> None:
    packets = encoded(Codec.H264, 100)
    (with_them,) = record(tmp_path / "a", packets)
    (without,) = Recorded(tmp_path / "b").feed(packets).close()
    assert demuxed(with_them) == demuxed(without)
    times = [
        [(f.dts, f.duration, f.start_ns) for f in read_recording(p).fragments] for p in (with_them, without)
    ]
    assert times[0] == times[1]
    assert read_segment(with_them, root=tmp_path / "a").size_bytes == with_them.stat().st_size


@pytest.mark.parametrize("cut", ["in them", "behind them"])
def test_a_file_truncated_within_annotations_is_repaired(tmp_path: Path, cut: str) -> None:
    (path,) = record(tmp_path, encoded(Codec.H264, 100))
    whole = path.read_bytes()
    at = whole.rindex(b"emsg") - 4
    size_bytes = int.from_bytes(whole[at : at + 4], "big")
    if cut == "in them":
        path.write_bytes(whole[: at + 50])
        kept = whole[:at]
    else:
        path.write_bytes(whole[: at + size_bytes] + b"\0\0\1\0prft")
        kept = whole[: at + size_bytes]
    assert repair_file(path)
    assert path.read_bytes() == kept
    assert read_segment(path, root=tmp_path).size_bytes == len(kept)


def test_too_many_annotations_at_a_time_are_dropped_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packets = encoded(Codec.H264, 60)
    monkeypatch.setattr(cutter, "MAX_ANNOTATION_BYTES", 10 * (len(seen_on(packets[0]).data) + 2))
    recorded = Recorded(tmp_path)
    job_bytes: list[int] = []
    write = recorded.files.write

    def counted(job: cutter.Job) -> None:
        job_bytes.append(job.size_bytes)
        write(job)

    monkeypatch.setattr(recorded.files, "write", counted)
    for packet in packets:
        recorded.recorder.add(packet)
        recorded.recorder.annotate(seen_on(packet))
    files = recorded.close()
    kept = numbers(read_annotations(files, *FOREVER)[0])
    assert recorded.recorder.status()["annotations_dropped"] == 60 - len(kept)
    assert 20 <= len(kept) <= 40  # 10 of each fragment, and again from the next on
    held = sum(len(packet.data) for packet in packets)
    assert sum(job_bytes) <= held + 3 * cutter.MAX_ANNOTATION_BYTES  # dropped annotations take no space


def test_an_oversized_list_leaves_room_for_the_others() -> None:
    it, taken = make_recorder()
    packets = stamped(video_packets(2))
    it.add(packets[0])
    it.annotate(seen_on(packets[0], text="x" * cutter.MAX_ANNOTATION_BYTES))
    it.annotate(seen_on(packets[0]))
    it.flush()
    assert len(taken[0].annotations) == 1 and it.status()["annotations_dropped"] == 1
    assert taken[0].size_bytes < len(packets[0].data) + 1000


def test_annotations_of_an_event_wait_in_the_ring_with_its_frames(tmp_path: Path) -> None:
    packets = stamped(encoded(Codec.H264, 250))
    recorded = Recorded(tmp_path)
    recorded.recorder.keep([], 5)
    for packet in packets:
        recorded.recorder.add(packet)
        recorded.recorder.annotate(seen_on(packet))
    recorded.recorder.keep([(packets[75].captured_ns, packets[130].captured_ns)], 5)
    kept = numbers(read_annotations(recorded.close(), *FOREVER)[0])
    assert kept == list(range(kept[0], kept[-1] + 1))
    assert 50 <= kept[0] <= 75
    assert 130 <= kept[-1] < 180


def test_damaged_or_unknown_annotations_are_a_gap(tmp_path: Path) -> None:
    (path,) = record(tmp_path, encoded(Codec.H264, 60))
    strange = [
        b"not json", b"[" * 100_000, b"7", b"null", b'{"view": 1, "captured_us": 5, "annotations": []}',
        b'{"view": "x", "captured_us": "5", "annotations": []}', b'{"view": "x", "captured_us": 5}', b"\xff\xfe",
        b'{"view": "x", "captured_us": 1700000000500000, "annotations": [NaN]}',
    ]  # fmt: skip
    whole = path.read_bytes()
    first, second = (read_recording(path).fragments[number] for number in (0, 1))
    ends = [each.offset + each.size_bytes for each in (first, second)]
    of_second = numbers(annotations._parse_emsg(whole[ends[1] - second.annotations_bytes : ends[1]]))
    odd = encode_emsg(9, 90000, 0, b"\n".join(strange))
    path.write_bytes(whole[: ends[0] - first.annotations_bytes] + odd + whole[ends[0] :])
    lines, _ = read_annotations([tmp_path / "none.mp4", tmp_path, path], 1000, FOREVER[1])
    assert set(of_second) <= set(numbers(lines)) and len(lines) <= 60 - len(of_second)
    foreign = box(
        b"emsg", bytes(24) + b"urn:other\0" + b"1\0" + seen_on(encoded(Codec.H264, 1)[0], text="666").data
    )
    for other in (foreign, box(b"emsg"), box(b"emsg", b"\0" * 30)):
        path.write_bytes(whole[: ends[0] - first.annotations_bytes] + other + whole[ends[0] :])
        assert numbers(read_annotations([path], *FOREVER)[0]) == numbers(lines)
        assert len(read_recording(path).fragments) == 3
    path.write_bytes(whole[: ends[0]] + box(b"emsg") * 1000 + whole[ends[0] :])
    assert (
        len(read_recording(path).fragments) == 1
    )  # only one is a recorder's box; additional ones are ignored


def test_a_response_is_limited_and_continues_from_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packets = encoded(Codec.H264, 250)
    recorded = Recorded(tmp_path)
    for packet in packets:
        recorded.recorder.add(packet)
        for view in ("faces", "plates"):
            recorded.recorder.annotate(seen_on(packet, view))
    files = recorded.close()
    read: list[int] = []
    original = annotations._iter_lines

    def counted(path: Path, start_ns: int) -> Iterator[tuple[int, list[bytes]]]:
        for begins_ns, lines in original(path, start_ns):
            read.append(len(lines))
            yield begins_ns, lines

    monkeypatch.setattr(annotations, "MAX_FRAMES", 21)
    monkeypatch.setattr(annotations, "_iter_lines", counted)
    first, end_ns = read_annotations(files, packets[0].captured_ns, FOREVER[1])
    assert numbers(first) == [n for n in range(11) for _ in "fp"]  # the views of a frame stay together
    assert end_ns == packets[11].captured_ns // 1000 * 1000
    assert len(read) <= 3 + LATE_NS // S  # reads no more than necessary to determine that
    second, _ = read_annotations(files, end_ns, FOREVER[1])
    assert numbers(second)[:2] == [11, 11]


def test_annotations_that_arrive_while_the_camera_is_away_are_bounded() -> None:
    it, taken = make_recorder()
    packets = stamped(video_packets(2))
    for _ in range(20_000):
        it.annotate(seen_on(packets[0]))
    it.add(packets[0])
    it.flush()
    assert 0 < sum(len(line) for _, line in taken[0].annotations) <= cutter.MAX_ANNOTATION_BYTES
