"""Structural mutations of valid inputs. An input is a list of pieces (lines, segments, boxes, packets)."""

import random

_SPLICES = (
    b"",
    b"\0",
    b"\xff",
    b"\r\n",
    b"\n\n",
    b"=",
    b'"',
    b":",
    b"\xff\xd8\xff",
    b"\xff\xd9",
    b"--foo",
    b"%",
    b"$",
)
_NUMBERS = (b"0", b"-1", b"1", b"255", b"65536", b"4294967295", b"99999999999999999999", b"1e9", b"0x10")


def mutate(pieces: list[bytes], chance: random.Random) -> bytes:
    """Return the pieces with one to four faults: reordered, duplicated, omitted, truncated, or damaged."""
    broken = list(pieces)
    for _ in range(chance.randrange(1, 5)):
        if not broken:
            break
        at = chance.randrange(len(broken))
        match chance.randrange(8):
            case 0:
                del broken[at]
            case 1:
                broken.insert(at, broken[at])
            case 2:
                other = chance.randrange(len(broken))
                broken[at], broken[other] = broken[other], broken[at]
            case 3:
                broken[at] = broken[at][: chance.randrange(len(broken[at]) + 1)]
            case 4:
                broken[at] = _with_number(broken[at], chance)
            case 5:
                broken[at] = _with_length(broken[at], chance)
            case 6:
                place = chance.randrange(len(broken[at]) + 1)
                broken[at] = broken[at][:place] + chance.choice(_SPLICES) + broken[at][place:]
            case _:
                broken[at] = _with_flipped_bits(broken[at], chance)
    return b"".join(broken)


def _with_flipped_bits(piece: bytes, chance: random.Random) -> bytes:
    data = bytearray(piece)
    for _ in range(chance.randrange(1, 4) if data else 0):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(data)


def _with_length(piece: bytes, chance: random.Random) -> bytes:
    """Write a length into two or four bytes that is slightly or greatly wrong."""
    size = chance.choice((1, 2, 4))
    if len(piece) < size:
        return piece
    at = chance.randrange(min(len(piece) - size + 1, 40))
    value = int.from_bytes(piece[at : at + size], "big") + chance.choice(
        (-2, -1, 1, 2, 1 << 7, 1 << 15, 1 << 31)
    )
    return piece[:at] + (value % (1 << 8 * size)).to_bytes(size, "big") + piece[at + size :]


def _with_number(piece: bytes, chance: random.Random) -> bytes:
    """Replace a decimal number in a text."""
    digits = [at for at, byte in enumerate(piece[:200]) if 48 <= byte < 58]
    if not digits:
        return piece
    at = chance.choice(digits)
    return piece[:at] + chance.choice(_NUMBERS) + piece[at + 1 :]
