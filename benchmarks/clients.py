"""The load clients as separate processes, so that their work does not slow the benchmark."""

import contextlib
import json
import subprocess
from collections.abc import Sequence
from typing import Any

from benchmarks.meter import Cpu, measure_cpu
from tests.harness.processes import Process, python

_SPARE_S = 1.5
"""Seconds that the clients run longer than the CPU measurement, because they take a moment to start."""


class Watchers(Process):
    """Viewers that run for `warm_up_s`, and then count for `seconds`. `module`: of benchmarks."""

    def __init__(
        self,
        module: str,
        target: Sequence[str],
        *options: str,
        viewers: int,
        warm_up_s: float,
        seconds: float,
    ) -> None:
        self.viewers = viewers
        self.warm_up_s = warm_up_s
        self.seconds = seconds
        command = python("-m", f"benchmarks.{module}", *target, *options, "--json", "-n", str(viewers))
        times = ["--warm-up", str(warm_up_s), "-t", str(seconds + _SPARE_S)]
        super().__init__(f"{viewers} viewers ({module})", [*command, *times])

    def measure(self, server_pid: int) -> Cpu:
        """Return the CPU time of the server while they are connected."""
        self.rest(self.warm_up_s + _SPARE_S / 2)
        return measure_cpu(server_pid, self.seconds, self.rest)

    def rest(self, seconds: float) -> None:
        """Wait while they are connected. Raises: RuntimeError: they have ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.child.wait(seconds)
            raise RuntimeError(f"The clients ended too early.\n{self.tail()}")

    def summary(self) -> dict[str, Any]:
        """Wait for their end, and return their results."""
        status = self.wait(self.warm_up_s + self.seconds + 60)
        lines = self.output.strip().splitlines()
        if status or not lines:
            raise RuntimeError(f"The clients ended with {status}.\n{self.tail()}")
        seen: dict[str, Any] = json.loads(lines[-1])
        return seen


def mjpeg_watchers(
    url: str,
    *,
    viewers: int,
    warm_up_s: float,
    seconds: float,
    loop: int,
    token: str = "",
    stagger_s: float = 0.05,
) -> Watchers:
    options = ["--loop", str(loop), "--stagger", str(stagger_s), *(["--bearer", token] if token else [])]
    return Watchers("loadclient", [url], *options, viewers=viewers, warm_up_s=warm_up_s, seconds=seconds)


def websocket_watchers(
    url: str, camera: str, *, viewers: int, warm_up_s: float, seconds: float, token: str
) -> Watchers:
    return Watchers(
        "ws_client", [url, camera], "--bearer", token, viewers=viewers, warm_up_s=warm_up_s, seconds=seconds
    )
