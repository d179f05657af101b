"""The streams of a camera: their names and keys, and the rules that choose one for a purpose.

Pure functions over what is known of each stream. Not here: where that is stored (`ninjacam.models`), and when a
stream is connected (`ninjacam.capture`). docs/design/0009-streams.md.
"""

from collections.abc import Iterable
from dataclasses import dataclass

MAIN = "main"
"""Name of the stream that every camera has: the camera's own URL."""
MAX_NAME_CHARS = 30
NAME = r"[a-z0-9][a-z0-9_-]{0,29}"
"""Pattern of a stream's name, without anchors."""
MAX_STREAMS = 8
"""Maximum number of streams of one camera besides `main`."""
UNSEEN_WIDTH_PX = 640
"""Assumed width of a stream, other than `main`, that was never seen."""


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """What the rules use of a stream. `width_px`: width last seen; 0: never seen."""

    name: str
    width_px: int = 0

    @property
    def assumed_width_px(self) -> float:
        """Return the width to compare: an unseen `main` counts as wide enough for everything."""
        if self.width_px:
            return self.width_px
        return float("inf") if self.name == MAIN else UNSEEN_WIDTH_PX


def stream_key(slug: str, name: str) -> str:
    """Return the name of a stream within a host, which its sockets have: the camera's slug for `main`, else
    `<slug>.<name>`. A slug contains no dot.
    """
    return slug if name == MAIN else f"{slug}.{name}"


def split_key(key: str) -> tuple[str, str]:
    """Return (slug, name of the stream)."""
    slug, _dot, name = key.partition(".")
    return slug, name or MAIN


def choose_by_width(streams: Iterable[StreamFacts], width_px: int) -> str:
    """Return the smallest stream that is at least `width_px` wide; `main` if none is, or if `width_px` is 0."""
    if not width_px:
        return MAIN
    wide = [each for each in streams if each.assumed_width_px >= width_px]
    # At the same width, `main` is preferred, because it is connected already.
    return (
        min(wide, key=lambda each: (each.assumed_width_px, each.name != MAIN, each.name)).name
        if wide
        else MAIN
    )


def choose(streams: Iterable[StreamFacts], *, override: str, width_px: int) -> str:
    """Return the stream for a role: `override` if the camera has a stream of that name, else the one for the width."""
    facts = list(streams)
    if override and any(each.name == override for each in facts):
        return override
    return choose_by_width(facts, width_px)
