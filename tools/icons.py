"""Makes the icons of the installed application from icon.svg: `python -m tools.icons`. Needs Chromium.

The results are committed. Run it again only after a change of icon.svg.
"""

import base64
from pathlib import Path

from tests.harness.chrome import Tab, chromium

PAGES = Path(__file__).resolve().parents[1] / "src/ninjacam/static/ninjacam/pages"
GROUND = "#12181f"
BADGE = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="2 3 28 24"><path fill="#fff" fill-rule="evenodd" '
    'd="M4 9c4 3.5 20 3.5 24 0v11H4zM11 13.4a2.6 2.6 0 1 0 .01 0zM21 13.4a2.6 2.6 0 1 0 .01 0z"/></svg>'
)
"""One color and transparent, as the status bar of Android needs it."""


def draw(tab: Tab, svg: str, size_px: int, *, ground: str = "", share: float = 1.0) -> bytes:
    """Return a PNG. `ground`: fills the whole square. `share`: of the square that the image takes."""
    data = base64.b64encode(svg.encode()).decode()
    tab.call(
        "Emulation.setDeviceMetricsOverride", width=size_px, height=size_px, mobile=False, deviceScaleFactor=1
    )
    tab.call("Emulation.setDefaultBackgroundColorOverride", color={"r": 0, "g": 0, "b": 0, "a": 0})
    tab.js(
        f"""(async () => {{
          document.documentElement.style.background = document.body.style.background = {ground or "transparent"!r};
          document.body.style.margin = 0;
          const image = new Image();
          image.src = "data:image/svg+xml;base64,{data}";
          await image.decode();
          image.style = "position:fixed; width:{share * 100}%; height:{share * 100}%; inset:{(1 - share) * 50}%";
          document.body.replaceChildren(image);
        }})()"""
    )
    return tab.screenshot()


def main() -> None:
    svg = (PAGES / "icon.svg").read_text()
    with chromium() as browser, browser.tab() as tab:
        for name, drawn in {
            "icon-192.png": draw(tab, svg, 192),
            "icon-512.png": draw(tab, svg, 512),
            "icon-maskable-512.png": draw(tab, svg, 512, ground=GROUND, share=0.8),
            "icon-180.png": draw(tab, svg, 180, ground=GROUND),
            "icon-badge.png": draw(tab, BADGE, 96),
        }.items():
            (PAGES / name).write_bytes(drawn)
            print(name, len(drawn))


if __name__ == "__main__":
    main()
