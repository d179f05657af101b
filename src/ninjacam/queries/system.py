"""The processes of this host and their resources, and the installed versions: for administrators."""

import os
import platform
import re
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, is_dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path

import django
from django.core.checks import CheckMessage
from django.core.checks.registry import registry
from django.utils.translation import gettext as _

from ninjacam.auth import Principal
from ninjacam.conf import chosen_keys, get_settings
from ninjacam.queries.status import Status
from ninjacam.queries.users import require_administrator

MAX_LICENCE_CHARS = 80
PROC = Path("/proc")
SECRET_SETTINGS = ("SECRET_KEYS",)


@dataclass(frozen=True, slots=True)
class HostFigures:
    """`load`: of the last minute. `memory_bytes`, `available_bytes`: 0 where the system does not report them."""

    cpus: int
    load: float
    memory_bytes: int
    available_bytes: int


@dataclass(frozen=True, slots=True)
class ProcessFigures:
    """`cpu_percent`: of one core, averaged since the start of the process; None, as is `memory_bytes` (resident): the
    process has ended, or the system does not report it."""

    name: str
    kind: str
    pid: int
    restarts: int
    cameras: tuple[str, ...]
    cpu_percent: float | None
    memory_bytes: int | None


def read_host(who: Principal) -> HostFigures:
    """Raises: ForbiddenError."""
    require_administrator(who)
    memory = {"MemTotal": 0, "MemAvailable": 0}
    for line in _lines(PROC / "meminfo"):
        name, _colon, rest = line.partition(":")
        if name in memory:
            memory[name] = int(rest.split()[0]) * 1024
    return HostFigures(os.cpu_count() or 1, os.getloadavg()[0], memory["MemTotal"], memory["MemAvailable"])


def list_processes(who: Principal, status: Status) -> list[ProcessFigures]:
    """Return the engine, its children, and this web worker. Raises: ForbiddenError."""
    require_administrator(who)
    found = [_figures("web", "web", os.getpid())]
    if status.engine_running:
        found.insert(0, _figures("engine", "engine", status.engine_pid))
        for child in status.processes:
            cameras = tuple(str(slug) for slug in child.get("cameras", ()))
            found.append(
                _figures(
                    str(child["name"]),
                    str(child["kind"]),
                    int(child["pid"] or 0),
                    int(child["restarts"]),
                    cameras,
                )
            )
    return found


def _figures(
    name: str, kind: str, pid: int, restarts: int = 0, cameras: tuple[str, ...] = ()
) -> ProcessFigures:
    cpu_percent = memory_bytes = None
    try:
        # proc(5): the name of the program, in parentheses, may contain any character.
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        ticks = os.sysconf("SC_CLK_TCK")
        used_s, started_s = (int(fields[11]) + int(fields[12])) / ticks, int(fields[19]) / ticks
        uptime_s = float((PROC / "uptime").read_text().split()[0])
        cpu_percent = 100 * used_s / max(1.0, uptime_s - started_s)
        memory_bytes = int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        pass
    return ProcessFigures(name, kind, pid, restarts, cameras, cpu_percent, memory_bytes)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


@dataclass(frozen=True, slots=True)
class Package:
    """`licence`: as the package states it; "": it does not."""

    name: str
    version: str
    licence: str
    summary: str


def list_packages(who: Principal) -> list[Package]:
    """Return Ninjacam and the installed packages that it requires, with theirs. Raises: ForbiddenError."""
    require_administrator(who)
    return _packages()


@dataclass(frozen=True, slots=True)
class EffectiveSetting:
    """`key`: of `NINJACAM`. `value`: as text; never that of a secret. `is_set`: by the project or the environment."""

    key: str
    value: str
    is_set: bool


def list_settings(who: Principal) -> list[EffectiveSetting]:
    """Return all keys of `NINJACAM` with their effective values. Raises: ForbiddenError."""
    require_administrator(who)
    config, chosen = get_settings(), chosen_keys()
    return [
        EffectiveSetting(key, _setting_text(key, getattr(config, key.lower())), key in chosen)
        for key in (field.name.upper() for field in fields(config))
    ]


def _setting_text(key: str, value: object) -> str:
    if key in SECRET_SETTINGS:
        return _("%(count)s, not shown") % {"count": len(value) if isinstance(value, tuple) else 1}
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    if is_dataclass(value) and not isinstance(value, type):
        return ", ".join(f"{name}: {each}" for name, each in asdict(value).items() if each is not None)
    return str(value)


def list_problems(who: Principal) -> list[CheckMessage]:
    """Return what Ninjacam's system checks report, as in `manage.py check`. Raises: ForbiddenError."""
    require_administrator(who)
    ours = (check for check in registry.get_checks() if check.__module__ == "ninjacam.checks")
    return [message for check in ours for message in check(app_configs=None, databases=None)]


def platform_name() -> str:
    python = ".".join(map(str, sys.version_info[:3]))
    return f"Python {python} · Django {django.get_version()} · {platform.system()} {platform.machine()}"


@lru_cache(maxsize=1)
def _packages() -> list[Package]:
    found: dict[str, Package] = {}
    waiting = ["ninjacam"]
    while waiting:
        name = _normalized(waiting.pop())
        if name in found:
            continue
        try:
            package = metadata.distribution(name)
        except metadata.PackageNotFoundError:  # An extra that is not installed.
            continue
        info = package.metadata
        found[name] = Package(info["Name"], package.version, _licence(info), info["Summary"] or "")
        waiting += (_NAME.match(each)[0] for each in package.requires or () if _is_wanted(name, each))  # type: ignore[index] # a requirement begins with a name
    first, *others = found.values()
    return [first, *sorted(others, key=lambda each: each.name.lower())]


_NAME = re.compile(r"[A-Za-z0-9._-]+")


def _is_wanted(name: str, requirement: str) -> bool:
    """Return whether to list a requirement: of extras, only those of Ninjacam itself."""
    return name == "ninjacam" or "extra ==" not in requirement


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _licence(info: metadata.PackageMetadata) -> str:
    """Return the licence as an SPDX expression, in words, or from the classifiers, whichever is stated first."""
    for key in ("License-Expression", "License"):
        text = str(info[key] or "").strip() if key in info else ""
        if text and "\n" not in text and len(text) <= MAX_LICENCE_CHARS:
            return text
    classifiers: Iterable[str] = info.get_all("Classifier") or ()
    return ", ".join(each.rpartition(" :: ")[2] for each in classifiers if each.startswith("License ::"))
