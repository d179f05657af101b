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

from tests.harness.capture import capture

DISK_BYTES = 48 << 20


def loop_missing(directory: Path) -> str:
    """Why no file system can be made and mounted here; empty: it can."""
    if os.geteuid() != 0:
        return "mounts a file system, which needs root"
    if shutil.which("mkfs.ext4") is None:
        return "there is no mkfs.ext4"
    disk = _make_disk(directory / "try.img")
    mount = ["unshare", "-m", "sh", "-c", f'mount -o loop "{disk}" "{directory}"']
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    disk.unlink()
    return f"no loop devices here: {done.stderr.strip()}" if done.returncode else ""


def cut_power(directory: Path, url: str, after_s: float) -> tuple[Path, int]:
    """Record a camera in `directory`, which is empty, until `after_s` after it has begun its third file.

    Returns: the recordings as they were on the disk, mounted again and copied; the wall clock of the cut, ns.
    """
    root, left, found = (directory / name for name in ("recordings", "left.img", "found"))
    for each in (root, found, directory / "mount"):
        each.mkdir(parents=True)
    disk = _make_disk(directory / "disk.img")
    before = ["unshare", "-m", "sh", "-c", f'mount -o loop "{disk}" "{root}" && exec "$@"', "sh"]

    async def record() -> int:
        async with capture(directory, url, before=before) as child:
            await child.until(lambda: len(child.segments) >= 3)
            await asyncio.sleep(after_s)
            # Not killed: with its last process the disk is unmounted.
            child.process.send_signal(signal.SIGSTOP)
            cut_ns = time.time_ns()
            _copy_at_rest(disk, left)
            return cut_ns

    cut_ns = asyncio.run(record())
    # Mounting replays the journal, as the next start of the machine does.
    script = f'mount -o loop "{left}" "{directory}/mount" && cp -a "{directory}/mount/." "{found}/"'
    subprocess.run(["unshare", "-m", "sh", "-c", script], check=True)
    return found, cut_ns


def _make_disk(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(DISK_BYTES)
    subprocess.run(["mkfs.ext4", "-q", "-E", "lazy_itable_init=0", str(path)], check=True)
    return path


def _copy_at_rest(disk: Path, left: Path) -> None:
    """A copy in which nothing was written meanwhile: as if it had been taken in one instant."""
    while True:
        before = disk.read_bytes()
        if before == disk.read_bytes():
            left.write_bytes(before)
            return
