"""Simulated devices of a local network, in a namespace of their own: `python -m tests.harness.lan_devices`.

Prints "begun", reads a list of `LanDevice` as JSON when the interface v1 has been moved here, and prints "ready". Each
device has an interface with its own MAC address. Kinds:
  onvif     answers WS-Discovery; RTSP asks for a password
  rtsp      RTSP without a password, at one path
  locked    RTSP asks for a password, with the realm of its maker
  webcam    a phone with the app IP Webcam, on port 8080
  droidcam  a phone with the app DroidCam, on port 4747
  mdns      announces itself by DNS-SD
  upnp      announces itself by SSDP
  silent    accepts connections and never answers
"""

import asyncio
import json
import socket
import struct
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

SDP = (
    b"v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
    b"a=fmtp:96 packetization-mode=1;sprop-parameter-sets=Z0LAHtoCgL/lwFqAgICgAAADACAAAAZR4sXU,aM4PyA==\r\n"
    b"a=control:track1\r\n"
)
REALMS = {
    "44:19:b6": "IP Camera(C2189)",
    "08:ed:ed": "Login to 4H01D66PAJ2FA64",
    "ec:71:db": "BC Streaming Media",
}
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def ip(*commands: str) -> None:
    subprocess.run(["ip", "-batch", "-"], input="\n".join(commands), text=True, check=True)


def rtsp(path: str, realm: str) -> Serve:
    """`path`: the only one with a stream. `realm`: asks for a password; empty: it does not."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            method, uri, _ = head.split(b"\r\n")[0].decode().split(" ", 2)
            cseq = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"cseq"))
            asked = "/" + uri.partition("://")[2].partition("/")[2]
            if method == "OPTIONS":
                answer = b"200 OK\r\nPublic: OPTIONS, DESCRIBE, SETUP, PLAY"
            elif realm:
                answer = f'401 Unauthorized\r\nWWW-Authenticate: Digest realm="{realm}", nonce="1"'.encode()
            elif asked == path:
                answer = b"200 OK\r\nContent-Type: application/sdp\r\nContent-Length: %d" % len(SDP)
            else:
                answer = b"404 Not Found"
            writer.write(b"RTSP/1.0 " + answer + b"\r\n" + cseq + b"\r\n\r\n")
            if answer.startswith(b"200") and method == "DESCRIBE":
                writer.write(SDP)

    return serve


async def webcam(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    path = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1]
    if path == b"/video":
        writer.write(b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=b\r\n\r\n--b\r\n")
        await asyncio.sleep(60)
    writer.write(b"HTTP/1.0 200 OK\r\nServer: IP Webcam Server 0.4\r\n\r\n<title>IP Webcam</title>")
    writer.close()


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


def description(address: str) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.0 200 OK\r\n\r\n<root><device><friendlyName>Yard</friendlyName><manufacturer>Axis"
            b"</manufacturer><modelName>Network Camera M3045</modelName></device></root>"
        )
        writer.close()

    return serve


class Responder(asyncio.DatagramProtocol):
    def __init__(self, answer: Callable[[bytes], bytes | None]) -> None:
        self._answer = answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = self._answer(data)
        if answer is not None:
            self._transport.sendto(answer, addr)


def probe_matches(device: dict[str, str]) -> Callable[[bytes], bytes | None]:
    answer = (
        '<?xml version="1.0"?><e:Envelope xmlns:e="e" xmlns:d="d" xmlns:a="a"><e:Body><d:ProbeMatches>'
        "<d:ProbeMatch><a:EndpointReference><a:Address>urn:uuid:1</a:Address></a:EndpointReference>"
        "<d:Types>dn:NetworkVideoTransmitter tds:Device</d:Types>"
        f"<d:Scopes>{device['scopes']}</d:Scopes><d:XAddrs>http://{device['address']}/onvif/device_service"
        "</d:XAddrs></d:ProbeMatch></d:ProbeMatches></e:Body></e:Envelope>"
    ).encode()
    return lambda data: answer if b"NetworkVideoTransmitter" in data else None


def announce(address: str) -> Callable[[bytes], bytes | None]:
    def name(*labels: bytes) -> bytes:
        return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"

    service = (b"_rtsp", b"_tcp", b"local")
    instance, host = name(b"Garden", *service), name(b"garden-cam", b"local")

    def record(owner: bytes, kind: int, data: bytes) -> bytes:
        return owner + struct.pack(">HHIH", kind, 1, 10, len(data)) + data

    answer = (
        struct.pack(">6H", 0, 0x8400, 0, 1, 0, 2)
        + record(name(*service), 12, instance)
        + record(instance, 33, struct.pack(">3H", 0, 0, 8554) + host)
        + record(host, 1, socket.inet_aton(address))
    )
    return lambda data: answer if b"_rtsp" in data else None


def locate(address: str) -> Callable[[bytes], bytes | None]:
    answer = (
        f"HTTP/1.1 200 OK\r\nLOCATION: http://{address}:49152/d.xml\r\nST: upnp:rootdevice\r\n\r\n".encode()
    )
    return lambda data: answer if data.startswith(b"M-SEARCH") else None


def bound(
    interface: str, kind: socket.SocketKind, port: int, group: str = "", address: str = ""
) -> socket.socket:
    """Return a socket that receives only from this device's interface."""
    made = socket.socket(socket.AF_INET, kind)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
    made.bind(("0.0.0.0", port))
    if group:
        member = socket.inet_aton(group) + socket.inet_aton(address)
        made.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
    made.setblocking(False)
    return made


