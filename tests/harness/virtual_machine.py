"""A virtual machine that runs one command under Debian's kernel, for drivers that this host's kernel lacks.

Its files are the host's, below an in-memory layer for writes; one directory is shared in both directions. QEMU emulates
a processor where KVM is not available, several times slower; NINJACAM_TEST_ACCEL=tcg (or kvm) selects one.
"""

import os
import platform
import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.harness.processes import ROOT, run

MEMORY_MIB = 1024
_FILES = ("virtio_pci", "9pnet_virtio", "9p", "overlay")
"""The modules that give access to the host's files."""
_BUSYBOX = "/bin/busybox"
_KEPT = (
    "boot/vmlinuz-*",
    "*/drivers/media/*",
    "*/drivers/usb/*",
    "*/drivers/virtio/*",
    "*/fs/*",
    "*/net/9p/*",
)
"""The files kept from the package: 92 MB of 400 MB."""
_9P = "trans=virtio,version=9p2000.L,msize=512000"
_INIT = f"""#!{_BUSYBOX} sh
alias mount="{_BUSYBOX} mount" mkdir="{_BUSYBOX} mkdir"
mount -t devtmpfs dev /dev && exec >/dev/console 2>&1
{{load}}
mount -t 9p -o {_9P},cache=loose,ro root /below
mount -t tmpfs -o size=60% memory /layer
mkdir /layer/upper /layer/work
mount -t overlay -o lowerdir=/below,upperdir=/layer/upper,workdir=/layer/work overlay /root
mount -t proc proc /root/proc
mount -t sysfs sys /root/sys
mount -t tmpfs run /root/run
mount -o move /dev /root/dev
mkdir -m 1777 /root/dev/shm
mount -t 9p -o {_9P} share {{share}}
{_BUSYBOX} ifconfig lo 127.0.0.1 up
exec {_BUSYBOX} switch_root /root {_BUSYBOX} sh {{script}}
"""


class UnavailableError(Exception):
    """The virtual machine cannot run here. The message is the reason."""


@dataclass(frozen=True)
class Kernel:
    """The image, and the .ko files to load, in order, with their parameters."""

    image: Path
    modules: tuple[tuple[Path, str], ...]


def find_kernel(cache: Path, modules: Sequence[str]) -> Kernel:
    """Find Debian's kernel with `modules` and their dependencies.

    The package is downloaded into `cache` once and not installed. `modules`: names, optionally followed by parameters:
    "vivid n_devs=1". Raises: UnavailableError.
    """
    missing = [name for name in ("qemu-system-x86_64", "busybox", "apt-get") if shutil.which(name) is None]
    if missing or platform.machine() != "x86_64":
        raise UnavailableError(f"not installed: {', '.join(missing)}" if missing else "no x86-64 machine")
    told = subprocess.run(
        ["apt-cache", "depends", "linux-image-amd64"], capture_output=True, text=True, check=False
    )
    package = re.search(r"Depends: (linux-image-\S+)", told.stdout)
    if package is None:
        raise UnavailableError("apt knows no linux-image-amd64")
    folder = cache / package[1]
    if not folder.is_dir():
        _fetch(package[1], folder)
    files = {path.stem.replace("-", "_"): path for path in folder.rglob("*.ko")}
    wanted: dict[str, str] = {}
    for module in (*_FILES, *modules):
        name, _, parameters = module.partition(" ")
        _add(name, parameters, files, wanted)
    return Kernel(
        next(folder.glob("boot/vmlinuz-*")), tuple((files[name], words) for name, words in wanted.items())
    )


