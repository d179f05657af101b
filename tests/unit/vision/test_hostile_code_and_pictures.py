"""What user code and cameras may not do to a vision worker."""

import asyncio
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from ninjacam.codecs.bitstream import jpeg_size
from ninjacam.core.errors import DecodeError
from ninjacam.core.packets import Codec, Kind, Packet
from ninjacam.core.processors import ProcessorRegistry
from ninjacam.supervision.child import OUT_OF_MEMORY_STATUS
from ninjacam.supervision.crash_record import loading_name
from ninjacam.vision import process
from ninjacam.vision.code import ModuleFile, ProcessorCode
from ninjacam.vision.images import Decoder

GOOD = "from ninjacam import processor\n@processor\ndef fine(frame): return frame.image\n"


@pytest.mark.parametrize("last_line", ["while True: pass", "import time; time.sleep(1)"])
def test_a_module_that_never_finishes_loading_is_cut_off_and_other_modules_still_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last_line: str
) -> None:
    monkeypatch.setattr(process, "LOAD_S", 0.15)
    monkeypatch.setattr(process, "LOAD_GIVE_UP_S", 0.15)
    path = tmp_path / "hangs.py"
    path.write_text(GOOD + last_line)
    files = [ModuleFile("module_that_hangs", path)]
    worker = process.VisionProcess(name="vision-1", run_dir=tmp_path, orphan_s=1, modules=files, reload=True)
    worker._code = code = ProcessorCode(files, into=ProcessorRegistry())

    async def load() -> None:
        async with asyncio.timeout(5):
            await worker._load()
        assert code.errors["module_that_hangs"]
        await asyncio.sleep(1)  # the thread that slept has ended, as requested
        path.write_text("x = 1\n")
        async with asyncio.timeout(5):
            await worker._load()

    asyncio.run(load())
    assert code.errors == {}


def test_a_worker_that_uses_too_much_memory_exits(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from ninjacam.supervision.child import run_loop;"
        "from ninjacam.vision.process import VisionProcess;"
        "run_loop(VisionProcess(name='vision-1', run_dir=Path(sys.argv[1]), orphan_s=20, modules=[],"
        "reload=False, memory_bytes=1).run)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, timeout=20)
    assert done.returncode == OUT_OF_MEMORY_STATUS, done.stderr


def test_an_image_of_absurd_size_is_rejected_before_it_is_allocated() -> None:
    coded = bytes(cv2.imencode(".jpg", np.zeros((6_100, 6_100), np.uint8))[1])
    with pytest.raises(DecodeError):
        jpeg_size(coded)
    with pytest.raises(DecodeError):
        Decoder(Codec.MJPEG).decode(Packet(Kind.VIDEO, Codec.MJPEG, coded, 0, 0))


def test_a_skipped_module_is_loaded_when_it_is_saved_and_the_others_at_once(
    tmp_path: Path,
) -> None:
    files = [ModuleFile(f"module_{name}", tmp_path / f"{name}.py") for name in ("fatal", "innocent")]
    for file in files:
        file.path.write_text(GOOD.replace("fine", file.path.stem))
    mark = files[0].version()
    assert mark is not None
    name = loading_name("module_fatal", mark[0])
    code = ProcessorCode(files, into=ProcessorRegistry(), left_out={name: "It ended its process."})
    code.refresh()
    assert code.errors == {"module_fatal": "It ended its process.\n"}
    assert "module_innocent" in sys.modules
    assert "module_fatal" not in sys.modules
    assert not code.changed(), "it is not tried again and again"
    files[0].path.write_text(GOOD.replace("fine", "mended"))
    code.refresh()
    assert code.errors == {}
    assert "module_fatal" in sys.modules


def test_a_view_that_fails_to_load_stays_with_its_cameras(tmp_path: Path) -> None:
    path = tmp_path / "breaks.py"
    path.write_text(GOOD.replace("@processor", "@processor(cameras=['gate-*'])").replace("fine", "gate"))
    code = ProcessorCode([ModuleFile("module_that_breaks", path)])
    code.refresh()
    for _ in range(2):  # beside what other tests have left in the process's registry
        assert "gate" in code.views("gate-1")
        assert "gate" not in code.views("door")
        path.write_text("def gate(:\n")
        code.refresh()
    path.unlink()
    code.refresh()
    assert "gate" not in code.views("gate-1")
