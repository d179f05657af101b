"""Resource usage of processes, from /proc (Linux). CPU seconds are user and system time together."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_ESTABLISHED = "01"


@dataclass(frozen=True, slots=True)
class Usage:
    """Usage of a set of processes.

    `pss_bytes`: memory, with shared pages divided among the processes that share them.
    """

    processes: int
    cpu_s: float
    pss_bytes: int
    threads: int
    open_files: int


def _stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/<pid>/stat from the third (state) on."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def cpu_seconds(pid: int) -> float:
    """Return 0.0 if there is no such process. Includes children that have ended and were waited for.

    The kernel's total has steps of 10 ms, too coarse for an almost idle process. The sum over its threads is exact, but
    omits threads that have ended. The larger value is the more accurate one.
    """
    fields = _stat(pid)
    if not fields:
        return 0.0
    own, children = (sum(int(fields[at]) for at in pair) / _TICKS_PER_S for pair in ((11, 12), (13, 14)))
    return max(own, _thread_seconds(pid)) + children


def _thread_seconds(pid: int) -> float:
    """Return 0.0 if the kernel keeps no scheduler statistics."""
    found_ns = 0
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            found_ns += int(Path(f"/proc/{pid}/task/{thread}/schedstat").read_text().split()[0])
    except (OSError, IndexError):
        return 0.0
    return found_ns / 1e9


def descendants(pid: int) -> list[int]:
    """Return the process and all its descendants."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (fields := _stat(int(entry))):
            children.setdefault(int(fields[1]), []).append(int(entry))
    found = [pid]
    for parent in found:
        found += children.get(parent, [])
    return found


def tree_cpu_seconds(pid: int) -> float:
    return sum(cpu_seconds(member) for member in descendants(pid))


def pss_bytes(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def thread_count(pid: int) -> int:
    return _entries(f"/proc/{pid}/task")


def open_files(pid: int) -> int:
    return _entries(f"/proc/{pid}/fd")


def _entries(path: str) -> int:
    try:
        return len(os.listdir(path))
    except OSError:
        return 0


def usage(pids: Iterable[int]) -> Usage:
    members = [pid for pid in set(pids) if _stat(pid)]
    return Usage(
        processes=len(members),
        cpu_s=sum(cpu_seconds(pid) for pid in members),
        pss_bytes=sum(pss_bytes(pid) for pid in members),
        threads=sum(thread_count(pid) for pid in members),
        open_files=sum(open_files(pid) for pid in members),
    )


def tree_usage(pid: int) -> Usage:
    return usage(descendants(pid))


def tcp_connections_to(port: int) -> int:
    """Return the established TCP connections of this host whose remote port is `port`."""
    wanted = f":{port:04X}"
    found = 0
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        fields = [line.split() for line in lines]
        found += sum(row[2].endswith(wanted) and row[3] == _ESTABLISHED for row in fields)
    return found


def machine() -> str:
    """Return one line that describes this machine, the heading of every table of figures."""
    model = "unknown CPU"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory_kb = int(Path("/proc/meminfo").read_text().split()[1])
    return f"{os.cpu_count()} x {model}, {memory_kb / 1e6:.1f} GB, Linux {os.uname().release}"
