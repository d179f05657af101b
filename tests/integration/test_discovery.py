"""A search of a simulated network with twenty devices, without privileges, as the kernel sees it."""

import pytest

from benchmarks.discovery import DEVICES, SILENT, measure_search
from tests.harness import lan

pytestmark = pytest.mark.skipif(bool(lan.missing()), reason=lan.missing() or "network namespaces")


@pytest.fixture(scope="module")
def figures() -> dict[str, object]:
    return measure_search(timeout_s=30)


def test_twenty_devices_are_found_with_few_connections_and_without_root(figures: dict[str, object]) -> None:
    found = figures["devices"]
    assert isinstance(found, dict)
    assert set(found) == {device.address for device in DEVICES}
    for device in DEVICES:
        kind, word = found[device.address]
        expected = "phone" if device.kind in ("webcam", "droidcam") else "camera"
        assert kind == expected or device in SILENT, device
        assert (word < 0.6) == (device in SILENT), device
    connections = figures["connections"]
    assert isinstance(connections, int) and 0 < connections <= 300
    assert figures["active_opens"] == connections
