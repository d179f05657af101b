"""Thousands of viewers that connect and disconnect."""

from pathlib import Path

from tests.integration.live_harness import Engine, prepare_site, running_server
from tests.integration.test_live_viewers import grown_by


def test_memory_stays_flat_over_thousands_of_short_lived_viewers(tmp_path: Path) -> None:
    site = prepare_site(tmp_path)
    with (
        Engine(site.directory / "run", unit_bytes=60_000, jpeg_bytes=66_000),
        running_server(site, SEND_TIMEOUT_S=3) as server,
    ):
        assert grown_by(site, server, 3000) < 0.05
