"""The kernel's neighbour table, which any user may read: the active hosts of the attached networks."""

import re
from pathlib import Path

from ninjacam.discovery.devices import Evidence
from ninjacam.discovery.makers import maker_of_mac

TABLE = Path("/proc/net/arp")
MAX_LINES = 4_096
_COMPLETE = 0x2
_LINE = re.compile(
    r"(\d+(?:\.\d+){3})\s+0x[0-9a-f]+\s+0x([0-9a-f]+)\s+((?:[0-9a-f]{2}:){5}[0-9a-f]{2})\s", re.IGNORECASE
)


def parse_neighbours(text: str) -> dict[str, str]:
    """Return the MAC address of each complete entry, by IPv4 address. Format: arp(7), /proc/net/arp."""
    found: dict[str, str] = {}
    for line in text.splitlines()[1 : MAX_LINES + 1]:
        match = _LINE.match(line)
        if match and int(match[2], 16) & _COMPLETE and match[3] != "00:00:00:00:00:00":
            found[match[1]] = match[3].lower()
    return found


def read_neighbours() -> dict[str, str]:
    """Return `parse_neighbours` of this host's table; empty if there is none."""
    try:
        return parse_neighbours(TABLE.read_text("ascii", "replace"))
    except OSError:
        return {}


def evidence_of(address: str, mac: str) -> Evidence | None:
    """Return the evidence of the network card's manufacturer; None: there is none."""
    kind, maker = maker_of_mac(mac)
    if kind == "camera":
        return Evidence(address, "neighbour", "mac_camera", kind="camera", maker=maker, mac=mac)
    if kind == "mixed":
        return Evidence(address, "neighbour", "mac_mixed", maker=maker, mac=mac)
    if kind == "phone" and maker:
        return Evidence(address, "neighbour", "mac_phone", kind="phone", maker=maker, mac=mac)
    return None