async def serve(device: dict[str, str], interface: str, open_: list[object]) -> None:
    kind, address = device["kind"], device["address"]
    realm = REALMS.get(device["mac"][:8], "Secret")
    servers: dict[int, Serve] = {}
    responders: list[tuple[str, int, Callable[[bytes], bytes | None]]] = []
    if kind == "onvif":
        servers = {554: rtsp("", realm)}
        responders = [("239.255.255.250", 3702, probe_matches(device))]
    elif kind == "rtsp":
        servers = {8554: rtsp("/cam0", "")}
    elif kind == "locked":
        servers = {554: rtsp("", realm)}
    elif kind == "webcam":
        servers = {8080: webcam}
    elif kind == "droidcam":
        servers = {4747: webcam}
    elif kind == "mdns":
        servers = {8554: rtsp("/", "")}
        responders = [("224.0.0.251", 5353, announce(address))]
    elif kind == "upnp":
        servers = {49152: description(address), 554: rtsp("", "AXIS_ACCC8E012345")}
        responders = [("239.255.255.250", 1900, locate(address))]
    elif kind == "silent":
        servers = dict.fromkeys((554, 8554, 80, 8080), silent)
    for port, handler in servers.items():

        async def run(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: Serve = handler
        ) -> None:
            try:
                await handler(reader, writer)
            except (OSError, asyncio.IncompleteReadError):
                writer.close()

        open_.append(await asyncio.start_server(run, sock=bound(interface, socket.SOCK_STREAM, port)))
    for group, port, answer in responders:
        sock = bound(interface, socket.SOCK_DGRAM, port, group, address)
        loop = asyncio.get_running_loop()
        open_.append(await loop.create_datagram_endpoint(lambda answer=answer: Responder(answer), sock=sock))  # type: ignore[misc]


def separate_interfaces() -> None:
    """Each answers only for its own address."""
    for name, value in (("arp_ignore", "1"), ("arp_announce", "2"), ("rp_filter", "0")):
        Path(f"/proc/sys/net/ipv4/conf/all/{name}").write_text(value)


async def main() -> None:
    print("begun", flush=True)
    devices: list[dict[str, str]] = json.loads(sys.stdin.readline())
    separate_interfaces()
    commands = ["link set lo up", "link set v1 up"]
    for number, device in enumerate(devices):
        commands += [
            f"link add link v1 name m{number} address {device['mac']} type macvlan mode bridge",
            f"addr add {device['address']}/24 dev m{number}",
            f"link set m{number} up",
        ]
    ip(*commands)
    open_: list[object] = []
    for number, device in enumerate(devices):
        await serve(device, f"m{number}", open_)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
