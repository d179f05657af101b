"""axe-core on each page, in both themes: no violation of any level."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ninjacam.web.urls import urlpatterns
from tests.harness.cameras import FakeCamera
from tests.harness.chrome import CHROMIUM, Browser
from tests.harness.processes import ROOT
from tests.harness.server import Product

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
pytestmark = [
    pytest.mark.chromium,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt install chromium)."),
    pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed (make lint installs it)."),
]
SMALL = ("--size", "640x360", "--bitrate", "900000", "--gop", "25", "--gop-at-once")
WITHOUT_TEXT = {
    "language", "logout", "manifest", "service-worker", "certificate", "notifications-mute", "processors-choose",
}  # fmt: skip
"""Not pages."""
ELSEWHERE = {"login", "offline", "publish", "backtest"}
"""Pages that need no session, a link, or a finished backtest."""


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with FakeCamera(*SMALL) as camera, Product(tmp_path_factory.mktemp("axe"), workers=1) as product:
        product.add_camera("door", camera.url(), "--record", "always", "--processors", "motion")
        product.add_camera("phone", "push:")
        product.wait_for_state("door")
        product.client.post(
            "/api/v1/events", json_body={"camera": "door", "kind": "person", "label": "Visitor"}
        )
        yield product


def pages() -> dict[str, str]:
    """Return the path of each page by the name of its route. A new route must be here, or in a set above."""
    paths = {
        "replay": "/replay/?camera=door",
        "access": "/administration/access/?camera=door",
        "processor-options": "/cameras/door/options/motion/",
        "publish-keys": "/cameras/phone/publish-keys/",
        "user": "/administration/users/1/",
        "layout": "",
        "group": "",
    }
    for pattern in urlpatterns:
        if pattern.name and pattern.name not in {*paths, *WITHOUT_TEXT, *ELSEWHERE}:
            path = "/" + str(pattern.pattern).replace("<slug:slug>", "door")
            assert "<" not in path, f"add the page “{pattern.name}”"
            paths[pattern.name] = path
    return {name: path for name, path in paths.items() if path}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_page_has_a_violation(
    chromium: Browser, product: Product, theme: str, subtests: pytest.Subtests
) -> None:
    axe = Path(AXE).read_text()
    with chromium.tab() as tab:
        tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
        tab.call("Network.clearBrowserCookies")
        tab.navigate(product.url("/login/"))
        opened = {"login": "/login/", **pages(), "offline": "/offline/"}
        for name, path in opened.items():
            if name != "login":
                product.sign_in(tab)
                tab.navigate(product.url(path))
            tab.until("document.readyState === 'complete'")
            assert tab.js("location.pathname") == path.partition("?")[0], "another page was opened"
            tab.js(axe)
            found = tab.js(
                "axe.run(document).then(({ violations }) => violations.map((each) =>"
                " [each.id, each.nodes.map((node) => node.target.join(' ')).slice(0, 3)]))"
            )
            with subtests.test(page=name):
                assert found == [], f"{path}: {json.dumps(found)}"
