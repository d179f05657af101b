"""Pictures out of bodies that are framed in every way that cameras have come up with."""

import random

import pytest

from ninjacam.core.errors import ProtocolError, SourceError
from ninjacam.sources.multipart import (
    MAX_IMAGE_BYTES,
    MAX_SEGMENTS,
    Dechunker,
    JpegParser,
    boundary_of,
)

HEAD = "--foo\r\nContent-Type: image/jpeg\r\nContent-Length: {length}\r\n\r\n"


def segment(marker: int, content: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(content) + 2).to_bytes(2, "big") + content


def jpeg(number: int, *, exif: bytes = b"", size_bytes: int = 400) -> bytes:
    """A picture as far as its framing goes. `exif`: the content of an APP1 segment."""
    tables = segment(0xDB, bytes(65)) + segment(0xC4, bytes(range(30)))
    frame = segment(0xC0, b"\x08\x00\x10\x00\x20\x01\x01\x11\x00")
    scan = segment(0xDA, b"\x01\x01\x00\x00\x3f\x00") + bytes((number, 0xFF, 0)) * (size_bytes // 3)
    return b"\xff\xd8" + (segment(0xE1, exif) if exif else b"") + tables + frame + scan + b"\xff\xd9"


PICTURES = [jpeg(number, size_bytes=300 + 90 * number) for number in range(1, 6)]


def body(
    head: str = HEAD, end: str = "\r\n", *, before: str = "", wrong_by: int = 0, first: bool = True
) -> bytes:
    parts = [
        (head.format(length=len(picture) + wrong_by).encode() if first or index else b"") + picture + end.encode()
        for index, picture in enumerate(PICTURES)
    ]  # fmt: skip
    return before.encode() + b"".join(parts)


def parse(data: bytes, *, piece_bytes: int = 1 << 16, boundary: bytes = b"--foo") -> list[bytes]:
    parser = JpegParser(boundary)
    return [
        picture
        for at in range(0, len(data), piece_bytes)
        for picture in parser.feed(data[at : at + piece_bytes])
    ]


FRAMINGS = {
    "as it should be": body(),
    "no boundary before the first picture": body(first=False),
    "boundary twice": body("--foo\r\n" + HEAD),
    "nothing behind the boundary": body("--fooContent-Type: image/jpeg\r\nContent-Length: {length}\r\n\r\n"),
    "no dashes": body("foo\r\nContent-Type: image/jpeg\r\n\r\n"),
    "another boundary than announced": body(HEAD.replace("foo", "bar")),
    "no boundary at all": body("", ""),
    "line feeds only": body(HEAD.replace("\r", ""), "\n"),
    "no length": body("--foo\r\nContent-Type: image/jpeg\r\n\r\n"),
    "no headers": body("--foo\r\n\r\n"),
    "a header without a colon": body("--foo\r\nIO_000_PT_003_x\r\nContent-length:{length}\r\n\r\n"),
    "text before the first part": body(before="This is a multipart stream.\r\n\r\n"),
    "length too short by 1": body(wrong_by=-1),
    "length too short by 200": body(wrong_by=-200),
    "length too long by 2": body(wrong_by=2),
    "length too long by a picture": body(wrong_by=700),
    "length 0": body("--foo\r\nContent-Length: 0\r\n\r\n"),
    "length of nonsense": body("--foo\r\nContent-Length: -12\r\n\r\n"),
    "huge length": body("--foo\r\nContent-Length: 999999999\r\n\r\n"),
    "empty parts between": body("--foo\r\nContent-Length: 0\r\n\r\n\r\n" + HEAD),
    "text parts between": body("--foo\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\nmotion: 1\r\n" + HEAD),
    "part headers at once, the boundary behind them (Tasmota#12376)": body(
        "Content-Type: image/jpeg\r\nContent-Length: {length}\r\n\r\n", "\r\n--foo\r\n"
    ),
    "empty lines before each boundary (go2rtc#545)": body("\r\n\r\n" + HEAD, "\r\n\r\n"),
    "each boundary is the closing one (go2rtc#545)": body(HEAD.replace("--foo", "--foo--")),
    "nothing behind the boundary (viseron#355)": body(HEAD.replace("--foo\r\n", "--foo")),
    "placeholders in a header (cc-fw-tools#108)": body(
        "--foo\r\nExpires: Thu, %d %d %d %d:%d:%d GMT\r\nContent-Length: {length}\r\n\r\n"
    ),
    "two dashes in the header of the answer only (motioneye#733)": body(HEAD.replace("--foo", "foo")),
    "zeros behind each picture": body(end="\0" * 300 + "\r\n"),
}  # fmt: skip


@pytest.mark.parametrize("framing", FRAMINGS)
def test_every_image_is_found_complete_however_it_is_framed(framing: str) -> None:
    for piece_bytes in (1, 7, 100, 1 << 16):
        assert parse(FRAMINGS[framing], piece_bytes=piece_bytes) == PICTURES


@pytest.mark.parametrize("framing", ["as it should be", "no length", "length too long by 2"])
def test_an_image_is_delivered_with_its_last_byte(framing: str) -> None:
    """The next boundary may come seconds later."""
    parser = JpegParser(b"--foo")
    data, found = FRAMINGS[framing], 0
    for picture in PICTURES:
        end = data.index(picture) + len(picture)
        if "too long" not in framing or picture is PICTURES[0]:
            assert parser.feed(data[found:end]) == [picture]
            found = end


def test_a_thumbnail_is_not_an_image_and_does_not_end_one() -> None:
    thumbnail = jpeg(9, size_bytes=60)
    data = b"".join(b"--foo\r\n\r\n" + jpeg(n, exif=b"Exif\0\0" + thumbnail) for n in (1, 2, 3))
    assert parse(data, piece_bytes=50) == [jpeg(n, exif=b"Exif\0\0" + thumbnail) for n in (1, 2, 3)]


@pytest.mark.parametrize("cut_bytes", [2, 40, 350])
@pytest.mark.parametrize("with_length", [True, False])
def test_a_truncated_image_is_dropped_and_the_next_is_complete(cut_bytes: int, with_length: bool) -> None:
    """`b""` stands for it, so it is counted."""
    parts = [PICTURES[0], PICTURES[1][:-cut_bytes], PICTURES[2], PICTURES[3]]
    head = HEAD if with_length else "--foo\r\n\r\n"
    data = b"".join(head.format(length=len(part)).encode() + part + b"\r\n" for part in parts)
    for piece_bytes in (11, 1 << 16):
        assert parse(data, piece_bytes=piece_bytes) == [PICTURES[0], b"", PICTURES[2], PICTURES[3]]


@pytest.mark.parametrize("kept_bytes", range(4, 130, 9))
def test_an_image_truncated_in_its_header_does_not_swallow_the_next_boundary(kept_bytes: int) -> None:
    data = b"".join(
        HEAD.format(length=len(part)).encode() + part + b"\r\n"
        for part in (PICTURES[0], PICTURES[1][:kept_bytes], *PICTURES[2:])
    )
    found = parse(data)
    assert found[0] == PICTURES[0] and found[-2:] == PICTURES[-2:]
    assert set(found) <= {b"", *PICTURES}


def test_a_suddenly_wrong_length_delays_at_most_one_image() -> None:
    """After right ones, which are believed."""
    parts = [(HEAD.format(length=len(picture)).encode(), picture) for picture in PICTURES]
    for wrong in (b"999999999", b"%d" % (len(PICTURES[2]) + 300)):
        parser = JpegParser(b"--foo")
        found: list[bytes] = []
        for number, (head, picture) in enumerate(parts):
            found += parser.feed(
                (head if number != 2 else b"--foo\r\nContent-Length: " + wrong + b"\r\n\r\n") + picture
            )
            assert len(found) >= number
        assert found == PICTURES


def test_images_without_an_end_are_never_delivered() -> None:
    data = b"".join(HEAD.format(length=len(picture) - 2).encode() + picture[:-2] for picture in PICTURES)
    assert parse(data) == [b""] * (len(PICTURES) - 1)


def feed_for_ever(parser: JpegParser, data: bytes) -> None:
    for _ in range(400):
        parser.feed(data)
        assert len(parser._buffer) <= MAX_IMAGE_BYTES + len(data)


def test_the_error_for_parts_that_are_not_jpeg_names_their_type() -> None:
    parser = JpegParser(b"--foo")
    parser.feed(b"--foo\r\nContent-Type: video/x-h264\r\n\r\n")  # go2rtc#545
    with pytest.raises(ProtocolError, match="video/x-h264"):
        feed_for_ever(parser, bytes(60_000))


@pytest.mark.parametrize(
    "endless",
    [
        b"x" * 65_536,
        b"--foo\r\n" + b"A: b\r\n" * 9_000,
        PICTURES[0][:-2] + b"y" * 65_000,
        b"\xff\xd8" + b"\xff" * 65_000,
    ],
)
def test_a_body_that_never_forms_an_image_is_bounded(endless: bytes) -> None:
    parser = JpegParser(b"--foo")
    rest = endless[-1:] * 65_536 if endless[-1:] != b"\n" else endless
    parser.feed(endless)
    with pytest.raises(SourceError):
        feed_for_ever(parser, rest)


def test_segments_without_an_image_have_a_constant_cost_per_byte() -> None:
    """Each of these beginnings leads through all that follow."""
    chain = b"\xff\xd8\xff\xe0\x00\x06" * 10_000
    parser = JpegParser()
    steps = 0
    step = parser._step

    def counted(images: list[bytes]) -> bool:
        nonlocal steps
        steps += 1 + max(0, parser._segments)
        return step(images)

    parser._step = counted  # type: ignore[method-assign]  # to count
    parser.feed(chain)
    assert steps < 3 * len(chain) // 4
    assert len(parser._buffer) < MAX_SEGMENTS * 65_537


def test_an_image_has_a_limited_number_of_segments() -> None:
    parser = JpegParser()
    assert parser.feed(b"\xff\xd8" + segment(0xFE, b"") * (MAX_SEGMENTS + 1)) == [b""]
    assert len(parser._buffer) < 8


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/x-mixed-replace; boundary=foo", b"--foo"),
        ('multipart/x-mixed-replace; boundary="--foo"; charset=x', b"--foo"),
        ("multipart/x-mixed-replace;BOUNDARY = --foo", b"--foo"),
        ("multipart/x-mixed-replace", b""),
        ("multipart/mixed; boundary=", b""),
        ("multipart/mixed; boundary='foo'", b"--foo"),
    ],
)
def test_the_announced_boundary_is_used(content_type: str, boundary: bytes) -> None:
    assert boundary_of(content_type) == boundary