def _fetch(package: str, folder: Path) -> None:
    """Raises: UnavailableError."""
    unpacked = folder.with_name(folder.name + ".part")
    shutil.rmtree(unpacked, ignore_errors=True)
    unpacked.mkdir(parents=True)
    get = f"apt-get download -q {package}"
    unpack = f"dpkg-deb --fsys-tarfile *.deb | tar -x --wildcards {shlex.join(f'./{each}' for each in _KEPT)}"
    script = f"({get} || (apt-get update -q && {get})) && {unpack} && rm *.deb"
    done = subprocess.run(["sh", "-c", script], cwd=unpacked, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UnavailableError(f"apt cannot fetch {package}: {done.stderr.strip()[-300:]}")
    unpacked.rename(folder)


def _add(name: str, parameters: str, files: dict[str, Path], wanted: dict[str, str]) -> None:
    """Add a module after its dependencies, each once."""
    needs = re.search(rb"\0depends=([^\0]*)\0", files[name].read_bytes())
    for need in needs[1].decode().split(",") if needs and needs[1] else ():
        _add(need.replace("-", "_"), "", files, wanted)
    wanted.setdefault(name, parameters)


def run_in_vm(kernel: Kernel, command: Sequence[str], share: Path, *, timeout_s: float) -> str:
    """Return the output of `command` in a new machine. `share`: a directory, the only one whose changes persist.

    Raises: AssertionError: the command failed or the machine did not stop in time; with the output of both.
    """
    output, status, console = share / "output", share / "status", share / "console"
    environment = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    words = [f"{name}={value}" for name, value in {**environment, "HOME": "/tmp"}.items()]
    (share / "run.sh").write_text(
        f"cd {shlex.quote(str(ROOT))}\n"
        f"env {shlex.join([*words, *command])} >{shlex.quote(str(output))} 2>&1\n"
        f"echo $? >{shlex.quote(str(status))}\n{_BUSYBOX} poweroff -f\n"
    )
    machine = [
        *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
        *(*_accelerators(), "-cpu", "max", "-smp", "1", "-m", str(MEMORY_MIB), "-serial", f"file:{console}"),
        *("-kernel", str(kernel.image), "-initrd", str(_make_initramfs(kernel, share))),
        # The kernel's timer test fails if the host is too busy to deliver interrupts in time.
        *("-append", "console=ttyS0 quiet panic=-1 mitigations=off no_timer_check"),
        *("-virtfs", "local,path=/,mount_tag=root,security_model=none,readonly=on,multidevs=remap"),
        *("-virtfs", f"local,path={share},mount_tag=share,security_model=none"),
    ]
    try:
        told = run(machine, timeout_s=timeout_s)
    except subprocess.TimeoutExpired:
        told = f"not ended after {timeout_s} s"
    printed = output.read_text() if output.exists() else ""
    assert status.exists() and status.read_text() == "0\n", (
        f"{command} in a virtual machine: {told}\n--- it printed ---\n{printed}"
        f"\n--- console ---\n{console.read_text(errors='replace') if console.exists() else ''}"
    )
    return printed


def _accelerators() -> list[str]:
    """Return KVM only if the processor supports it fully: nested machines with substitutes may not boot."""
    has_kvm = re.search(r"^flags\b.*\b(vmx|svm)\b", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    names = os.environ.get("NINJACAM_TEST_ACCEL", "kvm tcg" if has_kvm else "tcg").split()
    return [word for name in names for word in ("-accel", name)]


def _make_initramfs(kernel: Kernel, share: Path) -> Path:
    tree = share / "initramfs"
    for name in ("bin", "below", "dev", "layer", "modules", "root"):
        (tree / name).mkdir(parents=True)
    shutil.copy(_BUSYBOX, tree / "bin")
    for path, _ in kernel.modules:
        shutil.copy(path, tree / "modules")
    load = (
        f"{_BUSYBOX} insmod /modules/{path.name} {parameters}".rstrip() for path, parameters in kernel.modules
    )
    init = tree / "init"
    init.write_text(
        _INIT.format(
            load="\n".join(load),
            share=shlex.quote(f"/root{share}"),
            script=shlex.quote(str(share / "run.sh")),
        )
    )
    init.chmod(0o755)
    archive = share / "initramfs.cpio"
    pack = f"find . | {_BUSYBOX} cpio -o -H newc >{shlex.quote(str(archive))}"
    subprocess.run(["sh", "-c", pack], cwd=tree, check=True, capture_output=True)
    return archive
