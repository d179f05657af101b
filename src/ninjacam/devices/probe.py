"""`python -m ninjacam.devices.probe`: describe a device once, before its camera is saved.

A separate process, because it parses data of an unknown device. Reads {"device": {...SourceConfig}} as JSON from
standard input (never from arguments, which every user can read) and prints one JSON line: {"ok", "error", "device"}.
"""

import asyncio
import json
import sys
from dataclasses import asdict
from typing import Any

from ninjacam.core.errors import NinjacamError
from ninjacam.core.limits import confine, die_with_named_parent, keep_files_private
from ninjacam.devices.description import DeviceDescription
from ninjacam.devices.registry import open_device
from ninjacam.sources.base import SourceConfig, source_from

MEMORY_BYTES = 1 << 30


async def _describe(config: SourceConfig) -> DeviceDescription:
    device = open_device(config)
    try:
        return await device.describe()
    finally:
        device.close()


def main() -> None:
    die_with_named_parent()
    keep_files_private()
    confine(memory_bytes=MEMORY_BYTES)
    answer: dict[str, Any]
    try:
        found = asyncio.run(_describe(source_from(json.load(sys.stdin)["device"])))
        answer = {"ok": True, "error": None, "device": asdict(found)}
    except NinjacamError as exc:
        answer = {"ok": False, "error": exc.as_dict(), "device": None}
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
