import random

import pytest

from ninjacam.core.errors import ProtocolError
from ninjacam.core.packets import CameraState, Codec, Flags, Kind, Packet, StreamInfo, Track
from ninjacam.hub.wire import (
    HEADER,
    MAX_PAYLOAD_BYTES,
    HubMessage,
    MessageReader,
    decode_info,
    encode_info,
    encode_packet,
)


def a_packet(size_bytes: int = 100, *, flags: int = Flags.KEY) -> Packet:
    return Packet(
        Kind.VIDEO, Codec.H264, bytes(size_bytes), -5, 7, 90_000, 3600, 12, flags, 17 * 10**17, 9, 1280, 720
    )  # fmt: skip


def feed(reader: MessageReader, data: bytes, most: int) -> None:
    while data:
        view = reader.get_buffer()
        count = min(len(view), len(data), most)
        view[:count] = data[:count]
        data = data[count:]
        reader.received(count)


def test_the_header_has_the_size_that_the_design_defines() -> None:
    assert HEADER.size == 80


@pytest.mark.parametrize("most", [1, 7, 81, 4096, 1 << 20])
def test_a_packet_survives_any_division_of_the_stream(most: int) -> None:
    sent = [a_packet(size) for size in (0, 1, 100, 70_000, 300_000 if most > 7 else 900)]
    got: list[HubMessage] = []
    reader = MessageReader(got.append, size_bytes=256)
    feed(reader, b"".join(map(encode_packet, sent)), most)
    assert [message.packet for message in got] == sent


def test_a_stream_description_survives_the_wire() -> None:
    info = StreamInfo(
        "door",
        (
            Track(Kind.VIDEO, Codec.H265, extradata=b"\x00\x01", width_px=1920),
            Track(Kind.AUDIO, Codec.AAC, 8000),
        ),
        CameraState.FAILED,
        {"code": "timeout", "message": "Look at the cable."},
        epoch=7,
        extra={"view": "edges"},
    )
    got: list[HubMessage] = []
    feed(MessageReader(got.append), encode_info(info), 50)
    assert decode_info(got[0].extension) == info


def test_an_absurd_length_is_rejected_before_it_is_allocated() -> None:
    data = bytearray(encode_packet(a_packet()))
    data[72:76] = (MAX_PAYLOAD_BYTES + 1).to_bytes(4, "little")
    with pytest.raises(ProtocolError):
        feed(MessageReader(lambda _: None), bytes(data), 4096)


def test_noise_raises_only_protocol_errors() -> None:
    rng = random.Random(1)
    for _ in range(500):
        data = bytearray(encode_packet(a_packet(rng.randrange(64))) + encode_info(StreamInfo("a")))
        for _ in range(rng.randrange(1, 12)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        reader = MessageReader(lambda _: None)
        try:
            feed(reader, bytes(data), 4096)
        except ProtocolError:
            continue
