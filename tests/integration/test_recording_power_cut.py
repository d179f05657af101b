"""A power cut: of a real file system on a disk of its own, only what had reached the disk is looked at afterwards.

The disk is a file behind a loop device. What the kernel still holds in its page cache for it has not reached
the disk; so a copy of that file, taken while the capture process stands still, is what a disk would hold.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from ninjacam.recordings.layout import iter_paths
from ninjacam.recordings.reader import read_recording, read_segment
from ninjacam.recordings.repair import repair_newest
from ninjacam.testing.camera import FakeRtspCamera
from tests.integration.test_recording import assert_consecutive, assert_decodes, capture, clip, stamps

DISK_BYTES = 48 << 20


def loop_missing(directory: Path) -> str:
    """Why no file system can be made and mounted here; empty: it can."""
    if os.geteuid() != 0:
        return "mounts a file system, which needs root"
    if shutil.which("mkfs.ext4") is None:
        return "there is no mkfs.ext4"
    disk = make_disk(directory / "try.img")
    mount = ["unshare", "-m", "sh", "-c", f'mount -o loop "{disk}" "{directory}"']
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    disk.unlink()
    return f"no loop devices here: {done.stderr.strip()}" if done.returncode else ""


def make_disk(path: Path) -> Path:
    with path.open("wb") as file:
        file.truncate(DISK_BYTES)
    subprocess.run(["mkfs.ext4", "-q", "-E", "lazy_itable_init=0", str(path)], check=True)
    return path


def copy_at_rest(disk: Path, left: Path) -> None:
    """A copy in which nothing was written meanwhile: as if it had been taken in one instant."""
    while True:
        before = disk.read_bytes()
        if before == disk.read_bytes():
            left.write_bytes(before)
            return


@pytest.mark.ffmpeg
def test_a_power_cut_loses_a_second_and_leaves_no_broken_file(tmp_path: Path) -> None:
    why = loop_missing(tmp_path)
    if why:
        pytest.skip(why)
    root = tmp_path / "recordings"
    root.mkdir()
    disk, left = make_disk(tmp_path / "disk.img"), tmp_path / "left.img"
    before = ["unshare", "-m", "sh", "-c", f'mount -o loop "{disk}" "{root}" && exec "$@"', "sh"]

    async def record(url: str) -> int:
        """Wall clock of the cut."""
        async with capture(tmp_path, url, before=before) as child:
            await child.until(lambda: len(child.segments) >= 3)  # in the middle of some file
            await asyncio.sleep(0.7)
            cut_ns = time.time_ns()
            child.process.send_signal(
                signal.SIGSTOP
            )  # not killed: with its last process the disk is unmounted
            copy_at_rest(disk, left)
            return cut_ns

    with FakeRtspCamera(clip()) as camera:
        cut_ns = asyncio.run(record(camera.url()))
    after = tmp_path / "after"
    (after / "mount").mkdir(parents=True)
    # Mounting replays the journal, as the next start of the machine does.
    script = f'mount -o loop "{left}" "{after}/mount" && cp -a "{after}/mount/." "{after}/found/"'
    (after / "found").mkdir()
    subprocess.run(["unshare", "-m", "sh", "-c", script], check=True)
    found = after / "found"
    for segment in repair_newest(found, "door"):
        assert read_recording(found / segment.path).size_bytes == (found / segment.path).stat().st_size
    segments = sorted(
        (read_segment(found / path, root=found) for path in iter_paths(found)), key=lambda each: each.start_ns
    )
    assert len(segments) >= 3
    lost_s = (cut_ns - segments[-1].end_ns) / 1e9
    print(f"lost by the power cut: {lost_s:.2f} s")
    assert lost_s < 1.5  # the second that was being collected, and what was on its way to the disk
    paths = [found / segment.path for segment in segments]
    for path in paths:
        assert_decodes(path)
    assert_consecutive(stamps(paths), 100)
