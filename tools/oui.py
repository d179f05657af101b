"""Writes the table of MAC address prefixes of camera and phone makers, `src/ninjacam/discovery/oui.txt`.

  npm pack oui-data && tar xzf oui-data-*.tgz
  python -m tools.oui package/index.json "IEEE MA-L registry, by npm oui-data 2.1.9 of 2026-08-26"

Only prefixes of 24 bits. The first line of the result names the source; each other line is a kind, a maker, and its
prefixes: hexadecimal, six digits each, without separators.
"""

import json
import re
import sys
from pathlib import Path

TARGET = Path(__file__).parents[1] / "src" / "ninjacam" / "discovery" / "oui.txt"
MAKERS = (
    ("camera", "Hikvision", r"hikvision"),
    ("camera", "EZVIZ", r"ezviz"),
    ("camera", "Dahua", r"zhejiang dahua|dahua technology"),
    ("camera", "Axis", r"^axis communications"),
    ("camera", "Reolink", r"^reolink"),
    ("camera", "Amcrest", r"^amcrest"),
    ("camera", "Hanwha", r"^hanwha (vision|techwin)|^samsung techwin"),
    ("camera", "Bosch", r"^bosch security"),
    ("camera", "Vivotek", r"^vivotek"),
    ("camera", "Uniview", r"uniview technologies"),
    ("camera", "Tiandy", r"^tiandy"),
    ("camera", "TVT", r"^(shenzhen )?tvt\b"),
    ("camera", "Milesight", r"milesight"),
    ("camera", "Mobotix", r"^mobotix"),
    ("camera", "GeoVision", r"^geovision"),
    ("camera", "i-PRO", r"^i-pro"),
    ("camera", "ACTi", r"^acti corp"),
    ("camera", "Avigilon", r"^avigilon"),
    ("camera", "Lorex", r"^lorex"),
    ("camera", "Arlo", r"^arlo tech"),
    ("camera", "Wyze", r"^wyze"),
    ("camera", "Ring", r"^ring (llc|solutions)"),
    ("camera", "Blink", r"^blink by"),
    ("camera", "Nest", r"^nest labs"),
    ("camera", "Netatmo", r"^netatmo"),
    ("mixed", "TP-Link", r"^tp-link"),
    ("mixed", "Ubiquiti", r"^ubiquiti"),
    ("mixed", "D-Link", r"^d-link"),
    ("mixed", "Espressif", r"^espressif"),
    ("mixed", "Raspberry Pi", r"^raspberry pi"),
    ("phone", "Apple", r"^apple, inc"),
    ("phone", "Samsung", r"^samsung electronics( co)?[., ]*(ltd)?"),
    ("phone", "Google", r"^google, inc"),
    ("phone", "Xiaomi", r"^(beijing )?xiaomi (communications|mobile)"),
    ("phone", "Huawei", r"^huawei device"),
    ("phone", "Honor", r"^honor device"),
    ("phone", "OPPO", r"^guangdong oppo"),
    ("phone", "vivo", r"^vivo mobile"),
    ("phone", "realme", r"^realme"),
    ("phone", "OnePlus", r"^oneplus"),
    ("phone", "Motorola", r"^motorola mobility"),
    ("phone", "Nokia", r"^hmd global"),
    ("phone", "LG", r"^lg electronics \(mobile"),
    ("phone", "Nothing", r"^nothing technology"),
    ("phone", "Fairphone", r"^fairphone"),
)
"""(kind, name, pattern of the registered name). `mixed`: makers whose other products are more frequent than cameras."""


def main() -> int:
    registry: dict[str, str] = json.loads(Path(sys.argv[1]).read_text())
    lines = [f"# {sys.argv[2]}"]
    for kind, name, pattern in MAKERS:
        prefixes = sorted(
            prefix
            for prefix, entry in registry.items()
            if len(prefix) == 6 and re.search(pattern, entry.partition("\n")[0], re.IGNORECASE)
        )
        if not prefixes:
            print(f"No prefix of {name}.", file=sys.stderr)
            return 1
        lines.append(f"{kind}\t{name}\t{''.join(prefixes)}")
    TARGET.write_text("\n".join(lines) + "\n")
    print(f"{TARGET.name}: {TARGET.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
