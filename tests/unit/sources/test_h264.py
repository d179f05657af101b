"""Access units out of H.264 payloads: whole, or not at all."""

from itertools import pairwise

import pytest

from ninjacam.codecs.bitstream import START_CODE
from ninjacam.core.packets import Codec, Flags
from ninjacam.sources.access_units import MAX_ACCESS_UNIT_BYTES, MAX_NAL_UNITS, SETTLE_NS
from ninjacam.sources.base import SourceStats
from ninjacam.sources.parameter_sets import ParameterSetCache
from ninjacam.sources.rtsp.h264 import H264Depacketizer
from ninjacam.sources.rtsp.rtp import HOLD_PACKETS, SILENCE_NS, RtpReceiver
from ninjacam.sources.track_clock import TrackClock
from ninjacam.sources.unit_delivery import MAX_KEY_WAIT_NS
from tests.unit.sources.rtp_support import IDR, OTHER_SPS, PPS, SLICE, SPS, SSRC, Sink, fu_a, rtp, stap_a


def annexb(*nals: bytes) -> bytes:
    return b"".join(START_CODE + nal for nal in nals)


class Camera:
    """Numbers packets and pictures; `lose` leaves a number out."""

    def __init__(self, extradata: bytes = b"", *, ordered: bool = True) -> None:
        self.sink, self.stats = Sink(), SourceStats()
        clock = TrackClock(90_000)
        sets = ParameterSetCache(Codec.H264, extradata)
        depacketizer = H264Depacketizer(Codec.H264, sets, self.sink, self.stats, clock)
        self.receiver = RtpReceiver(96, 90_000, depacketizer, clock, self.stats, ordered=ordered)
        self.sequence = 65_530  # wraps soon
        self.timestamp = 0xFFFF_0000
        self.now_ns = 10**12

    def send(self, *payloads: bytes, marker: bool = True, lose: tuple[int, ...] = ()) -> None:
        """One picture of these payloads."""
        last = len(payloads) - 1
        for index, payload in enumerate(payloads):
            if index not in lose:
                self.put(rtp(self.sequence, self.timestamp, payload, marker=marker and index == last))
            self.sequence += 1
        self.timestamp += 3600

    def put(self, packet: bytes) -> None:
        self.now_ns += 1_000_000
        self.receiver.receive(memoryview(packet), 0, len(packet), len(packet), self.now_ns)

    def key(self) -> None:
        self.send(stap_a(SPS, PPS), *fu_a(IDR, 50))

    def learn(self) -> None:
        """Play on until markers are believed, and forget that."""
        for _ in range(2):
            self.key()
            self.send(SLICE)
        self.pause()
        self.sink.packets.clear()

    def pause(self) -> None:
        """Nothing arrives for long enough to consider the data complete."""
        self.receiver.settle(self.now_ns + 2 * SETTLE_NS)


def test_all_three_payload_forms_give_the_same_access_unit() -> None:
    for payloads in ([SPS, PPS, IDR], [stap_a(SPS, PPS), *fu_a(IDR, 40)], [stap_a(SPS, PPS, IDR)]):
        camera = Camera()
        camera.send(*payloads)
        camera.pause()
        (packet,) = camera.sink.packets
        assert packet.data == annexb(SPS, PPS, IDR)
        assert packet.flags == Flags.KEY | Flags.CONFIG
        assert (packet.width_px, packet.height_px) == (1280, 720)


def test_the_stream_starts_with_a_key_frame_and_time_continues_across_the_wrap() -> None:
    camera = Camera()
    camera.send(SLICE)
    camera.key()
    for _ in range(40):
        camera.send(SLICE)
    pts = [packet.pts for packet in camera.sink.packets]
    assert camera.sink.packets[0].is_key
    assert len(pts) == 41
    assert {b - a for a, b in pairwise(pts)} == {3600}
    assert camera.stats.packets_lost == camera.stats.access_units_dropped == 0


def test_without_a_marker_an_access_unit_ends_at_the_next_timestamp() -> None:
    camera = Camera()
    camera.send(stap_a(SPS, PPS), IDR, marker=False)
    camera.send(SLICE, marker=False)
    assert camera.sink.data == [annexb(SPS, PPS, IDR)]
    camera.send(SLICE, marker=False)
    camera.send(SLICE, marker=False)
    assert camera.sink.data == [annexb(SPS, PPS, IDR), annexb(SLICE), annexb(SLICE)]


def test_a_marker_on_parameter_sets_alone_does_not_end_a_picture() -> None:
    camera = Camera()
    timestamp = camera.timestamp
    camera.send(stap_a(SPS, PPS))
    camera.timestamp = timestamp
    camera.send(IDR)
    camera.pause()
    assert camera.sink.data == [annexb(SPS, PPS, IDR)]


