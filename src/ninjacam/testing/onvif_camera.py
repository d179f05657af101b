"""An ONVIF camera with pan, tilt and zoom, over real HTTP. For tests; it shares no code with our client.

It checks WS-Security digests by its own clock, or requests HTTP Digest, moves as commanded, and logs commands.
"""

import asyncio
import base64
import contextlib
import hashlib
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from ninjacam.testing.authentication import Login
from ninjacam.testing.server_thread import ServerThread

ENVELOPE = "http://www.w3.org/2003/05/soap-envelope"
WSDL = "http://www.onvif.org/ver10/device/wsdl"
SERVICES = {
    "device": WSDL,
    "media": "http://www.onvif.org/ver10/media/wsdl",
    "media2": "http://www.onvif.org/ver20/media/wsdl",
    "ptz": "http://www.onvif.org/ver20/ptz/wsdl",
    "imaging": "http://www.onvif.org/ver20/imaging/wsdl",
    "events": "http://www.onvif.org/ver10/events/wsdl",
    "search": "http://www.onvif.org/ver10/search/wsdl",
}
PREFIXES = "".join(f' xmlns:{name}="{uri}"' for name, uri in SERVICES.items())
MAX_AGE_S = 5.0
"""A token whose time differs by more from the camera's clock is refused (ONVIF Core, section 5.12)."""
_REASONS = {200: "OK", 302: "Found", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 500: "Error"}


@dataclass(frozen=True, slots=True)
class Command:
    """A command that has arrived. `at_ns`: monotonic. `values`: texts and attributes by local name."""

    name: str
    at_ns: int
    values: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class OnvifFaults:
    """What can be wrong. The defaults are a healthy camera; change them while it runs."""

    clock_offset_s: float = 0.0
    """By which its clock is ahead."""
    delays_s: dict[str, float] = field(default_factory=dict)
    """Seconds until the response to an operation; "": all."""
    ignores_timeout: bool = False
    """A continuous movement goes without end until a Stop, as with many cameras."""
    raw: dict[str, bytes] = field(default_factory=dict)
    """Whole HTTP responses by operation, instead of the right ones; "": all."""
    body: dict[str, str] = field(default_factory=dict)
    """Bodies of the envelope by operation, instead of the right ones."""
    stream_uri: str = ""
    snapshot_uri: str = ""
    service_host: str = ""
    """A host that the camera names in the addresses of its services, as behind NAT."""
    closes: bool = False
    """Close the connection after each response, without announcing it."""
    legacy: bool = False
    """No GetServices and no Media2."""
    fail: dict[str, str] = field(default_factory=dict)
    """Subcodes of faults by operation."""


@dataclass(slots=True)
class OnvifExtras:
    """Functions that many cameras lack."""

    auxiliary: list[str] = field(default_factory=list)
    """The auxiliary commands that it announces, such as tt:IRLamp|On."""
    auxiliary_in: Literal["node", "services", "capabilities"] = "node"
    """Where it announces them."""
    recordings: tuple[str, str, str] | None = None
    """The number, start and end of the recordings on its SD card."""


@dataclass
class _Motion:
    """`velocity`: pan, tilt, zoom, from -1 to 1, until `until_s` (monotonic)."""

    position: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    home: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    velocity: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    moved_s: float = field(default_factory=time.monotonic)
    until_s: float = 0.0


@dataclass
class _Notifications:
    events: deque[str] = field(default_factory=deque)
    subscribed: set[str] = field(default_factory=set)
    news: asyncio.Event = field(default_factory=asyncio.Event)


