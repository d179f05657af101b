"""Every command over the socket to a device with false responses ends in a typed error or a harmless result."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ninjacam.core.errors import CommandError, SourceError
from ninjacam.devices.client import request
from ninjacam.devices.onvif_device import OnvifDevice
from ninjacam.devices.server import DeviceServer
from ninjacam.sources.base import SourceConfig
from ninjacam.testing.onvif_camera import ENVELOPE, FakeOnvifCamera

COMMANDS: dict[str, dict[str, Any]] = {
    "describe": {},
    "position": {},
    "move_by": {"pan": 0.5},
    "move_to": {"pan": 0.5},
    "goto_preset": {"preset": "1"},
    "set_preset": {"name": "Gate"},
    "remove_preset": {"preset": "1"},
    "go_home": {},
    "set_home": {},
    "device": {},
    "get_encoder": {"profile": "main"},
    "set_encoder": {"profile": "main", "changes": {"gop_frames": 50}},
    "set_clock": {},
    "get_imaging": {},
    "set_imaging": {"changes": {"ir_cut_filter": "off", "ir_lamp": "on"}},
    "move_focus": {"speed": 1, "duration_s": 0.01},
    "list_outputs": {},
    "set_output": {"output": "relay1", "is_active": True},
    # Must be last: until the stop is acknowledged, other movements wait.
    "move_for": {"pan": 0.5, "duration_s": 0.1},
    "stop": {},
}


def response(body: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def soap(content: str, envelope: str = ENVELOPE, status: str = "200 OK") -> bytes:
    text = f'<s:Envelope xmlns:s="{envelope}"><s:Body>{content}</s:Body></s:Envelope>'
    return response(text.encode(), status)


LAUGHS = b'<!DOCTYPE x [<!ENTITY a "lol">' + b"".join(
    b'<!ENTITY %c "%s">' % (98 + number, b"&%c;" % (97 + number) * 10) for number in range(10)
)
LIES = {
    "XXE": response(b'<!DOCTYPE x [<!ENTITY y SYSTEM "file:///etc/passwd">]><x>&y;</x>'),
    "billion laughs": response(LAUGHS + b"]><x>&k;</x>"),
    "a redirect to another host": b"HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n",
    "100 MB": b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n" + b"<a>" * 700_000,
    "HTML": response(b"<html><body>Login</body></html>"),
    "a SOAP fault": soap(
        "<s:Fault><s:Code><s:Value>s:Receiver</s:Value></s:Code></s:Fault>", status="500 Error"
    ),
    "a SOAP 1.1 fault": soap(
        "<s:Fault><faultcode>s:Server</faultcode><faultstring>no</faultstring></s:Fault>",
        "http://schemas.xmlsoap.org/soap/envelope/",
        "500 Error",
    ),
    "wrong namespaces": soap("<x:FooResponse xmlns:x='urn:other'><x:Bar/></x:FooResponse>", "urn:wrong"),
    "undeclared prefixes": response(
        b"<soap:Envelope><soap:Body><trt:X><tt:Y/></trt:X></soap:Body></soap:Envelope>"
    ),
    "an empty body": soap(""),
    "an empty answer": response(b""),
    "binary": response(bytes(range(256)) * 20),
}


@pytest.fixture(scope="module")
def device() -> Iterator[FakeOnvifCamera]:
    with FakeOnvifCamera() as started:
        yield started


@pytest.mark.parametrize("lie", LIES)
def test_no_command_ends_in_anything_but_a_result_or_a_typed_error(
    device: FakeOnvifCamera, tmp_path: Path, lie: str
) -> None:
    """Once with a device that always sends false responses, and once with one that does so only after opening."""

    async def ask(op: str) -> str:
        """Return the code of the error; "": no error. Any other exception fails the test."""
        try:
            await asyncio.to_thread(request, tmp_path, "door", op, **COMMANDS[op])
        except (SourceError, CommandError) as error:
            return "internal" if "internal error" in error.message else error.code
        return ""

    async def go() -> None:
        for honest in (False, True):
            device.faults = type(device.faults)()
            if not honest:
                device.faults.raw = {"": LIES[lie]}
            config = SourceConfig(device.url, username="admin", password="secret")
            server = DeviceServer(tmp_path, "door", OnvifDevice(config))
            await server.start()
            if honest:
                assert await ask("describe") == ""
                device.faults.raw = {"": LIES[lie]}
            codes = {op: await ask(op) for op in COMMANDS}
            assert "internal" not in codes.values()
            assert codes["goto_preset"] or lie in ("wrong namespaces", "undeclared prefixes", "an empty body")
            device.faults = type(device.faults)()  # lets the device acknowledge the stop
            await server.close()

    asyncio.run(go())


def test_the_commands_here_are_all_that_the_socket_takes(tmp_path: Path) -> None:
    server = DeviceServer(tmp_path, "door", OnvifDevice(SourceConfig("http://127.0.0.1/")))
    assert set(COMMANDS) == set(server._commands)
