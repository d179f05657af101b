"""Audio that arrives in bursts is sent at a steady rate."""

from ninjacam.talk.playout import Playout

RATE_HZ, PACKET = 8000, 160
MS = 16
"""Bytes per millisecond."""


def make() -> Playout:
    return Playout(RATE_HZ, PACKET)


def audio(milliseconds: int, first: int = 0) -> bytes:
    """Return ascending samples, so that tests can identify them."""
    return b"".join((first + n).to_bytes(2, "little") for n in range(milliseconds * 8))


def first_of(packet: tuple[bytes, bool] | None) -> int:
    assert packet is not None
    return int.from_bytes(packet[0][:2], "little")


def test_a_talkspurt_begins_with_60_ms() -> None:
    playout = make()
    playout.put(audio(59))
    assert playout.take() is None
    playout.put(audio(1, 59 * 8))
    packet = playout.take()
    assert packet is not None and packet[1] and len(packet[0]) == 2 * PACKET
    assert first_of(playout.take()) == PACKET


def test_after_a_gap_the_next_packet_begins_a_talkspurt() -> None:
    playout = make()
    playout.put(audio(60))
    assert [packet and packet[1] for packet in (playout.take() for _ in range(4))] == [
        True,
        False,
        False,
        None,
    ]
    playout.put(audio(40))
    assert playout.take() is None
    playout.put(audio(20))
    packet = playout.take()
    assert packet is not None and packet[1]


def test_a_burst_drops_the_oldest_audio() -> None:
    playout = make()
    playout.put(audio(1000))
    assert playout.dropped_bytes == 940 * MS
    assert first_of(playout.take()) == 940 * 8


def test_the_delay_stays_bounded_if_audio_arrives_too_fast() -> None:
    playout = make()
    for number in range(100):
        playout.put(audio(25))
        playout.take()
        assert len(playout._buffer) <= 240 * MS, number


def test_the_rest_is_played_after_the_end_and_padded() -> None:
    playout = make()
    playout.put(audio(30))
    playout.end()
    playout.put(audio(100))
    first, second = playout.take(), playout.take()
    assert first is not None and second is not None
    assert second[0] == audio(10, 160) + bytes(10 * MS)
    assert playout.take() is None and playout.has_ended


def test_at_most_200_ms_are_played_after_the_end() -> None:
    playout = make()
    playout.put(audio(240))
    playout.end()
    assert first_of(playout.take()) == 40 * 8
    packets = 1
    while playout.take():
        packets += 1
    assert packets == 10


def test_dropping_keeps_whole_samples() -> None:
    playout = make()
    playout.put(audio(240) + b"\x01")
    playout.put(bytes(1))
    assert playout.dropped_bytes % 2 == 0
