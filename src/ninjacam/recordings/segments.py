"""Metadata of one recorded file: a row of the index, and the report of capture."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

INDEX_LATE_NS = 3 * 10**9
"""Maximum delay of the index relative to the files."""


@dataclass(frozen=True, slots=True)
class SegmentInfo:
    """One recorded file. `path`: relative to the root of the recordings, with `/`. Times: wall clock, ns since 1970
    UTC, of the first frame and of the end of the last. `codec`, `audio_codec`: labels of `Codec` ("h264", "aac"; ""
    without audio); `audio_source`: the camera's audio codec if it was re-encoded ("pcm_alaw"). `open`: it is being
    written."""

    slug: str
    path: str
    start_ns: int
    end_ns: int
    size_bytes: int
    codec: str
    width_px: int
    height_px: int
    audio_codec: str = ""
    audio_source: str = ""
    open: bool = False

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "SegmentInfo":
        """Return the segment. Ignores unknown keys. Raises: TypeError: a key is missing."""
        return cls(**{item.name: values[item.name] for item in fields(cls) if item.name in values})
