"""Measure the latency from the camera's sending to the drawn pixels in headless Chromium, on the camera's page."""

from benchmarks.loadclient import percentile
from benchmarks.stage import CAMERA, VIEW, Figures, Stage, loop_of
from tests.harness.chrome import CHROMIUM, Browser, Tab

_PLAYER = "document.querySelector('ninjacam-player')"
_RUNGS = (("webcodecs", "webcodecs", ""), ("mse", "mse", ""), ("overlay", "webcodecs", VIEW))
"""Name of the figure, playback method, view."""


def missing() -> str:
    """Return the reason why it cannot be measured; empty if it can."""
    return "" if CHROMIUM else "Chromium is not installed"


def measure_chromium(stage: Stage) -> Figures:
    product, plan = stage.product, stage.plan
    figures: Figures = {}
    with Browser() as browser, browser.tab() as tab:
        product.sign_in(tab)
        tab.navigate(product.url(f"/cameras/{CAMERA}/"))
        tab.until(f"{_PLAYER}?.stats", 15)
        for name, rung, view in _RUNGS:
            figures[name] = _latency(
                tab, rung, view, plan.warm_up_s, plan.browser_window_s, loop_of(stage.camera)
            )
    return figures


def _latency(tab: Tab, rung: str, view: str, warm_up_s: float, seconds: float, loop: int) -> Figures:
    """Return the latency, read from the canvas or video in every animation frame.

    Each frame counts as displayed when the page could read it, which is the latest time at which it became visible.
    """
    tab.js(f"{_PLAYER}.setAttribute('view', '{view}'), {_PLAYER}.setAttribute('format', '{rung}')")
    tab.until(f"{_PLAYER}.stats.rung === '{rung}' && {_PLAYER}.stats.framesPainted > 0", 15)
    tab.wait_for_stamp("ninjacam-player")
    tab.sample_stamps("ninjacam-player", warm_up_s)
    samples = tab.sample_stamps("ninjacam-player", seconds)
    delays = [sample.latency_ms(loop=loop) for sample in samples]
    return {
        "rung": tab.js(f"{_PLAYER}.stats.rung"),
        "p50_ms": percentile(delays, 0.5),
        "p95_ms": percentile(delays, 0.95),
        "fps": len(samples) / seconds,
        "size": [samples[-1].width_px, samples[-1].height_px] if samples else None,
        "player_ms": tab.js(f"{_PLAYER}.stats.latencyMs"),
    }
