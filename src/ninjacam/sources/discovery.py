"""Finds cameras in the local network by WS-Discovery (ONVIF) or by their open ports.

Bounded in time, number and reach: multicast stays in the local network, and ports are scanned only in a private
network of at most 256 addresses that the user names. Responses are untrusted: their text is truncated and never
parsed as XML.
"""

import asyncio
import re
import socket
import time
import uuid
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_network
from urllib.parse import unquote

from ninjacam.core.errors import ConfigError

WS_DISCOVERY = ("239.255.255.250", 3702)  # WS-Discovery 1.1, section 3.1.1
PORTS = (554, 8554, 8080)
_MAX_ANSWERS = 256
_AT_ONCE = 64
_CONNECT_TIMEOUT_S = 0.7

_PROBE = """<?xml version="1.0" encoding="utf-8"?>
<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope" xmlns:w="http://schemas.xmlsoap.org/ws/2004/08/addressing"
 xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery" xmlns:dn="http://www.onvif.org/ver10/network/wsdl"><e:Header>
<w:MessageID>uuid:{id}</w:MessageID><w:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</w:To>
<w:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</w:Action></e:Header><e:Body><d:Probe>
<d:Types>dn:NetworkVideoTransmitter</d:Types></d:Probe></e:Body></e:Envelope>"""
_NAME = re.compile(r"onvif://www\.onvif\.org/(?:name|hardware)/([^\s<]{1,80})", re.IGNORECASE)
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")


@dataclass(frozen=True, slots=True)
class Candidate:
    """`how`: "onvif", "rtsp" or "http". `name`: as reported by the device, printable, or empty."""

    host: str
    port: int
    how: str
    name: str = ""

    @property
    def suggestion(self) -> str:
        if self.how == "http":
            return f"http://{self.host}:{self.port}/video"
        return f"rtsp://{self.host}/" if self.port == 554 else f"rtsp://{self.host}:{self.port}/"


def discover_onvif(timeout_s: float = 3.0, *, target: tuple[str, int] = WS_DISCOVERY) -> list[Candidate]:
    """Return devices that respond within `timeout_s`. Raises: ConfigError: this host has no network for it."""
    found: dict[str, Candidate] = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
        try:
            asker.sendto(_PROBE.format(id=uuid.uuid4()).encode(), target)
        except OSError as error:
            raise ConfigError(f"This host cannot search its network: {error.strerror}.") from error
        deadline_s = time.monotonic() + timeout_s
        while len(found) < _MAX_ANSWERS and (left_s := deadline_s - time.monotonic()) > 0:
            asker.settimeout(left_s)
            try:
                answer, (host, *_) = asker.recvfrom(65_535)
            except TimeoutError:
                break
            text = answer.decode("utf-8", "replace")
            if "ProbeMatch" in text:
                names = dict.fromkeys(_UNPRINTABLE.sub("", unquote(name)) for name in _NAME.findall(text)[:4])
                found[host] = Candidate(host, 554, "onvif", " ".join(names))
    return sorted(found.values(), key=lambda candidate: socket.inet_aton(candidate.host))


def private_network(text: str) -> IPv4Network:
    """Raises: ConfigError: malformed, not private, or of more than 256 addresses."""
    try:
        network = ip_network(text, strict=False)
    except ValueError as error:
        raise ConfigError(f"{text!r} is not a network. Write it as 192.168.1.0/24.") from error
    if not isinstance(network, IPv4Network) or not network.is_private or network.is_link_local:
        raise ConfigError("Only private IPv4 networks can be searched, such as 192.168.1.0/24.")
    if network.prefixlen < 24:
        raise ConfigError("At most 256 addresses can be searched. Write /24 or a longer prefix.")
    return network


def discover_ports(network: IPv4Network, ports: tuple[int, ...] = PORTS) -> list[Candidate]:
    """Return hosts that speak RTSP or HTTP on one of `ports`; about 10 s for 256 addresses."""
    return asyncio.run(_discover_ports(network, ports))


async def _discover_ports(network: IPv4Network, ports: tuple[int, ...]) -> list[Candidate]:
    gate = asyncio.Semaphore(_AT_ONCE)

    async def ask(host: str, port: int) -> Candidate | None:
        async with gate:
            return await _ask(host, port)

    addresses = list(network.hosts()) or [network.network_address]
    answers = await asyncio.gather(*(ask(str(address), port) for address in addresses for port in ports))
    return [answer for answer in answers if answer is not None]


async def _ask(host: str, port: int) -> Candidate | None:
    writer = None
    try:
        async with asyncio.timeout(_CONNECT_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(host, port)
            if port == 8080:
                return Candidate(host, port, "http")
            writer.write(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")
            is_rtsp = (await reader.read(64)).startswith(b"RTSP/")
            return Candidate(host, port, "rtsp") if is_rtsp else None
    except OSError:  # Includes TimeoutError.
        return None
    finally:
        if writer is not None:
            writer.close()