def chunked(data: bytes, chance: random.Random, form: str = "%x\r\n") -> bytes:
    out = b""
    while data:
        size = chance.randrange(1, 200)
        out += (form % len(data[:size])).encode() + data[:size] + b"\r\n"
        data = data[size:]
    return out + b"0\r\n\r\n"


@pytest.mark.parametrize("form", ["%x\r\n", "%04X;x=1\r\n", "%x \r\n", "%x\n"])
def test_chunks_are_decoded_wherever_they_are_split(form: str) -> None:
    chance = random.Random(4)
    whole = body()
    wire = chunked(whole, chance, form)
    for piece_bytes in (1, 13, 4096):
        dechunker = Dechunker()
        plain = b"".join(
            dechunker.feed(wire[at : at + piece_bytes]) for at in range(0, len(wire), piece_bytes)
        )
        assert plain == whole and dechunker.ended


def test_a_body_that_is_not_chunked_despite_its_header_passes() -> None:
    dechunker = Dechunker()
    assert dechunker.feed(b"\r\n--foo\r\n") + dechunker.feed(b"rest") == b"--foo\r\nrest"


def test_a_broken_chunk_is_an_error() -> None:
    dechunker = Dechunker()
    dechunker.feed(b"3\r\nabc\r\n")
    with pytest.raises(ProtocolError):
        dechunker.feed(b"zz\r\n")
