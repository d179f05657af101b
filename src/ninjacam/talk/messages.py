"""Messages on the socket `<run>/<slug>.talk`. One connection is one talk.

The web worker sends one JSON line, {"by": name of the user}, and then PCM: 16 bits, little-endian, mono. The capture
process sends one JSON line, {"ready": {"rate_hz", "codec"}}, when the camera takes audio, and {"error", "by"} when
the talk ends by itself, or cannot begin. The end of the connection is the end of the talk.
"""

from pathlib import Path

MAX_LINE_BYTES = 4096
MAX_NAME_CHARS = 150
SAMPLE_BYTES = 2


def socket_path(run_dir: Path, slug: str) -> Path:
    return run_dir / f"{slug}.talk"
