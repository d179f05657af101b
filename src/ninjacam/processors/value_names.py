"""Names of values that are made from the names of zones. Not a processor."""

from collections.abc import Sequence
from functools import lru_cache
from zlib import crc32

from ninjacam import Zone

MAX_CHARS = 32
"""Maximum length of the name of a value."""


def to_value_names(zones: Sequence[Zone], suffix: str = "") -> dict[str, str]:
    """Return the names of values by the names of zones or lines, with this suffix: a-z, 0-9 and _, a letter first.

    They differ. Of several that would be equal, such as those of “a-b” and “a_b”, one is as it would be alone: the one
    that has exactly this name, or else the first one in alphabetical order. The others end in a hash of their names.
    """
    return dict(_to_value_names(tuple((zone.name, zone.kind) for zone in zones), suffix))


@lru_cache(maxsize=256)
def _to_value_names(zones: tuple[tuple[str, str], ...], suffix: str) -> tuple[tuple[str, str], ...]:
    stems = {name: _to_stem(name, kind) for name, kind in zones}
    taken: set[str] = set()
    found: dict[str, str] = {}
    for name in sorted(stems, key=lambda name: (name != stems[name], name)):
        value, number = _cut(stems[name], suffix), 0
        while value in taken:
            value = _cut(stems[name], f"_{crc32(name.encode()) + number & 0xFFFFFF:06x}{suffix}")
            number += 1
        taken.add(value)
        found[name] = value
    return tuple(found.items())


def _to_stem(name: str, kind: str) -> str:
    stem = name.replace("-", "_")
    return stem if stem[:1].isalpha() else f"{kind}_{stem}"


def _cut(stem: str, suffix: str) -> str:
    return stem[: MAX_CHARS - len(suffix)] + suffix
