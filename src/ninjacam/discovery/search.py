"""One search: sends queries, detects active addresses, inspects them, and reports devices as they appear.

All resources are released when `Search.run` returns, fails or is cancelled.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any, Literal

from ninjacam.core.errors import (
    ConfigError,
    ConnectionRefusedSourceError,
    LimitError,
    ProtocolError,
    SourceError,
)
from ninjacam.discovery import http, mdns, neighbours, ssdp, ws_discovery
from ninjacam.discovery.devices import MIN_CERTAINTY, Evidence, FoundDevice
from ninjacam.discovery.dialer import Dialer
from ninjacam.discovery.inbox import Inbox
from ninjacam.discovery.makers import BY_NAME, maker_of_mac
from ninjacam.discovery.networks import Attached, Scope, attached_networks, parse_network
from ninjacam.discovery.rtsp import expected_streams, inspect_rtsp
from ninjacam.discovery.xml_leaves import MAX_BYTES
from ninjacam.sources.urls import parse_url

DEFAULT_TIMEOUT_S = 8.0
MIN_TIMEOUT_S, MAX_TIMEOUT_S = 1.0, 30.0
MAX_DEVICES = 512
MAX_DESCRIPTIONS = 40
RTSP_PORTS = (554, 8554)
HTTP_PORTS = (80, 8080)
ESP32_PORT, DROIDCAM_PORT = 81, 4747
LISTEN_S = 3.0
"""Seconds to wait for responses. Devices delay them by up to 1 s; queries are repeated after 0.5 and 1.5 s.
"""
REPEAT_AFTER_S = (0.0, 0.5, 1.5)
SWEEP_BATCH, SWEEP_PAUSE_S = 8, 0.01
SWEEP_PER_SOCKET = 64
"""Maximum number of datagrams per socket. A datagram to an inactive address stays in the send buffer for 3 s, which
holds about 190."""
POLL_S = 0.2
PROGRESS_S = 0.5

Emit = Callable[[str, dict[str, Any]], None]
"""Called with the kind of an event, "progress" or "device", and its contents."""


@dataclass(frozen=True, slots=True)
class SearchConfig:
    """The options of a search. `network`: CIDR network to probe; "": only devices that announce themselves.
    `allowed_networks`: as in `SourceConfig`."""

    network: str = ""
    timeout_s: float = DEFAULT_TIMEOUT_S
    allowed_networks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raises: ConfigError."""
        if not MIN_TIMEOUT_S <= self.timeout_s <= MAX_TIMEOUT_S:
            raise ConfigError(f"The time limit must be from {MIN_TIMEOUT_S:g} to {MAX_TIMEOUT_S:g} seconds.")
        if self.network:
            parse_network(self.network)


@dataclass(frozen=True, slots=True)
class World:
    """The interface of a search to this host. Tests replace it."""

    attached: Callable[[], list[Attached]] = attached_networks
    neighbours: Callable[[], dict[str, str]] = neighbours.read_neighbours
    rtsp_ports: tuple[int, ...] = RTSP_PORTS
    http_ports: tuple[int, ...] = HTTP_PORTS
    probe_port: int = ws_discovery.PORT


@dataclass(slots=True)
class _Host:
    """An active address. `mac`: "" if unknown, because its network is not attached."""

    mac: str = ""


