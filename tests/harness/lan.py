"""Simulated networks in kernel namespaces. Nothing is sent to a real network."""

import contextlib
import ctypes
import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.harness.processes import ROOT, python

CLONE_NEWNET = 0x40000000
SEARCHER, PREFIX = "10.9.0.1", 24
NETWORK = "10.9.0.0/24"


@dataclass(frozen=True, slots=True)
class LanDevice:
    """A simulated device. `kind`: see `lan_devices`. `scopes`: of its ONVIF response."""

    address: str
    mac: str
    kind: str
    scopes: str = ""


def missing() -> str:
    """Return the reason why namespaces are not available; empty if they are."""
    if os.geteuid() != 0:
        return "network namespaces are made by root"
    done = subprocess.run(
        ["unshare", "-n", "ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1"],
        capture_output=True,
        check=False,
    )
    return "" if done.returncode == 0 else "no network namespaces here"


@contextlib.contextmanager
def own_network() -> Iterator[None]:
    """Move this thread and its child processes into an empty network with a loopback interface.

    The thread returns to its former network when the `with` block ends.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        if libc.unshare(CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        try:
            _ip("link set lo up")
            yield
        finally:
            if libc.setns(before, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(before)


@contextlib.contextmanager
def lan(devices: Sequence[LanDevice]) -> Iterator[None]:
    """Attach this thread's `own_network`, as SEARCHER, to a network with these devices."""
    command = ["unshare", "-n", *map(str, python("-m", "tests.harness.lan_devices"))]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "begun\n"
            _ip(
                "link add v0 type veth peer name v1",
                f"link set v1 netns {process.pid}",
                f"addr add {SEARCHER}/{PREFIX} dev v0",
                "link set v0 up",
            )
            process.stdin.write(json.dumps([asdict(device) for device in devices]) + "\n")
            process.stdin.flush()
            assert process.stdout.readline() == "ready\n"
            yield
        finally:
            process.kill()


def without_privileges(command: Sequence[str | os.PathLike[str]]) -> list[str]:
    """Return a command that runs this one without capabilities, as if not by root."""
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", *map(str, command)]


def active_opens() -> int:
    """Return the number of TCP connections opened by this network's hosts, as counted by the kernel."""
    names, values = (
        line.split()[1:]
        for line in Path("/proc/thread-self/net/snmp").read_text().splitlines()
        if line.startswith("Tcp:")
    )
    return int(dict(zip(names, values, strict=True))["ActiveOpens"])


def _ip(*commands: str) -> None:
    subprocess.run(["ip", "-batch", "-"], input="\n".join(commands), text=True, check=True)
