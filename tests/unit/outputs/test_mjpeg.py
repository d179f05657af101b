from ninjacam.core.packets import CameraState, Codec, Flags, Kind, Packet
from ninjacam.outputs.mjpeg import PREAMBLE, encode_part, rfc3339


def jpeg(captured_ns: int = 1_790_000_000_123_456_789) -> Packet:
    return Packet(
        Kind.VIDEO, Codec.MJPEG, b"\xff\xd8 a picture", 0, 0, flags=Flags.KEY, captured_ns=captured_ns
    )


def test_a_part_ends_with_the_next_boundary_so_that_browsers_show_it_at_once() -> None:
    part = encode_part(jpeg(), CameraState.LIVE)
    head, _, rest = part.partition(b"\r\n\r\n")
    assert rest == b"\xff\xd8 a picture\r\n" + PREAMBLE
    assert head.split(b"\r\n") == [
        b"Content-Type: image/jpeg",
        b"Content-Length: 12",
        b"X-Ninjacam-State: live",
        b"X-Timestamp: 1790000000.123456",
        b"X-Ninjacam-Timestamp: 2026-09-21T14:13:20.123456Z",
    ]


def test_an_unknown_time_is_omitted() -> None:
    assert b"Timestamp" not in encode_part(jpeg(captured_ns=0), CameraState.RECONNECTING)


def test_times_keep_their_leading_zeros() -> None:
    assert rfc3339(1_000) == "1970-01-01T00:00:00.000001Z"
