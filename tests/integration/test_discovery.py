"""A search of a simulated network with twenty devices, without privileges, as observed by the kernel."""

import contextlib
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from benchmarks.discovery import DEVICES, SILENT, measure_search
from tests.harness import lan
from tests.harness.processes import ROOT, Process, is_alive, python, wait_for_exit, wait_until

pytestmark = pytest.mark.skipif(bool(lan.missing()), reason=lan.missing() or "network namespaces")


@pytest.fixture(scope="module")
def figures() -> dict[str, object]:
    return measure_search(timeout_s=30)


def test_twenty_devices_are_found_with_few_connections_and_without_root(figures: dict[str, object]) -> None:
    found = figures["devices"]
    assert isinstance(found, dict)
    assert set(found) == {device.address for device in DEVICES}
    for device in DEVICES:
        kind, word = found[device.address]
        expected = "phone" if device.kind in ("webcam", "droidcam") else "camera"
        assert kind == expected or device in SILENT, device
        assert (word < 0.6) == (device in SILENT), device
    connections = figures["connections"]
    assert isinstance(connections, int) and 0 < connections <= 300
    assert figures["active_opens"] == connections


NEVER_ANSWERS = [lan.LanDevice(f"10.9.0.{n}", f"02:00:00:00:00:{n:02x}", "silent") for n in (20, 21)]
STOP_S = 2.0


def begun_search(network: str) -> "subprocess.Popen[str]":
    """Start a search of the network that lasts 30 s, and wait for its first line of output."""
    search = subprocess.Popen(
        python("-m", "ninjacam.discovery"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True
    )
    assert search.stdin is not None and search.stdout is not None
    search.stdin.write(json.dumps({"network": network, "timeout_s": 30}) + "\n")
    search.stdin.flush()
    assert json.loads(search.stdout.readline())["event"] == "progress"
    return search


def end(search: "subprocess.Popen[str]") -> None:
    search.kill()
    search.communicate()


def test_a_search_ends_by_sigterm_and_with_the_process_that_started_it() -> None:
    with lan.own_network(), lan.lan(NEVER_ANSWERS):
        terminated = begun_search(lan.NETWORK)
        try:
            terminated.terminate()
            assert wait_for_exit(terminated, STOP_S) == -signal.SIGTERM
        finally:
            end(terminated)
        orphaned = begun_search(lan.NETWORK)
        try:
            assert orphaned.stdin is not None
            orphaned.stdin.close()
            assert wait_for_exit(orphaned, STOP_S) == 0
        finally:
            orphaned.stdin = None
            end(orphaned)


def test_the_command_ends_by_sigterm_and_leaves_no_search_behind(tmp_path: Path) -> None:
    arguments = [
        "-m",
        "ninjacam",
        "discover",
        "--network",
        lan.NETWORK,
        "--timeout",
        "30",
        "--data",
        str(tmp_path),
    ]
    with lan.own_network(), lan.lan(NEVER_ANSWERS), Process("discover", python(*arguments)) as command:
        child = wait_until(lambda: _child_of(command.pid), 60, "its search", processes=[command])
        os.kill(command.pid, signal.SIGTERM)
        wait_until(lambda: not command.is_running() and not is_alive(child), STOP_S, "their end")


def _child_of(pid: int) -> int:
    """Return the pid of the process's search; 0: none yet."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if b"ninjacam.discovery" in path.read_bytes():
                parent = path.with_name("stat").read_text().rpartition(")")[2].split()[1]
                if int(parent) == pid:
                    return int(path.parent.name)
    return 0
