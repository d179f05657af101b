"""What a vision worker imports before anyone watches."""

import subprocess
import sys


def test_a_worker_without_viewers_imports_neither_opencv_nor_pyav() -> None:
    code = (
        "import sys, ninjacam.vision.process;"
        "print([name for name in ('av', 'cv2', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"