def test_a_marker_on_every_slice_is_detected() -> None:
    camera = Camera()
    second = b"\x41\x20" + bytes(range(1, 50))
    camera.key()
    for _ in range(4):
        camera.put(rtp(camera.sequence, camera.timestamp, SLICE, marker=True))
        camera.put(rtp(camera.sequence + 1, camera.timestamp, second, marker=True))
        camera.sequence += 2
        camera.timestamp += 3600
    assert camera.sink.data[-2:] == [annexb(SLICE, second)] * 2


@pytest.mark.parametrize("ordered", [True, False])
def test_a_damaged_picture_is_dropped_and_the_next_one_is_marked(ordered: bool) -> None:
    camera = Camera(ordered=ordered)
    camera.learn()
    camera.send(*fu_a(SLICE, 20), lose=(2,))
    for _ in range(HOLD_PACKETS):
        camera.send(SLICE)
    assert camera.stats.packets_lost == 1 and camera.stats.access_units_dropped == 1
    assert len(camera.sink.packets) == HOLD_PACKETS
    assert camera.sink.packets[0].flags == Flags.DISCONT
    assert camera.sink.packets[1].flags == Flags.NONE


@pytest.mark.parametrize("ordered", [True, False])
def test_a_lost_tail_drops_only_its_own_picture(ordered: bool) -> None:
    camera = Camera(ordered=ordered)
    camera.learn()
    pieces = fu_a(SLICE, 20)
    camera.send(*pieces, lose=(len(pieces) - 1,))
    for _ in range(HOLD_PACKETS + 1):
        camera.send(SLICE)
    assert camera.stats.access_units_dropped == 1
    assert len(camera.sink.packets) == HOLD_PACKETS + 1


@pytest.mark.parametrize("ordered", [True, False])
def test_a_lost_head_drops_the_picture(ordered: bool) -> None:
    camera = Camera(ordered=ordered)
    camera.learn()
    camera.send(*fu_a(SLICE, 20), lose=(0,))
    for _ in range(HOLD_PACKETS + 1):
        camera.send(SLICE)
    assert camera.stats.access_units_dropped == 1
    assert camera.sink.data == [annexb(SLICE)] * (HOLD_PACKETS + 1)


def test_reordered_packets_wait_for_the_missing_one() -> None:
    camera = Camera(ordered=False)
    camera.learn()
    pieces = fu_a(SLICE, 20)
    packets = [
        rtp(camera.sequence + index, camera.timestamp, piece, marker=index == len(pieces) - 1)
        for index, piece in enumerate(pieces)
    ]
    for index in (1, 2, 0, 4, 3):
        camera.put(packets[index])
    assert camera.sink.data[-1] == annexb(SLICE)
    assert camera.stats.packets_reordered == 3 and camera.stats.packets_lost == 0
    camera.put(packets[0])  # again, and late
    assert len(camera.sink.packets) == 1


def test_missing_parameter_sets_from_the_sdp_are_inserted_after_the_delimiter() -> None:
    camera = Camera(annexb(SPS, PPS))
    delimiter = b"\x09\xf0"
    camera.send(IDR)
    camera.send(delimiter, IDR)
    camera.pause()
    assert camera.sink.data == [annexb(SPS, PPS, IDR), annexb(delimiter, SPS, PPS, IDR)]
    assert [packet.flags for packet in camera.sink.packets] == [Flags.KEY | Flags.CONFIG, Flags.KEY]


def test_new_parameter_sets_are_announced() -> None:
    camera = Camera(annexb(SPS, PPS))
    camera.key()
    camera.send(stap_a(OTHER_SPS, PPS), IDR)
    camera.send(stap_a(OTHER_SPS, PPS), IDR)
    assert [bool(packet.flags & Flags.CONFIG) for packet in camera.sink.packets] == [True, True, False]
    assert camera.sink.packets[1].height_px == 1080


def test_an_undecodable_key_frame_is_never_delivered() -> None:
    camera = Camera()
    camera.send(IDR)
    camera.send(SPS, IDR)
    assert not camera.sink.packets
    camera.key()
    assert len(camera.sink.packets) == 1


