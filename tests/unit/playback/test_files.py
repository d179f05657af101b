import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ninjacam.playback import files
from ninjacam.playback.files import OpenFile, read_pieces
from ninjacam.recordings.clip import plan_clip, shift_times
from ninjacam.viewers.file_threads import FileThreads
from tests.harness.recordings import NOON_NS, encode_stamped, write_files


def test_any_part_of_the_pieces_is_read_correctly_whatever_the_chunk_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "CHUNK_BYTES", 3000)
    made = write_files(tmp_path, encode_stamped(75), 1)
    plan = plan_clip([each.path for each in made], NOON_NS, NOON_NS + 10**10)
    assert plan is not None
    whole = b""
    for piece in plan.pieces:
        data = piece.data
        if piece.path is not None and piece.shift is not None:
            data = shift_times(piece.path.read_bytes()[piece.offset :], piece.shift)
        whole += data
    assert len(whole) == plan.size_bytes

    async def read(skip: int, size: int) -> bytes:
        own = FileThreads()
        chunks = [chunk async for chunk in read_pieces(own, plan.pieces, skip, size)]
        own.close()
        assert all(0 < len(chunk) <= 3000 for chunk in chunks)
        return b"".join(chunks)

    async def read_all() -> None:
        for skip in (0, 1, 900, 1500, 2999, 3000, 4321, len(whole) - 5000):
            for size in (1, 700, 3000, 5000):
                assert await read(skip, size) == whole[skip : skip + size], (skip, size)
        assert await read(0, len(whole)) == whole

    asyncio.run(read_all())


def test_a_deleted_file_can_still_be_read_and_its_descriptor_is_closed_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"0123456789")
    before = len(os.listdir("/proc/self/fd"))
    file = OpenFile()
    assert file.read(path, 0, 2) == b"01"
    path.unlink()
    assert file.read(path, 8, 2) == b"89"
    with pytest.raises(OSError):
        file.read(path, 8, 3)
    file.close()
    file.close()
    assert len(os.listdir("/proc/self/fd")) == before
    with pytest.raises(OSError):
        file.read(path, 0, 1)


def test_a_web_worker_loads_no_decoder() -> None:
    program = (
        "import sys, ninjacam.asgi; print([name for name in ('av', 'cv2', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
