"""Measure the duration and the connections of a search that finds twenty simulated devices in a /24.

Half of the devices are ONVIF cameras, five have RTSP only, two are phones, and three accept connections but never
answer. The search runs without any capability; the network consists of kernel namespaces.
"""

import json
import subprocess
import time
from typing import Any

from benchmarks.stage import Figures, Plan
from tests.harness import lan
from tests.harness.lan import LanDevice, active_opens, own_network, without_privileges
from tests.harness.processes import ROOT, python

_SCOPES = (
    "onvif://www.onvif.org/name/Cam%d onvif://www.onvif.org/hardware/DS-2CD2042 "
    "onvif://www.onvif.org/type/video_encoder"
)
DEVICES = (
    *(LanDevice(f"10.9.0.{10 + n}", f"44:19:b6:00:00:{n:02x}", "onvif", _SCOPES % n) for n in range(10)),
    *(LanDevice(f"10.9.0.{100 + n}", f"00:11:22:00:01:{n:02x}", "rtsp") for n in range(3)),
    *(LanDevice(f"10.9.0.{150 + n}", f"08:ed:ed:00:02:{n:02x}", "locked") for n in range(2)),
    LanDevice("10.9.0.200", "f0:5c:77:00:03:00", "webcam"),
    LanDevice("10.9.0.201", "02:11:22:00:03:01", "droidcam"),
    *(LanDevice(f"10.9.0.{250 + n}", f"00:40:8c:00:04:{n:02x}", "silent") for n in range(3)),
)
SILENT = tuple(device for device in DEVICES if device.kind == "silent")


def missing() -> str:
    return lan.missing()


def measure_search(timeout_s: float) -> dict[str, Any]:
    """Return the figures of a search.

    "seconds": since the start of the process; "connections": as counted by the search; "active_opens": as counted by
    the kernel; "devices": {address: (kind, certainty)}.
    """
    with own_network(), lan.lan(DEVICES):
        started_s = time.monotonic()
        with subprocess.Popen(
            without_privileges(python("-m", "ninjacam.discovery")),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps({"network": lan.NETWORK, "timeout_s": timeout_s}) + "\n")
            process.stdin.flush()
            events = [json.loads(line) for line in process.stdout]
        seconds = time.monotonic() - started_s
        opened = active_opens()
    assert events, "the search printed nothing"
    assert events[-1]["event"] == "done", events[-1]
    devices = {
        event["address"]: (event["kind"], event["certainty"])
        for event in events
        if event["event"] == "device"
    }
    return {
        "seconds": seconds,
        "is_complete": events[-1]["is_complete"],
        "connections": events[-1]["connections"],
        "active_opens": opened,
        "devices": devices,
    }


def measure_discovery(plan: Plan) -> Figures:
    found = measure_search(timeout_s=8)
    return {
        "seconds": found["seconds"],
        "connections": found["active_opens"],
        "found": len(found["devices"]),
        "is_complete": found["is_complete"],
    }
