"""CPU time of a server's processes by kind, during a measurement."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.proc import cpu_seconds, descendants

_KINDS = (
    ("vision_worker", "vision"),
    ("ninjacam vision-", "vision"),
    ("capture_worker", "capture"),
    ("web_worker", "web"),
    ("ninjacam web-", "web"),
    ("job_worker", "jobs"),
    ("ninjacam jobs-", "jobs"),
    ("ninjacam_engine", "engine"),
    ("ninjacam engine", "engine"),
    ("ninjacam template", "template"),
    ("serve", "serve"),
)


@dataclass(frozen=True, slots=True)
class Cpu:
    """User and system time in % of one core. `others`: all other processes of this machine: clients, camera."""

    seconds: float
    by_kind: dict[str, float]
    others: float

    @property
    def total(self) -> float:
        return sum(self.by_kind.values())

    def as_dict(self) -> dict[str, Any]:
        kinds = {kind: round(value, 2) for kind, value in sorted(self.by_kind.items())}
        return {"total": round(self.total, 2), **kinds, "others": round(self.others, 1)}


def kind_of(pid: int) -> str:
    """Return the kind of a process: "serve", "engine", "capture", "vision", "jobs", "web"; else "server"."""
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return "server"
    return next((kind for word, kind in _KINDS if word in line), "server")


def measure_cpu(root_pid: int, seconds: float, wait: Callable[[float], object] = time.sleep) -> Cpu:
    """Measure `root_pid` and its descendants during `wait(seconds)`.

    Processes that start or end meanwhile count too.
    """
    before, busy_before, started_s = _by_kind(root_pid), _busy_s(), time.monotonic()
    wait(seconds)
    after, busy_after, ended_s = _by_kind(root_pid), _busy_s(), time.monotonic()
    lasted_s = ended_s - started_s
    share = {kind: 100 * (value - before.get(kind, 0.0)) / lasted_s for kind, value in after.items()}
    return Cpu(lasted_s, share, 100 * (busy_after - busy_before) / lasted_s - sum(share.values()))


def _by_kind(root_pid: int) -> dict[str, float]:
    seconds: dict[str, float] = {}
    for pid in descendants(root_pid):
        kind = kind_of(pid)
        seconds[kind] = seconds.get(kind, 0.0) + cpu_seconds(pid)
    return seconds


def _busy_s() -> float:
    """Return the total busy time of the machine's cores since its start."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = (
        int(value) for value in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    )
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def load_average() -> float:
    """Return the average number of runnable processes in the last minute."""
    return round(os.getloadavg()[0], 2)
