import asyncio
import socket
import threading
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

import pytest

from ninjacam.core.errors import ConfigError
from ninjacam.sources.discovery import Candidate, discover_onvif, discover_ports, private_network

ANSWER = (
    "<e:Envelope><d:ProbeMatches><d:ProbeMatch><d:Scopes>onvif://www.onvif.org/name/Front%20Cam\x1b[2J "
    "onvif://www.onvif.org/hardware/X1</d:Scopes></d:ProbeMatch></d:ProbeMatches></e:Envelope>"
)


@pytest.fixture
def device() -> Iterator[tuple[str, int]]:
    """Answers one probe, after some noise."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as responder:
        responder.bind(("127.0.0.1", 0))
        responder.settimeout(5)

        def answer() -> None:
            question, asker = responder.recvfrom(65_535)
            assert b"NetworkVideoTransmitter" in question
            responder.sendto(b"\xff\x00 noise", asker)
            responder.sendto(ANSWER.encode(), asker)

        thread = threading.Thread(target=answer, name="ws-discovery-device")
        thread.start()
        yield responder.getsockname()
        thread.join()


def test_a_device_is_found_and_its_name_is_harmless(device: tuple[str, int]) -> None:
    assert discover_onvif(0.3, target=device) == [Candidate("127.0.0.1", 554, "onvif", "Front Cam[2J X1")]


def test_ports_that_speak_rtsp_are_found() -> None:
    async def main() -> list[Candidate]:
        async def rtsp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readline()
            writer.write(b"RTSP/1.0 200 OK\r\n\r\n")
            writer.close()

        async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"SSH-2.0-x\r\n")
            writer.close()

        servers = [await asyncio.start_server(kind, "127.0.0.1", 0) for kind in (rtsp, other)]
        ports = tuple(server.sockets[0].getsockname()[1] for server in servers)
        network: Any = ip_network("127.0.0.1/32")
        found = await asyncio.to_thread(discover_ports, network, ports)
        for server in servers:
            server.close()
        assert [candidate.port for candidate in found] == [ports[0]]
        return found

    found = asyncio.run(main())
    assert found[0].how == "rtsp" and found[0].suggestion == f"rtsp://127.0.0.1:{found[0].port}/"


@pytest.mark.parametrize(
    "text", ["8.8.8.0/24", "10.0.0.0/8", "192.168.0.0/23", "169.254.0.0/24", "::1/128", "x", ""]
)
def test_only_small_private_networks_are_searched(text: str) -> None:
    with pytest.raises(ConfigError):
        private_network(text)
