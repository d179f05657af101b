"""Simulated power cuts: the tests see only data that had reached the disk of a real file system.

The disk is a file behind a loop device. Data in the kernel's page cache has not reached it. A copy of the file, taken
while the capture process is stopped, is therefore the content of a disk after a power cut.
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
    """Return the reason why file systems cannot be created and mounted here; empty if they can."""
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
    """Record a camera in `directory`, which must be empty, until `after_s` after the start of its third file.

    Returns: a copy of the recordings on the remounted disk, and the wall clock of the cut in ns.
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
            # Stop, not kill: the disk is unmounted when its last process ends.
            child.process.send_signal(signal.SIGSTOP)
            cut_ns = time.time_ns()
            _copy_at_rest(disk, left)
            return cut_ns

    cut_ns = asyncio.run(record())
    # Mounting replays the journal, as after a reboot.
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
    """Return a copy that no write has interrupted, equivalent to a copy taken in one instant."""
    while True:
        before = disk.read_bytes()
        if before == disk.read_bytes():
            left.write_bytes(before)
            return