def test_a_picture_without_an_end_is_discarded() -> None:
    camera = Camera()
    camera.learn()
    piece = b"\x7c\x05" + bytes(60_000)
    camera.send(b"\x7c\x85" + bytes(60_000), *[piece] * (MAX_ACCESS_UNIT_BYTES // 60_000 + 20))
    camera.send(SLICE)
    assert camera.stats.access_units_dropped == 1
    assert camera.sink.data == [annexb(SLICE)]


@pytest.mark.parametrize(
    ("size_bytes", "count"), [(60_000, MAX_ACCESS_UNIT_BYTES // 60_000 + 20), (100, MAX_NAL_UNITS + 500)]
)
def test_a_picture_of_endless_nal_units_is_discarded(size_bytes: int, count: int) -> None:
    camera = Camera()
    camera.learn()
    camera.send(*[b"\x06" + b"\x05" * size_bytes] * count, SLICE)
    camera.send(SLICE)
    assert camera.stats.access_units_dropped == 1
    assert camera.sink.data == [annexb(SLICE)]


def test_another_source_is_accepted_if_the_first_is_silent() -> None:
    camera = Camera()
    camera.learn()
    for sequence in range(40):
        camera.put(rtp(sequence, sequence * 3600, SLICE, marker=True, ssrc=99))
        camera.send(SLICE)
    assert len(camera.sink.packets) == 40 and camera.stats.packets_ignored == 40
    camera.now_ns += SILENCE_NS - 50_000_000
    for sequence in range(100):
        camera.put(rtp(sequence, sequence * 3600, SLICE, marker=True, ssrc=77))
    assert len(camera.sink.packets) == 140
    assert [bool(packet.flags & Flags.DISCONT) for packet in camera.sink.packets[39:42]] == [
        False,
        True,
        False,
    ]


def test_a_stale_stream_next_to_the_live_one_is_ignored() -> None:
    camera = Camera()
    camera.learn()
    for number in range(60):
        for index in range(3):
            camera.put(rtp(3 * number + index, number * 3600, SLICE, marker=index == 2, ssrc=99))
        camera.send(SLICE)
    assert camera.sink.data == [annexb(SLICE)] * 60 and camera.sink.disconts == 0


@pytest.mark.parametrize("announced", [{"ssrc": SSRC}, {"sequence": 65_530}], ids=str)
def test_frames_of_an_ended_session_before_the_announced_one_are_ignored(announced: dict[str, int]) -> None:
    camera = Camera()
    camera.receiver.announce(**announced)
    for sequence in range(20):
        payload = SLICE if sequence else stap_a(SPS, PPS, IDR)
        camera.put(rtp(sequence, 3600 * sequence, payload, marker=True, ssrc=99))
    camera.pause()
    assert camera.sink.data == []
    camera.learn()
    camera.put(rtp(20, 72_000, SLICE, marker=True, ssrc=99))
    camera.send(SLICE)
    assert camera.sink.data == [annexb(SLICE)]


@pytest.mark.parametrize(("kind", "ssrc"), [(96, 99), (97, SSRC), (35, 0)])
def test_an_unannounced_stream_is_accepted_if_nothing_else_arrives(kind: int, ssrc: int) -> None:
    camera = Camera()
    camera.receiver.announce(SSRC, 7)
    camera.put(rtp(20, 0, stap_a(SPS, PPS, IDR), marker=True, ssrc=ssrc, kind=kind))
    for number in range(1, 20):
        camera.now_ns += 40_000_000
        camera.put(rtp(20 + number, number * 3600, SLICE, marker=True, ssrc=ssrc, kind=kind))
    assert camera.sink.data == [annexb(SPS, PPS, IDR)] + [annexb(SLICE)] * 19
    assert camera.stats.packets_ignored == 0


def test_the_announced_source_replaces_one_that_was_accepted_before_it_arrived() -> None:
    camera = Camera()
    camera.receiver.announce(ssrc=SSRC)
    for number in range(20):
        camera.now_ns += 40_000_000
        payload = SLICE if number else stap_a(SPS, PPS, IDR)
        camera.put(rtp(number, number * 3600, payload, marker=True, ssrc=99))
    assert len(camera.sink.packets) >= 19, "nothing else arrived"
    camera.learn()
    for number in range(20, 60):
        camera.put(rtp(number, number * 3600, SLICE + b"old", marker=True, ssrc=99))
        camera.send(SLICE)
    assert camera.sink.data == [annexb(SLICE)] * 40


def test_a_source_that_changes_with_each_packet_is_identified_by_its_sequence_numbers() -> None:
    camera = Camera()
    for number in range(20):
        payload = stap_a(SPS, PPS, IDR) if number == 0 else SLICE
        camera.put(rtp(number, number * 3600, payload, marker=True, ssrc=1000 + number))
    camera.pause()
    assert len(camera.sink.packets) == 20 and camera.sink.disconts == 0


@pytest.mark.parametrize("step", [-1, -100, -5000, 20_000])
def test_restarting_sequence_numbers_lose_no_picture(step: int) -> None:
    camera = Camera()
    camera.learn()
    for number in range(20):
        if number == 10:
            camera.sequence += step - 1 if step < 0 else step
        camera.send(*fu_a(SLICE, 30))
    assert len(camera.sink.packets) == 20
    assert camera.sink.disconts == 1
    assert camera.stats.sequence_restarts == 1 and camera.stats.packets_lost == 0


def test_sequence_numbers_that_restart_within_a_picture_lose_no_picture() -> None:
    camera = Camera()
    camera.learn()
    pieces = fu_a(SLICE, 10)
    camera.sequence = 100
    for index, piece in enumerate(pieces):
        number = 100 + index if index < 5 else index
        camera.put(rtp(number, camera.timestamp, piece, marker=index == len(pieces) - 1))
    assert camera.sink.data == [annexb(SLICE)]


def test_duplicate_packets_are_accepted_once() -> None:
    camera = Camera()
    camera.learn()
    for _ in range(10):
        pieces = fu_a(SLICE, 30)
        for index, piece in enumerate(pieces):
            packet = rtp(camera.sequence, camera.timestamp, piece, marker=index == len(pieces) - 1)
            camera.put(packet)
            camera.put(packet)
            camera.sequence += 1
        camera.timestamp += 3600
    assert camera.sink.data == [annexb(SLICE)] * 10 and camera.sink.disconts == 0


@pytest.mark.parametrize("step", [0, 2, -7])
def test_meaningless_sequence_numbers_are_ignored(step: int) -> None:
    camera = Camera()
    for _ in range(40):
        for number in range(4):
            payload = stap_a(SPS, PPS, IDR) if number == 0 else SLICE
            camera.put(rtp(camera.sequence, camera.timestamp, payload, marker=True))
            camera.sequence += step
            camera.timestamp += 3600
    before = len(camera.sink.packets)
    for _ in range(40):
        camera.put(rtp(camera.sequence, camera.timestamp, SLICE, marker=True))
        camera.sequence += step
        camera.timestamp += 3600
    assert len(camera.sink.packets) == before + 40


def test_a_number_omitted_at_the_wrap_is_not_a_loss() -> None:
    camera = Camera()
    camera.learn()
    camera.sequence = 65_530
    camera.put(rtp(65_529, camera.timestamp, b"", marker=False))
    camera.sink.packets.clear()
    for _ in range(10):
        if camera.sequence == 65_536:
            camera.sequence += 1
        camera.send(SLICE)
    assert len(camera.sink.packets) == 10


def test_header_extensions_sources_and_padding_are_skipped() -> None:
    camera = Camera()
    plain = rtp(camera.sequence, camera.timestamp, b"", marker=True)
    head = bytes([0x80 | 0x20 | 0x10 | 1]) + plain[1:12]
    extension = b"\xbe\xde\x00\x01abcd"
    camera.put(head + b"CSRC" + extension + stap_a(SPS, PPS, IDR) + b"\x00\x00\x03")
    camera.pause()
    assert camera.sink.data == [annexb(SPS, PPS, IDR)]


@pytest.mark.parametrize("bits", [0x1F, 0x10, 0x20, 0x0F])
def test_header_fields_that_claim_more_than_there_is_are_ignored(bits: int) -> None:
    camera = Camera()
    packet = bytearray(rtp(camera.sequence, 0, stap_a(SPS, PPS, IDR[:20]), marker=True))
    packet[0] |= bits
    if bits & 0x0F:
        packet = packet[:12] + b"\x65\x88" + b"\xff" * 40  # shorter than 15 sources
        camera.key()
    packet[-1] = 0xFF  # more padding than there are bytes
    before = len(camera.sink.packets)
    camera.put(bytes(packet))
    camera.pause()
    assert len(camera.sink.packets) > before and camera.stats.access_units_dropped == 0


def interlaced_sps() -> bytes:
    """1280x704, frame_mbs_only_flag 0, 4 bits of frame_num (ITU-T H.264, 7.3.2.1.1)."""
    bits = f"{0x4D0028:024b}"
    for value in (0, 0, 0, 0, 1):  # id, log2_max_frame_num - 4, order type 0, its size - 4, reference frames
        bits += exp_golomb(value)
    bits += "0" + exp_golomb(79) + exp_golomb(21) + "0" + "0" + "1" + "0" + "0" + "1"
    bits += "0" * (-len(bits) % 8)
    return b"\x67" + int(bits, 2).to_bytes(len(bits) // 8, "big").replace(
        b"\x00\x00\x00", b"\x00\x00\x03\x00"
    )


def exp_golomb(value: int) -> str:
    text = f"{value + 1:b}"
    return "0" * (len(text) - 1) + text


def field(kind: int, frame_num: int, *, bottom: bool | None, first_mb: int = 0) -> bytes:
    """A slice of a field; `bottom` None: of a frame."""
    bits = exp_golomb(first_mb) + exp_golomb(7 if kind == 5 else 5) + exp_golomb(0) + f"{frame_num % 16:04b}"
    bits += "0" if bottom is None else "11" if bottom else "10"
    bits += "1" * (-len(bits) % 8) + "1" * 400
    return bytes([0x60 | kind]) + int(bits, 2).to_bytes(len(bits) // 8, "big")


@pytest.mark.parametrize("own_times", [False, True])
@pytest.mark.parametrize("marked", ["each field", "each frame", "never"])
@pytest.mark.parametrize("slices", [1, 2])
def test_two_fields_form_one_picture(own_times: bool, marked: str, slices: int) -> None:
    camera = Camera()
    sent = []
    for number in range(12):
        kind = 5 if number == 0 else 1
        top = [field(kind, number, bottom=False, first_mb=mb) for mb in range(slices)]
        bottom = [field(1, number, bottom=True, first_mb=mb) for mb in range(slices)]
        sets = [interlaced_sps(), PPS] if number == 0 else []
        sent.append(annexb(*sets, *top, *bottom))
        camera.send(*sets, *top, marker=marked == "each field")
        camera.timestamp -= 0 if own_times else 3600
        camera.send(*bottom, marker=marked != "never")
    camera.send(field(1, 12, bottom=False))
    assert camera.sink.data == sent
    assert camera.stats.access_units_dropped == 0
    assert camera.sink.packets[0].height_px == 704


def test_frames_and_single_fields_are_separate_pictures() -> None:
    camera = Camera()
    camera.send(interlaced_sps(), PPS, field(5, 0, bottom=None))
    pictures = [field(1, 1, bottom=None), field(1, 2, bottom=False), field(1, 3, bottom=False)]
    for each in pictures:
        camera.send(each)
    camera.send(field(1, 4, bottom=None))
    camera.send(field(1, 5, bottom=None))
    assert camera.sink.data[1:4] == [annexb(each) for each in pictures]


def test_a_marker_that_was_right_for_small_pictures_does_not_split_a_key_frame() -> None:
    """P pictures of one slice have taught that the marker is right; the first key frame has two, each with one."""
    camera = Camera(annexb(SPS, PPS))
    second = b"\x65\x20" + bytes(range(1, 90))
    for _ in range(3):
        for _ in range(5):
            camera.send(SLICE)
        camera.put(rtp(camera.sequence, camera.timestamp, IDR, marker=True))
        camera.put(rtp(camera.sequence + 1, camera.timestamp, second, marker=True))
        camera.sequence += 2
        camera.timestamp += 3600
    camera.send(SLICE)
    keys = [packet.data for packet in camera.sink.packets if packet.is_key]
    assert keys == [annexb(SPS, PPS, IDR, second)] * 3
    assert camera.stats.access_units_dropped == 0


def test_a_healthy_camera_has_no_delay_once_its_markers_are_trusted() -> None:
    camera = Camera()
    camera.learn()
    for number in range(1, 20):
        camera.send(*fu_a(SLICE, 30))
        assert len(camera.sink.packets) == number


def test_recovery_points_are_keys_only_in_streams_without_idr_pictures() -> None:
    gradual = b"\x06\x06\x02\x0a\x40\x80"  # recovery_frame_cnt 19
    without = Camera(annexb(SPS, PPS))
    for number in range(60):
        without.send(*([gradual] if number % 20 == 3 else []), SLICE)
    without.pause()
    assert [packet.is_key for packet in without.sink.packets].count(True) == 3
    assert without.sink.packets[0].is_key and without.stats.frames_skipped == 3
    having = Camera(annexb(SPS, PPS))
    having.key()
    for number in range(60):
        having.send(*([gradual] if number % 20 == 3 else []), SLICE)
    assert [packet.is_key for packet in having.sink.packets].count(True) == 1


def test_a_stream_with_unannounced_refresh_is_started_eventually() -> None:
    camera = Camera()
    for number in range(1500):
        camera.send(*([SPS, PPS] if number % 25 == 0 else []), SLICE)
        camera.now_ns += 40_000_000
    assert camera.sink.packets and camera.sink.packets[0].is_key
    assert camera.stats.frames_skipped * 40_000_000 > MAX_KEY_WAIT_NS * 0.9