class FakeOnvifCamera(ServerThread):
    """Listens on 127.0.0.1. `login`: for WS-Security; with the scheme "digest", it requests HTTP Digest instead."""

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        username: str = "admin",
        password: str = "secret",  # noqa: S107 (a camera for tests)
        scheme: Literal["wsse", "digest", "none"] = "wsse",
        rtsp_url: str = "rtsp://127.0.0.1:8554/main",
        has_ptz: bool = True,
    ) -> None:
        super().__init__(host, port, None)
        self.username = username
        self.password = password
        self.scheme = scheme
        self.login = Login("digest", username, password, qop=True)
        self.rtsp_url = rtsp_url
        self.has_ptz = has_ptz
        self.faults = OnvifFaults()
        self.commands: list[Command] = []
        self.bodies: deque[bytes] = deque(maxlen=100)
        """The last requests."""
        self.connections = 0
        self.rejected = 0
        """Requests with a wrong login."""
        self.presets: dict[str, tuple[str, list[float]]] = {"1": ("Door", [0.5, 0.1, 0.0])}
        self.imaging = {
            "IrCutFilter": "AUTO",
            "AutoFocusMode": "AUTO",
            "Brightness": "50",
            "Contrast": "40",
        }
        self.extras = OnvifExtras()
        self.relays = {"relay1": "inactive"}
        self.encoders = {"sub": _encoder_of("640", "360"), "main": _encoder_of("1920", "1080")}
        """The settings of the encoder of each profile."""
        self.subscriptions = 0
        self._motion = _Motion()
        self._nonces: deque[str] = deque(maxlen=100)
        self._notifications = _Notifications()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}/onvif/device_service"

    # --- what a test sees and does ---

    @property
    def position(self) -> list[float]:
        """Pan, tilt (-1 to 1) and zoom (0 to 1)."""
        return self._motion.position

    @property
    def is_moving(self) -> bool:
        self._advance()
        return any(self._motion.velocity)

    def named(self, *names: str) -> list[Command]:
        return [command for command in list(self.commands) if command.name in names]

    def notify(
        self, topic: str, data: str, value: str, *, operation: str = "Changed", source: str = "video1"
    ) -> None:
        """Report an event to the subscriber. `topic`: such as tns1:VideoSource/MotionAlarm."""
        at = self.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        self._notifications.events.append(
            '<n:NotificationMessage xmlns:n="http://docs.oasis-open.org/wsn/b-2">'
            f'<n:Topic Dialect="x">{escape(topic)}</n:Topic><n:Message><t:Message UtcTime="{at}" '
            f'PropertyOperation="{operation}"><t:Source><t:SimpleItem Name="Source" Value="{escape(source)}"/>'
            f'</t:Source><t:Data><t:SimpleItem Name="{data}" Value="{value}"/></t:Data></t:Message></n:Message>'
            "</n:NotificationMessage>"
        )
        self.call(self._notifications.news.set)

    def forget_subscriptions(self) -> None:
        """As after a restart of the camera."""
        self._notifications.subscribed.clear()
        self.call(self._notifications.news.set)

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.faults.clock_offset_s)

    # --- HTTP ---

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while True:
            lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, path, _ = lines[0].split(" ", 2)
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])
            }
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            response = await self._answer(method, path, headers, body)
            with contextlib.suppress(ConnectionError):
                writer.write(response)
                await writer.drain()
            if self.faults.closes or b"\r\nConnection: close" in response[:2000]:
                return

    async def _answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> bytes:
        if method == "GET":
            return self._http(200, b"\xff\xd8\xff\xd9", "image/jpeg")
        self.bodies.append(body)
        root = ET.fromstring(body)  # noqa: S314 (our own client)
        operation = root.find(f"{{{ENVELOPE}}}Body")
        assert operation is not None
        request = operation[0]
        name = request.tag.rpartition("}")[2]
        if (refusal := self._refusal(name, method, headers, root)) is not None:
            return refusal
        self.commands.append(Command(name, time.monotonic_ns(), _values(request)))
        faults = self.faults
        await asyncio.sleep(faults.delays_s.get(name, faults.delays_s.get("", 0)))
        if (raw := faults.raw.get(name, faults.raw.get(""))) is not None:
            return raw
        if name in faults.fail:
            return self._fault("Receiver", faults.fail[name], "It does not work", 500)
        if name in faults.body:
            return self._envelope(faults.body[name])
        answer = getattr(self, f"_do_{_snake(name)}", None)
        if answer is None:
            return self._fault("Receiver", "ActionNotSupported", "Optional action not implemented", 500)
        result = answer(_values(request), path)
        content = await result if asyncio.iscoroutine(result) else result
        if content is None:
            return self._fault("Sender", "InvalidArgVal", "Invalid argument", 400)
        service = next(
            (each for each, uri in SERVICES.items() if request.tag.startswith(f"{{{uri}}}")), "device"
        )
        return self._envelope(f"<{service}:{name}Response>{content}</{service}:{name}Response>")

    def _refusal(self, name: str, method: str, headers: dict[str, str], root: ET.Element) -> bytes | None:
        """Return the response to a request without the right login."""
        if name == "GetSystemDateAndTime" or self.scheme == "none":
            return None
        if self.scheme == "digest" and not self._accepts_digest(method, headers):
            return self._http(401, b"no", "text/plain", f"WWW-Authenticate: {self.login.challenge()}\r\n")
        if self.scheme == "wsse" and not self._accepts_token(root):
            self.rejected += 1
            return self._fault("Sender", "NotAuthorized", "Sender not authorized", 400)
        return None

    def _accepts_digest(self, method: str, headers: dict[str, str]) -> bool:
        return self.login.accepts(method, headers.get("authorization", ""))

    def _accepts_token(self, root: ET.Element) -> bool:
        found = {element.tag.rpartition("}")[2]: element.text or "" for element in root.iter()}
        try:
            nonce, created = base64.b64decode(found["Nonce"]), found["Created"]
            age_s = abs((datetime.fromisoformat(created) - self.now()).total_seconds())
        except (KeyError, ValueError):
            return False
        digest = hashlib.sha1(nonce + created.encode() + self.password.encode()).digest()  # noqa: S324 (WS-Security)
        fresh = found["Nonce"] not in self._nonces
        self._nonces.append(found["Nonce"])
        is_right = base64.b64encode(digest).decode() == found.get("Password")
        return is_right and fresh and found.get("Username") == self.username and age_s <= MAX_AGE_S

    def _http(
        self, status: int, body: bytes, content_type: str = "application/soap+xml", extra: str = ""
    ) -> bytes:
        head = f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: {content_type}\r\n{extra}"
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    def _envelope(self, content: str, status: int = 200) -> bytes:
        text = (
            f'<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="{ENVELOPE}"{PREFIXES} '
            f'xmlns:t="http://www.onvif.org/ver10/schema"><s:Body>{content}</s:Body></s:Envelope>'
        )
        return self._http(status, text.encode())

    def _fault(self, code: str, subcode: str, reason: str, status: int) -> bytes:
        return self._envelope(
            f"<s:Fault><s:Code><s:Value>s:{code}</s:Value><s:Subcode><s:Value>ter:{subcode}</s:Value></s:Subcode>"
            f'</s:Code><s:Reason><s:Text xml:lang="en">{reason}</s:Text></s:Reason></s:Fault>',
            status,
        )

    # --- device ---

    def _do_get_system_date_and_time(self, _: dict[str, str], path: str) -> str:
        now = self.now()
        return (
            "<device:SystemDateAndTime><t:DateTimeType>Manual</t:DateTimeType>"
            "<t:DaylightSavings>false</t:DaylightSavings><t:TimeZone><t:TZ>KST-9</t:TZ></t:TimeZone>"
            f"<t:UTCDateTime><t:Time><t:Hour>{now.hour}</t:Hour><t:Minute>{now.minute}</t:Minute>"
            f"<t:Second>{now.second}</t:Second></t:Time><t:Date><t:Year>{now.year}</t:Year>"
            f"<t:Month>{now.month}</t:Month><t:Day>{now.day}</t:Day></t:Date></t:UTCDateTime>"
            "</device:SystemDateAndTime>"
        )

    def _do_set_system_date_and_time(self, values: dict[str, str], path: str) -> str:
        parts = [int(values[name]) for name in ("Year", "Month", "Day", "Hour", "Minute", "Second")]
        wanted = datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc] # six ints
        self.faults.clock_offset_s = (wanted - datetime.now(UTC)).total_seconds()
        return ""

    def _do_get_device_information(self, _: dict[str, str], path: str) -> str:
        return (
            "<device:Manufacturer>Example</device:Manufacturer><device:Model>Dome 5</device:Model>"
            "<device:FirmwareVersion>1.2.3</device:FirmwareVersion><device:SerialNumber>0001</device:SerialNumber>"
            "<device:HardwareId>A1</device:HardwareId>"
        )

    def _address(self, service: str) -> str:
        host = self.faults.service_host or f"{self.host}:{self.port}"
        return f"http://{host}/onvif/{service}"

    def _offered(self) -> list[str]:
        skipped = {"media2"} if self.faults.legacy else set()
        skipped |= set() if self.extras.recordings else {"search"}
        return [name for name in SERVICES if name not in skipped and (self.has_ptz or name != "ptz")]

    def _do_get_services(self, _: dict[str, str], path: str) -> str | None:
        if self.faults.legacy:
            return None
        return "".join(
            f"<device:Service><device:Namespace>{SERVICES[name]}</device:Namespace>"
            f"<device:XAddr>{self._address(name)}</device:XAddr></device:Service>"
            for name in self._offered()
        )

    def _do_get_capabilities(self, _: dict[str, str], path: str) -> str:
        names = {
            "device": "Device",
            "media": "Media",
            "ptz": "PTZ",
            "imaging": "Imaging",
            "events": "Events",
            "search": "Search",
        }
        found = "".join(
            f"<t:{names[name]}><t:XAddr>{self._address(name)}</t:XAddr></t:{names[name]}>"
            for name in self._offered()
            if name in names
        )
        if self.extras.auxiliary_in == "capabilities":
            commands = f"<t:IO><t:Extension>{self._auxiliary_commands()}</t:Extension></t:IO></t:Device>"
            found = found.replace("</t:Device>", commands)
        return f"<device:Capabilities>{found}</device:Capabilities>"

    def _do_get_service_capabilities(self, _: dict[str, str], path: str) -> str:
        commands = " ".join(self.extras.auxiliary) if self.extras.auxiliary_in == "services" else ""
        return f'<device:Capabilities><device:Misc AuxiliaryCommands="{escape(commands)}"/></device:Capabilities>'

    def _auxiliary_commands(self) -> str:
        return "".join(
            f"<t:AuxiliaryCommands>{escape(each)}</t:AuxiliaryCommands>" for each in self.extras.auxiliary
        )

    def _do_send_auxiliary_command(self, values: dict[str, str], path: str) -> str | None:
        is_ptz = self.extras.auxiliary_in == "node"
        command = values.get("AuxiliaryData" if is_ptz else "AuxiliaryCommand")
        if path.endswith("ptz") != is_ptz or command not in self.extras.auxiliary:
            return None
        return "" if not is_ptz or values.get("ProfileToken") in self.encoders else None

    def _do_get_relay_outputs(self, _: dict[str, str], path: str) -> str:
        return "".join(
            f'<device:RelayOutputs token="{token}"><t:Properties><t:Mode>Bistable</t:Mode>'
            "<t:IdleState>open</t:IdleState></t:Properties></device:RelayOutputs>"
            for token in self.relays
        )

    def _do_set_relay_output_state(self, values: dict[str, str], path: str) -> str | None:
        if values.get("RelayOutputToken") not in self.relays:
            return None
        self.relays[values["RelayOutputToken"]] = values["LogicalState"]
        return ""

    # --- media ---

    def _encoder(self, token: str) -> str:
        now = self.encoders[token]
        size = f"<t:Width>{now['width']}</t:Width><t:Height>{now['height']}</t:Height>"
        rate = f"<t:FrameRateLimit>{now['fps']}</t:FrameRateLimit>"
        rate += f"<t:BitrateLimit>{now['kbps']}</t:BitrateLimit>"
        return (
            f"<t:Name>{token}</t:Name><t:UseCount>1</t:UseCount><t:Encoding>{now['codec']}</t:Encoding>"
            f"<t:Resolution>{size}</t:Resolution><t:RateControl>{rate}</t:RateControl><t:Quality>4</t:Quality>"
        )

    def _profile(self, token: str, media2: bool) -> str:
        source = "<t:SourceToken>video1</t:SourceToken>"
        encoder = self._encoder(token)
        codec, gop = self.encoders[token]["codec"], self.encoders[token]["gop"]
        ptz = "<t:NodeToken>node1</t:NodeToken><t:DefaultPTZTimeout>PT5S</t:DefaultPTZTimeout>"
        if media2:
            moves = f'<media2:PTZ token="ptz1">{ptz}</media2:PTZ>' if self.has_ptz else ""
            return (
                f'<media2:Profiles token="{token}"><media2:Name>{token}</media2:Name><media2:Configurations>'
                f'<media2:VideoSource token="s1">{source}</media2:VideoSource>'
                f'<media2:VideoEncoder token="e-{token}" GovLength="{gop}" Profile="Main">{encoder}'
                f"</media2:VideoEncoder>{moves}</media2:Configurations></media2:Profiles>"
            )
        moves = f'<t:PTZConfiguration token="ptz1">{ptz}</t:PTZConfiguration>' if self.has_ptz else ""
        specific = f"<t:{codec}><t:GovLength>{gop}</t:GovLength><t:{codec}Profile>Main</t:{codec}Profile></t:{codec}>"
        return (
            f'<media:Profiles token="{token}" fixed="true"><t:Name>{token}</t:Name>'
            f'<t:VideoSourceConfiguration token="s1">{source}</t:VideoSourceConfiguration>'
            f'<t:VideoEncoderConfiguration token="e-{token}">{encoder}{specific}</t:VideoEncoderConfiguration>'
            f"{moves}</media:Profiles>"
        )

    def _do_get_profiles(self, _: dict[str, str], path: str) -> str:
        return "".join(self._profile(token, path.endswith("media2")) for token in self.encoders)

    def _do_get_stream_uri(self, values: dict[str, str], path: str) -> str | None:
        token = values.get("ProfileToken", "")
        if token not in self.encoders:
            return None
        uri = self.faults.stream_uri or self.rtsp_url.replace("/main", f"/{token}")
        if path.endswith("media2"):
            return f"<media2:Uri>{escape(uri)}</media2:Uri>"
        return f"<media:MediaUri><t:Uri>{escape(uri)}</t:Uri></media:MediaUri>"

    def _do_get_snapshot_uri(self, _: dict[str, str], path: str) -> str:
        uri = self.faults.snapshot_uri or f"http://{self.host}:{self.port}/snapshot.jpg"
        if path.endswith("media2"):
            return f"<media2:Uri>{escape(uri)}</media2:Uri>"
        return f"<media:MediaUri><t:Uri>{escape(uri)}</t:Uri></media:MediaUri>"

    def _do_get_video_encoder_configuration(self, values: dict[str, str], path: str) -> str | None:
        token = values.get("ConfigurationToken", "").removeprefix("e-")
        if token not in self.encoders:
            return None
        return f'<media:Configuration token="e-{token}">{self._encoder(token)}</media:Configuration>'

    def _do_get_video_encoder_configuration_options(self, _: dict[str, str], path: str) -> str:
        sizes = "".join(
            f"<t:ResolutionsAvailable><t:Width>{width}</t:Width><t:Height>{height}</t:Height></t:ResolutionsAvailable>"
            for width, height in ((1920, 1080), (1280, 720), (640, 360))
        )
        if path.endswith("media2"):
            bitrate = "<t:BitrateRange><t:Min>64</t:Min><t:Max>8192</t:Max></t:BitrateRange>"
            return "".join(
                f'<media2:Options GovLengthRange="1 100" FrameRatesSupported="5 15 25 30"><t:Encoding>{codec}'
                f"</t:Encoding>{sizes}{bitrate}</media2:Options>"
                for codec in ("H264", "H265")
            )
        rates = "<t:FrameRateRange><t:Min>1</t:Min><t:Max>30</t:Max></t:FrameRateRange>"
        gop = "<t:GovLengthRange><t:Min>1</t:Min><t:Max>100</t:Max></t:GovLengthRange>"
        return f"<media:Options><t:H264>{sizes}{gop}{rates}</t:H264></media:Options>"

    def _do_set_video_encoder_configuration(self, values: dict[str, str], path: str) -> str | None:
        names = {
            "Encoding": "codec",
            "Width": "width",
            "Height": "height",
            "FrameRateLimit": "fps",
            "BitrateLimit": "kbps",
            "GovLength": "gop",
        }
        token = values.get("Configuration.token", "").removeprefix("e-")
        if token not in self.encoders:
            return None
        self.encoders[token] |= {names[name]: value for name, value in values.items() if name in names}
        return ""

    # --- movement ---

    def _advance(self) -> None:
        """Move the position by the time since the last look, until the timeout of the movement."""
        now_s = time.monotonic()
        until_s = now_s if self.faults.ignores_timeout else min(now_s, self._motion.until_s)
        span_s = max(0.0, until_s - self._motion.moved_s)
        for axis, speed in enumerate(self._motion.velocity):
            low = 0.0 if axis == 2 else -1.0
            self._motion.position[axis] = max(
                low, min(1.0, self._motion.position[axis] + 0.2 * speed * span_s)
            )
        self._motion.moved_s = now_s
        if now_s >= self._motion.until_s and not self.faults.ignores_timeout:
            self._motion.velocity = [0.0, 0.0, 0.0]

    def _do_get_nodes(self, _: dict[str, str], path: str) -> str:
        def space(name: str, low: float, axes: str) -> str:
            ranges = "".join(
                f"<t:{axis}Range><t:Min>{low}</t:Min><t:Max>1</t:Max></t:{axis}Range>" for axis in axes
            )
            return f"<t:{name}><t:URI>x</t:URI>{ranges}</t:{name}>"

        spaces = (
            space("AbsolutePanTiltPositionSpace", -1, "XY")
            + space("AbsoluteZoomPositionSpace", 0, "X")
            + space("RelativePanTiltTranslationSpace", -1, "XY")
            + space("RelativeZoomTranslationSpace", -1, "X")
            + space("ContinuousPanTiltVelocitySpace", -1, "XY")
            + space("ContinuousZoomVelocitySpace", -1, "X")
        )
        return (
            f'<ptz:PTZNode token="node1"><t:Name>node1</t:Name><t:SupportedPTZSpaces>{spaces}</t:SupportedPTZSpaces>'
            "<t:MaximumNumberOfPresets>100</t:MaximumNumberOfPresets><t:HomeSupported>true</t:HomeSupported>"
            f"{self._auxiliary_commands() if self.extras.auxiliary_in == 'node' else ''}</ptz:PTZNode>"
        )

    def _do_get_configuration_options(self, _: dict[str, str], path: str) -> str:
        return (
            "<ptz:PTZConfigurationOptions><t:PTZTimeout><t:Min>PT1S</t:Min><t:Max>PT60S</t:Max></t:PTZTimeout>"
            "</ptz:PTZConfigurationOptions>"
        )

    def _do_continuous_move(self, values: dict[str, str], path: str) -> str:
        self._advance()
        self._motion.velocity = [
            float(values.get(f"{name}", "0")) for name in ("PanTilt.x", "PanTilt.y", "Zoom.x")
        ]
        self._motion.until_s = time.monotonic() + float(values.get("Timeout", "PT5S")[2:-1])
        return ""

    def _do_stop(self, _: dict[str, str], path: str) -> str:
        self._advance()
        self._motion.velocity = [0.0, 0.0, 0.0]
        return ""

    def _do_relative_move(self, values: dict[str, str], path: str) -> str:
        self._advance()
        for axis, name in enumerate(("PanTilt.x", "PanTilt.y", "Zoom.x")):
            self._motion.position[axis] += float(values.get(name, "0"))
        return ""

    def _do_absolute_move(self, values: dict[str, str], path: str) -> str:
        self._advance()
        for axis, name in enumerate(("PanTilt.x", "PanTilt.y", "Zoom.x")):
            self._motion.position[axis] = float(values.get(name, self._motion.position[axis]))
        return ""

    def _do_get_status(self, _: dict[str, str], path: str) -> str:
        self._advance()
        pan, tilt, zoom = self._motion.position
        return (
            f'<ptz:PTZStatus><t:Position><t:PanTilt x="{pan}" y="{tilt}"/><t:Zoom x="{zoom}"/></t:Position>'
            "</ptz:PTZStatus>"
        )

    def _do_get_presets(self, _: dict[str, str], path: str) -> str:
        return "".join(
            f'<ptz:Preset token="{token}"><t:Name>{escape(name)}</t:Name></ptz:Preset>'
            for token, (name, _) in self.presets.items()
        )

    def _do_set_preset(self, values: dict[str, str], path: str) -> str:
        self._advance()
        token = values.get("PresetToken") or str(max(map(int, self.presets), default=0) + 1)
        self.presets[token] = (values.get("PresetName", ""), list(self._motion.position))
        return f"<ptz:PresetToken>{token}</ptz:PresetToken>"

    def _do_goto_preset(self, values: dict[str, str], path: str) -> str | None:
        if values.get("PresetToken") not in self.presets:
            return None
        self._motion.velocity = [0.0, 0.0, 0.0]
        self._motion.position = list(self.presets[values["PresetToken"]][1])
        return ""

    def _do_remove_preset(self, values: dict[str, str], path: str) -> str | None:
        return "" if self.presets.pop(values.get("PresetToken", ""), None) else None

    def _do_goto_home_position(self, _: dict[str, str], path: str) -> str:
        self._motion.position = list(self._motion.home)
        return ""

    def _do_set_home_position(self, _: dict[str, str], path: str) -> str:
        self._advance()
        self._motion.home = list(self._motion.position)
        return ""

    # --- imaging ---

    def _do_get_imaging_settings(self, _: dict[str, str], path: str) -> str:
        now = self.imaging
        return (
            f"<imaging:ImagingSettings><t:Brightness>{now['Brightness']}</t:Brightness>"
            f"<t:Contrast>{now['Contrast']}</t:Contrast>"
            f"<t:Focus><t:AutoFocusMode>{now['AutoFocusMode']}</t:AutoFocusMode></t:Focus>"
            f"<t:IrCutFilter>{now['IrCutFilter']}</t:IrCutFilter></imaging:ImagingSettings>"
        )

    def _do_get_options(self, _: dict[str, str], path: str) -> str:
        modes = "".join(f"<t:IrCutFilterModes>{mode}</t:IrCutFilterModes>" for mode in ("ON", "OFF", "AUTO"))
        focus = "<t:AutoFocusModes>AUTO</t:AutoFocusModes><t:AutoFocusModes>MANUAL</t:AutoFocusModes>"
        levels = "".join(
            f"<t:{name}><t:Min>0</t:Min><t:Max>100</t:Max></t:{name}>" for name in ("Brightness", "Contrast")
        )
        return f"<imaging:ImagingOptions>{levels}<t:Focus>{focus}</t:Focus>{modes}</imaging:ImagingOptions>"

    def _do_get_move_options(self, _: dict[str, str], path: str) -> str:
        return "<imaging:MoveOptions><t:Continuous><t:Speed/></t:Continuous></imaging:MoveOptions>"

    def _do_set_imaging_settings(self, values: dict[str, str], path: str) -> str:
        self.imaging |= {name: value for name, value in values.items() if name in self.imaging}
        return ""

    def _do_move(self, _: dict[str, str], path: str) -> str:
        return ""

    # --- recordings ---

    def _do_get_recording_summary(self, _: dict[str, str], path: str) -> str | None:
        if self.extras.recordings is None:
            return None
        count, start, end = map(escape, self.extras.recordings)
        return (
            f"<search:Summary><t:DataFrom>{start}</t:DataFrom><t:DataUntil>{end}</t:DataUntil>"
            f"<t:NumberRecordings>{count}</t:NumberRecordings></search:Summary>"
        )

    # --- events ---

    def _do_create_pull_point_subscription(self, _: dict[str, str], path: str) -> str:
        self.subscriptions += 1
        number = str(self.subscriptions)
        self._notifications.subscribed.add(number)
        return (
            f'<events:SubscriptionReference><a:Address xmlns:a="http://www.w3.org/2005/08/addressing">'
            f"{self._address('subscription')}/{number}</a:Address></events:SubscriptionReference>"
        )

    async def _do_pull_messages(self, values: dict[str, str], path: str) -> str | None:
        wait_s = float(values["Timeout"][2:-1])
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                while (
                    not self._notifications.events
                    and path.rpartition("/")[2] in self._notifications.subscribed
                ):
                    self._notifications.news.clear()
                    await self._notifications.news.wait()
        if path.rpartition("/")[2] not in self._notifications.subscribed:
            return None
        found = ""
        while self._notifications.events:
            found += self._notifications.events.popleft()
        return found

    def _do_unsubscribe(self, _: dict[str, str], path: str) -> str:
        self._notifications.subscribed.discard(path.rpartition("/")[2])
        return ""

    def _do_renew(self, _: dict[str, str], path: str) -> str:
        return ""


def _encoder_of(width: str, height: str) -> dict[str, str]:
    return {"codec": "H264", "width": width, "height": height, "fps": "25", "kbps": "4096", "gop": "50"}


def _values(element: ET.Element) -> dict[str, str]:
    """Return the texts by local name, and the attributes as `name.attribute` and by their name."""
    found: dict[str, str] = {}
    for each in element.iter():
        name = each.tag.rpartition("}")[2]
        if each.text and each.text.strip():
            found[name] = each.text.strip()
        for attribute, value in each.attrib.items():
            found[f"{name}.{attribute}"] = value
            found.setdefault(attribute, value)
    return found


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
