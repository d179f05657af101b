"""The stamped clip that the benchmark cameras play: 720p25, 250 frames, a key frame every 50, no B-frames."""

import os
import tempfile
from pathlib import Path

from ninjacam.codecs.bitstream import split_annexb
from ninjacam.testing.scenes import SceneOptions, make_clip

_SHARED = Path(__file__).resolve().parents[2] / "shared/media"
_SIZES = {
    360: SceneOptions(width=640, height=360, bitrate_bps=500_000),
    720: SceneOptions(),
    1080: SceneOptions(width=1920, height=1080, bitrate_bps=5_000_000),
}


def cache_dir() -> Path:
    """Return this user's directory for encoded clips, below the system's temporary directory, kept between runs."""
    path = Path(tempfile.gettempdir()) / f"ninjacam-clips-{os.getuid()}"
    path.mkdir(mode=0o700, exist_ok=True)
    if path.stat().st_uid != os.getuid():
        raise PermissionError(f"{path} belongs to somebody else.")
    return path


def stamped_annexb(height_px: int = 720) -> Path:
    """Return Annex B with access unit delimiters for gst_camera.py: recorded footage if available, else the scene.

    `height_px`: 360 (a sub-stream), 720 or 1080.
    """
    name = f"stamped-{height_px}p25.h264"
    if (_SHARED / name).exists():
        return _SHARED / name
    path = cache_dir() / name
    if not path.exists():
        unfinished = path.with_suffix(f".{os.getpid()}")
        unfinished.write_bytes(make_clip(_SIZES[height_px], cache_dir=cache_dir()).annexb())
        unfinished.replace(path)
    return path


def frame_count(annexb: Path) -> int:
    return sum(nal[0] & 31 == 9 for nal in split_annexb(annexb.read_bytes()))


def access_units(annexb: Path) -> list[bytes]:
    """Return the access units of a clip with access unit delimiters."""
    delimiter = b"\x00\x00\x00\x01\x09"
    head, *units = annexb.read_bytes().split(delimiter)
    assert not head, f"{annexb} does not begin with an access unit delimiter"
    return [delimiter + unit for unit in units]
