"""The streams of a camera: their names and keys, and the rules that select one for a purpose.

Pure functions. Not here: storage of streams (`ninjacam.models`), and the decision to connect them
(`ninjacam.capture`). docs/design/0009-streams.md.
"""

from collections.abc import Iterable
from dataclasses import dataclass

RAW_VIEW = "raw"
"""Name of the camera's own view "" in URLs."""
MAIN = "main"
"""Name of the stream that every camera has: the camera's own URL."""
MAX_NAME_CHARS = 30
NAME = r"[a-z0-9][a-z0-9_-]{0,29}"
"""Pattern of a stream's name, without anchors."""
MAX_STREAMS = 8
"""Maximum number of streams of one camera besides `main`."""
UNSEEN_WIDTH_PX = 640
"""Assumed width of a stream, other than `main`, that has never delivered video."""


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """The input of the selection rules. `width_px`: last known width; 0: unknown."""

    name: str
    width_px: int = 0

    @property
    def assumed_width_px(self) -> float:
        """Return the width to compare. A `main` stream of unknown width counts as wider than any other."""
        if self.width_px:
            return self.width_px
        return float("inf") if self.name == MAIN else UNSEEN_WIDTH_PX


def stream_key(slug: str, name: str) -> str:
    """Return the name of a stream within a host, used for its sockets: the camera's slug for `main`, else
    `<slug>.<name>`. A slug contains no dot."""
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
    # At equal widths, prefer `main`, which is already connected.
    return (
        min(wide, key=lambda each: (each.assumed_width_px, each.name != MAIN, each.name)).name
        if wide
        else MAIN
    )


def choose(streams: Iterable[StreamFacts], *, override: str, width_px: int) -> str:
    """Return the stream for a purpose: `override` if the camera has a stream of that name, else the one for
    the width."""
    facts = list(streams)
    if override and any(each.name == override for each in facts):
        return override
    return choose_by_width(facts, width_px)
