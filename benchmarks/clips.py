"""The stamped clip that the benchmark cameras play: 720p25, 250 frames, a key frame every 50, no B-frames."""

import os
import tempfile
from pathlib import Path

from ninjacam.core.bitstream import split_annexb
from ninjacam.testing.clips import Clip
from ninjacam.testing.scenes import SceneOptions, make_clip

_SHARED = Path(__file__).resolve().parents[2] / "shared/media/stamped-720p25.h264"


def cache_dir() -> Path:
    """Where encoded clips are kept between runs: this user's, below the system's temporary directory."""
    path = Path(tempfile.gettempdir()) / f"ninjacam-clips-{os.getuid()}"
    path.mkdir(mode=0o700, exist_ok=True)
    if path.stat().st_uid != os.getuid():
        raise PermissionError(f"{path} belongs to somebody else.")
    return path


def stamped_clip() -> Clip:
    return make_clip(SceneOptions(), cache_dir=cache_dir())


def stamped_annexb() -> Path:
    """As Annex B with access unit delimiters, for gst_camera.py: recorded footage if there is some, else the scene."""
    if _SHARED.exists():
        return _SHARED
    path = cache_dir() / "scene-720p25.h264"
    if not path.exists():
        unfinished = path.with_suffix(f".{os.getpid()}")
        unfinished.write_bytes(stamped_clip().annexb())
        unfinished.replace(path)
    return path


def frame_count(annexb: Path) -> int:
    return sum(nal[0] & 31 == 9 for nal in split_annexb(annexb.read_bytes()))