class Search:
    """One search. Call `run` once."""

    def __init__(self, config: SearchConfig, emit: Emit, world: World | None = None) -> None:
        """Raises: ConfigError."""
        self._config = config
        self._emit = emit
        self._world = world or World()
        named = parse_network(config.network) if config.network else None
        self._scope = Scope(self._world.attached(), named, config.allowed_networks)
        self._dialer = Dialer(self._scope)
        self._inbox = Inbox(self._scope, self._note, self._note_description)
        self._devices: dict[str, FoundDevice] = {}
        self._hosts: dict[str, _Host] = {}
        self._described: set[str] = set()
        self._inspections: set[asyncio.Task[None]] = set()
        self._tasks: asyncio.TaskGroup | None = None
        self._inspected: set[str] = set()
        """Addresses whose inspection has begun."""
        self._asked: set[tuple[str, int]] = set()
        self._checked = 0

    async def run(self) -> dict[str, Any]:
        """Search, and return {"found", "connections", "is_complete"}. `is_complete`: not stopped by the time limit."""
        is_complete = True
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        progress = loop.create_task(self._report_progress(started_s), name="discovery-progress")
        try:
            async with asyncio.timeout(self._config.timeout_s):
                await self._search()
        except TimeoutError:
            is_complete = False
        finally:
            progress.cancel()
            self._inbox.close()
            await asyncio.gather(progress, return_exceptions=True)
        for device in self._devices.values():
            if not device.is_final:
                self._finish(device)
        found = sum(device.certainty >= MIN_CERTAINTY for device in self._devices.values())
        return {"found": found, "connections": self._dialer.opened, "is_complete": is_complete}

    async def _search(self) -> None:
        loop = asyncio.get_running_loop()
        ends_s = loop.time() + LISTEN_S
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            tasks.create_task(self._ask_all(), name="discovery-multicast")
            if self._scope.named is not None:
                await self._sweep()
            while loop.time() < ends_s:
                self._take_neighbours()
                await asyncio.sleep(POLL_S)
            self._take_neighbours()
            while self._inspections:  # An inspection may find further addresses.
                await asyncio.wait(set(self._inspections))

    # Queries

    async def _ask_all(self) -> None:
        """Send queries on each attached network, by multicast, several times because datagrams may be lost."""
        loop = asyncio.get_running_loop()
        outs: list[asyncio.DatagramTransport] = []
        for attached in self._scope.attached:
            with contextlib.suppress(OSError):  # The interface has just been removed.
                out, _ = await loop.create_datagram_endpoint(lambda: self._inbox, sock=_multicaster(attached))
                outs.append(out)
        started_s = loop.time()
        for after_s in REPEAT_AFTER_S:
            await asyncio.sleep(max(0.0, started_s + after_s - loop.time()))
            for out in outs:
                for kind in ws_discovery.TYPES:
                    out.sendto(ws_discovery.format_probe(kind), ws_discovery.GROUP)
                out.sendto(ssdp.format_search(), ssdp.GROUP)
                out.sendto(mdns.format_query(), mdns.GROUP)

    async def _sweep(self) -> None:
        """Send a Probe to each address: ONVIF devices respond, and the kernel's neighbour table lists the active
        addresses."""
        loop = asyncio.get_running_loop()
        hosts = self._scope.hosts()
        for at in range(0, len(hosts), SWEEP_BATCH):
            if at % SWEEP_PER_SOCKET == 0:
                out, _ = await loop.create_datagram_endpoint(lambda: self._inbox, family=socket.AF_INET)
            for address in hosts[at : at + SWEEP_BATCH]:
                out.sendto(ws_discovery.format_probe(), (str(address), self._world.probe_port))
            await asyncio.sleep(SWEEP_PAUSE_S)
            self._take_neighbours()
        for address in hosts:
            if not self._scope.is_attached(address):
                self._start(self._inspect_routed(str(address)))

    def _take_neighbours(self) -> None:
        for address, mac in self._world.neighbours().items():
            if address in self._hosts and self._hosts[address].mac:
                continue
            if not self._scope.allows(address):
                continue
            evidence = neighbours.evidence_of(address, mac)
            self._alive(address, mac)
            if evidence is not None:
                self._note(evidence)
            if self._is_named(address) or maker_of_mac(mac)[0] == "camera":
                self._inspect(address)

    # Evidence

    def _note(self, evidence: Evidence) -> None:
        device = self._devices.get(evidence.address)
        if device is None:
            if len(self._devices) >= MAX_DEVICES:
                return
            device = self._devices[evidence.address] = FoundDevice(evidence.address)
        if not device.add(evidence):
            return
        if device.certainty >= MIN_CERTAINTY:
            self._emit("device", device.as_dict())
        if evidence.origin in ("onvif", "mdns", "ssdp"):
            self._alive(evidence.address)
            self._inspect(evidence.address)
            if evidence.origin == "mdns" and evidence.port:
                self._start(self._inspect_rtsp(evidence.address, evidence.port))

    def _note_description(self, url: str, address: str) -> None:
        if url not in self._described and len(self._described) < MAX_DESCRIPTIONS:
            self._described.add(url)
            self._start(self._read_description(url, address))

    def _alive(self, address: str, mac: str = "") -> _Host:
        host = self._hosts.setdefault(address, _Host())
        host.mac = host.mac or mac
        return host

    def _is_named(self, address: str) -> bool:
        return self._scope.named is not None and IPv4Address(address) in self._scope.named

    # Inspections

    def _start(self, inspection: Coroutine[Any, Any, None]) -> None:
        assert self._tasks is not None
        task = self._tasks.create_task(inspection)
        self._inspections.add(task)
        task.add_done_callback(self._inspections.discard)

    def _inspect(self, address: str) -> None:
        """Inspect an address, once."""
        if address not in self._inspected and len(self._inspected) < MAX_DEVICES:
            self._inspected.add(address)
            self._start(self._inspect_host(address))

    async def _inspect_host(self, address: str) -> None:
        await asyncio.gather(
            *(self._inspect_rtsp(address, port) for port in self._world.rtsp_ports),
            *(self._inspect_http(address, port) for port in self._world.http_ports),
        )
        kind, mac_maker = maker_of_mac(self._hosts[address].mac)
        further = []
        if kind == "phone" or not self._hosts[address].mac:
            further.append(self._inspect_http(address, DROIDCAM_PORT))
        if mac_maker == "Espressif":
            further.append(self._inspect_http(address, ESP32_PORT))
        maker = BY_NAME.get(self._maker(address))
        further += [self._inspect_rtsp(address, port) for port in (maker.ports if maker is not None else ())]
        await asyncio.gather(*further)
        self._checked += 1
        if address in self._devices:
            self._finish(self._devices[address])

    async def _inspect_rtsp(self, address: str, port: int) -> None:
        if (address, port) in self._asked:
            return
        self._asked.add((address, port))
        evidence = await inspect_rtsp(self._dialer, address, port, self._maker(address))
        if evidence is not None:
            self._note(evidence)

    async def _inspect_http(self, address: str, port: int) -> None:
        evidence = await http.inspect_http(self._dialer, address, port)
        if evidence is not None:
            self._note(evidence)

    async def _inspect_routed(self, address: str) -> None:
        """Inspect an address outside the attached networks, if it accepts or refuses a connection."""
        try:
            async with self._dialer.connect(asyncio.Protocol, address, self._world.rtsp_ports[0]):
                pass
        except ConnectionRefusedSourceError:
            pass
        except (SourceError, LimitError):
            return
        self._alive(address)
        self._inspect(address)

    async def _read_description(self, url: str, address: str) -> None:
        target = parse_url(url)
        page = await http.read_page(self._dialer, address, target.port, target.path, max_body_bytes=MAX_BYTES)
        if page is not None and page.status == 200:
            with contextlib.suppress(ProtocolError):
                evidence = ssdp.parse_description(page.body, address)
                if evidence is not None:
                    self._note(evidence)

    def _maker(self, address: str) -> str:
        return self._devices[address].text("maker") if address in self._devices else ""

    def _finish(self, device: FoundDevice) -> None:
        """Add the maker's usual streams, if the device has not described its own, and report the device."""
        device.is_final = True
        maker = BY_NAME.get(device.text("maker"))
        if maker is not None and not any(stream.state != "guess" for stream in device.streams):
            state: Literal["locked", "guess"] = "locked" if device.needs_password else "guess"
            streams = expected_streams(device.address, 554, maker, state)
            device.add(Evidence(device.address, "rtsp", "maker_paths", streams=streams))
        if device.certainty >= MIN_CERTAINTY:
            self._emit("device", device.as_dict())

    # Progress

    async def _report_progress(self, started_s: float) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._emit(
                "progress",
                {
                    "elapsed_s": round(loop.time() - started_s, 1),
                    "timeout_s": self._config.timeout_s,
                    "alive": len(self._hosts),
                    "inspected": self._checked,
                    "to_inspect": len(self._inspected),
                    "connections": self._dialer.opened,
                },
            )
            await asyncio.sleep(PROGRESS_S)


def _multicaster(attached: Attached) -> socket.socket:
    """Return a socket that sends multicast on this interface only. Raises: OSError."""
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        out.setblocking(False)
        out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
        own = attached.interface.ip
        out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, own.packed)
        out.bind((str(own), 0))
    except OSError:
        out.close()
        raise
    return out
