"""A camera without ONVIF that moves by Dahua's or Axis' commands over HTTP. For tests; it shares no code with ours."""

import asyncio
import time
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

from ninjacam.testing.authentication import Login
from ninjacam.testing.server_thread import ServerThread

_REASONS = {200: "OK", 204: "No Content", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found"}
_PATHS = {"dahua": "/cgi-bin/ptz.cgi", "axis": "/axis-cgi/com/ptz.cgi"}
Reply = tuple[int, str]


class FakeHttpPtzCamera(ServerThread):
    """Listens on 127.0.0.1. `velocity`: pan, tilt, zoom, in the protocol's units. `raw`: sent instead of answers.

    `delay_s`: before the response to a movement.
    """

    def __init__(
        self,
        protocol: Literal["dahua", "axis"],
        *,
        scheme: Literal["digest", "basic"] = "digest",
        password: str = "secret",  # noqa: S107 (a camera for tests)
    ) -> None:
        super().__init__("127.0.0.1", 0, None)
        self.protocol = protocol
        self.login = Login(scheme, "admin", password, qop=True)
        self.commands: list[dict[str, str]] = []
        self.authorizations: list[str] = []
        self.velocity = [0.0, 0.0, 0.0]
        self.until_s = 0.0
        """Monotonic time at which a movement of Dahua's protocol ends by itself."""
        self.position = [0.0, 0.0, 0.0]
        self.presets = {"1": "Door"} if protocol == "dahua" else {"Door": "Door"}
        self.raw: bytes | None = None
        self.delay_s = 0.0

    @property
    def url(self) -> str:
        return f"{self.protocol}+http://{self.host}:{self.port}/"

    @property
    def is_moving(self) -> bool:
        return any(self.velocity) and (self.protocol == "axis" or time.monotonic() < self.until_s)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, target, _ = lines[0].split(" ", 2)
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])
            }
            authorization = headers.get("authorization", "")
            self.authorizations.append(authorization)
            challenge = ""
            if not self.login.accepts(method, authorization):
                status, text = 401, "no"
                challenge = f"WWW-Authenticate: {self.login.challenge()}\r\n"
            elif self.raw is not None:
                writer.write(self.raw)
                return
            else:
                status, text = await self._answer(target)
            body = b"" if status == 204 else text.encode()
            length = "" if status == 204 else f"Content-Length: {len(body)}\r\n"
            writer.write(f"HTTP/1.1 {status} {_REASONS[status]}\r\n{challenge}{length}\r\n".encode() + body)

    async def _answer(self, target: str) -> Reply:
        parts = urlsplit(target)
        if parts.path != _PATHS[self.protocol]:
            return 404, "not found"
        values = dict(parse_qsl(parts.query))
        self.commands.append(values)
        return await (self._dahua(values) if self.protocol == "dahua" else self._axis(values))

    # --- Dahua ---

    async def _dahua(self, values: dict[str, str]) -> Reply:
        action, code = values["action"], values.get("code", "")
        names = ("arg1", "arg2", "arg3") if action != "setPreset" else ()  # Its second one is a text.
        numbers = [float(values.get(name, 0)) for name in names]
        if action == "getPresets":
            presets = enumerate(self.presets.items())
            lines = (
                f"presets[{n}].Index={number}\r\npresets[{n}].Name={name}\r\n"
                for n, (number, name) in presets
            )
            return 200, "".join(lines)
        if action == "moveAbsolutely":
            self.position = numbers
        elif action == "moveRelatively":
            self.position = [now + by for now, by in zip(self.position, numbers, strict=True)]
        elif action == "setPreset":
            self.presets[values["arg1"]] = values["arg2"]
        elif action == "stop" and code == "Continuously":
            self.velocity = [0.0, 0.0, 0.0]
        elif action == "start":
            return await self._dahua_start(code, values, numbers)
        else:
            return 400, "Error\r\nBad Request!"
        return 200, "OK\r\n"

    async def _dahua_start(self, code: str, values: dict[str, str], numbers: list[float]) -> Reply:
        if code == "Continuously":
            await asyncio.sleep(self.delay_s)
            self.velocity = numbers
            self.until_s = time.monotonic() + float(values["arg4"])
        elif code == "SetPreset":
            self.presets[values["arg2"]] = f"Preset{values['arg2']}"
        elif code in ("GotoPreset", "ClearPreset") and values["arg2"] in self.presets:
            if code == "ClearPreset":
                del self.presets[values["arg2"]]
        else:
            return 400, "Error\r\nBad Request!"
        return 200, "OK\r\n"

    # --- Axis ---

    async def _axis(self, values: dict[str, str]) -> Reply:
        if values.get("query") == "presetposall":
            lines = [f"presetposno{number}={name}\r\n" for number, name in enumerate(self.presets, 1)]
            return 200, "Preset Positions for camera 1\r\n" + "".join(lines)
        if "continuouspantiltmove" in values:
            await asyncio.sleep(self.delay_s if values["continuouspantiltmove"] != "0,0" else 0)
            pan, tilt = map(float, values["continuouspantiltmove"].split(","))
            self.velocity = [pan, tilt, float(values["continuouszoommove"])]
        for axis, name in enumerate(("pan", "tilt", "zoom")):
            self.position[axis] = float(values.get(name, self.position[axis])) + float(
                values.get(f"r{name}", 0)
            )
        if values.get("move") == "home":
            self.position = [0.0, 0.0, 1.0]
        if "setserverpresetname" in values:
            self.presets[values["setserverpresetname"]] = values["setserverpresetname"]
        if (name := values.get("removeserverpresetname", values.get("gotoserverpresetname", ""))) and (
            name not in self.presets
        ):
            return 200, "Error:\r\nunknown preset position"
        if "removeserverpresetname" in values:
            del self.presets[values["removeserverpresetname"]]
        return 204, ""
