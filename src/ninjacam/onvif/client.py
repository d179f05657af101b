"""Calls operations of an ONVIF device: addresses of its services, its clock, and the login.

Not here: the operations of each service (`device`, `media`, `ptz`, `imaging`, `lamp`, `events`, `recordings`).
"""

import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Literal

from ninjacam.core.clock import SYSTEM_CLOCK, Clock
from ninjacam.core.errors import (
    AuthenticationError,
    CommandError,
    ConfigError,
    NinjacamError,
    NotACameraError,
    ProtocolError,
    UnsupportedCommandError,
)
from ninjacam.core.texts import sentence
from ninjacam.core.times import to_datetime
from ninjacam.onvif import soap
from ninjacam.onvif.xml import Element
from ninjacam.sources import addresses
from ninjacam.sources.base import SourceConfig
from ninjacam.sources.http_session import HttpResponse, HttpSession
from ninjacam.sources.urls import RequestTarget, parse_url

ServiceName = Literal["device", "media", "media2", "ptz", "imaging", "events", "deviceio", "search"]
NAMESPACES: dict[ServiceName, str] = {
    "device": "http://www.onvif.org/ver10/device/wsdl",
    "media": "http://www.onvif.org/ver10/media/wsdl",
    "media2": "http://www.onvif.org/ver20/media/wsdl",
    "ptz": "http://www.onvif.org/ver20/ptz/wsdl",
    "imaging": "http://www.onvif.org/ver20/imaging/wsdl",
    "events": "http://www.onvif.org/ver10/events/wsdl",
    "deviceio": "http://www.onvif.org/ver10/deviceIO/wsdl",
    "search": "http://www.onvif.org/ver10/search/wsdl",
}
_SCHEMA = "http://www.onvif.org/ver10/schema"
_FUNCTIONS: dict[ServiceName, str] = {
    "device": "device information",
    "media": "streams",
    "media2": "streams (Media2)",
    "ptz": "movement (PTZ)",
    "imaging": "imaging settings",
    "events": "events",
    "deviceio": "relay outputs (Device I/O)",
    "search": "its own recordings (Recording Search)",
}
_CAPABILITIES: dict[str, ServiceName] = {
    "Device": "device",
    "Media": "media",
    "PTZ": "ptz",
    "Imaging": "imaging",
    "Events": "events",
    "DeviceIO": "deviceio",
    "Search": "search",
}
MIN_CLOCK_CHANGE_S = 2.0
"""Minimum change of the camera's clock for which a login is retried: cameras lock accounts."""


class OnvifClient:
    """A device at `config.url`, with the login of `config`. Thread: the event loop.

    Calls in different `lanes` use different connections, so that they do not wait for each other.
    """

    def __init__(self, config: SourceConfig, *, clock: Clock = SYSTEM_CLOCK, timeout_s: float = 5.0) -> None:
        """Raises: ConfigError: the URL is not an HTTP URL."""
        self.target = parse_url(config.url)
        if self.target.scheme not in ("http", "https"):
            raise ConfigError("The ONVIF address must start with http: or https:.")
        self.config = config
        self._clock = clock
        self._timeout_s = timeout_s
        self._sessions: dict[str, HttpSession] = {}
        self._addresses: dict[ServiceName, str] | None = None
        self._offset_s: float | None = None

    # --- calls ---

    async def call(
        self,
        service: ServiceName,
        operation: str,
        content: str = "",
        *,
        lane: str = "",
        timeout_s: float | None = None,
    ) -> Element:
        """Call an operation and return its response. `content`: XML in the namespace of the service, whose values
        are escaped; the prefix t is that of ONVIF's types.

        Raises: SourceError, CommandError.
        """
        address = await self.address_of(service)
        return await self.call_at(
            address, NAMESPACES[service], operation, content, lane=lane, timeout_s=timeout_s
        )

    async def call_at(
        self,
        address: str,
        namespace: str,
        operation: str,
        content: str = "",
        *,
        header: str = "",
        lane: str = "",
        timeout_s: float | None = None,
    ) -> Element:
        """Do the same as `call`, at an address that the camera returned for a subscription."""
        if self._has_login and self._offset_s is None:
            await self.get_clock_offset()
        try:
            return await self._post(address, namespace, operation, content, header, lane, timeout_s)
        except AuthenticationError:
            # A change of the camera's clock invalidates all digests.
            before_s = self._offset_s or 0.0
            if not self._has_login or abs(await self.get_clock_offset() - before_s) < MIN_CLOCK_CHANGE_S:
                raise
        return await self._post(address, namespace, operation, content, header, lane, timeout_s)

    async def _post(
        self,
        address: str,
        namespace: str,
        operation: str,
        content: str,
        header: str,
        lane: str,
        timeout_s: float | None,
        *,
        has_security: bool = True,
    ) -> Element:
        session = self._session(lane)
        body = f'<{operation} xmlns="{namespace}" xmlns:t="{_SCHEMA}">{content}</{operation}>'

        def make_body() -> bytes:
            # A camera that requests an HTTP login may reject both at once.
            signs = has_security and self._has_login and not session.is_challenged
            return soap.make_envelope(body, header + (self._security() if signs else ""))

        action = f'Content-Type: application/soap+xml; charset=utf-8; action="{namespace}/{operation}"'
        response = await session.request("POST", address, make_body, (action,), timeout_s=timeout_s)
        return _content(response)

    def _session(self, lane: str) -> HttpSession:
        if lane not in self._sessions:
            self._sessions[lane] = HttpSession(self.config, timeout_s=self._timeout_s)
        return self._sessions[lane]

    async def get(self, url: str, *, max_body_bytes: int) -> HttpResponse:
        """Return the content at a URL of the camera, such as its snapshot. Raises: SourceError."""
        session = HttpSession(self.config, timeout_s=self._timeout_s, max_body_bytes=max_body_bytes)
        try:
            return await session.request("GET", await self.check_url(url, ("http", "https")))
        finally:
            session.close()

    def close(self) -> None:
        """Idempotent."""
        for session in self._sessions.values():
            session.close()

    # --- login ---

    @property
    def _has_login(self) -> bool:
        return bool(self.config.username or self.config.password)

    def _security(self) -> str:
        now = to_datetime(self._clock.wall_ns())
        created = now + timedelta(seconds=self._offset_s or 0.0)
        return soap.make_security(
            self.config.username, self.config.password, created, secrets.token_bytes(16)
        )

    async def get_clock_offset(self) -> float:
        """Return the seconds by which the camera's clock is ahead of this host's, to a second; 0 if it is unreadable.

        Raises: SourceError.
        """
        asked_ns = self._clock.wall_ns()
        try:
            answer = await self._system_time(has_security=False)
        except (AuthenticationError, CommandError):
            # ONVIF requires that this works without a login, but some cameras reject it.
            answer = await self._system_time(has_security=True)
        ours_s = (asked_ns + self._clock.wall_ns()) / 2e9
        theirs = _date_time(answer)
        self._offset_s = 0.0 if theirs is None else theirs.timestamp() - ours_s
        return self._offset_s

    async def _system_time(self, *, has_security: bool) -> Element:
        return await self._post(
            self._device_address,
            NAMESPACES["device"],
            "GetSystemDateAndTime",
            "",
            "",
            "",
            None,
            has_security=has_security,
        )

    # --- addresses ---

    @property
    def _device_address(self) -> str:
        return self.target.uri or self.config.url

    async def has_service(self, service: ServiceName) -> bool:
        """Return whether the camera has the service. Raises: SourceError, CommandError."""
        return service in await self._find_addresses()

    async def address_of(self, service: ServiceName) -> str:
        """Return the address of a service. Raises: UnsupportedCommandError: the camera lacks the service;
        SourceError, CommandError."""
        if service == "device":
            return self._device_address
        addresses = await self._find_addresses()
        if service not in addresses:
            raise UnsupportedCommandError(
                sentence("The camera does not offer %(function)s by ONVIF.", function=_FUNCTIONS[service])
            )
        return addresses[service]

    async def _find_addresses(self) -> dict[ServiceName, str]:
        if self._addresses is None:
            try:
                answer = await self.call(
                    "device", "GetServices", "<IncludeCapability>false</IncludeCapability>"
                )
                found = self._of_services(answer)
            except CommandError:
                found = {}
            if not found.keys() - {"device"}:  # Devices from before ONVIF 2.1.
                found |= self._of_capabilities(
                    await self.call("device", "GetCapabilities", "<Category>All</Category>")
                )
            self._addresses = found
        return self._addresses

    def _of_services(self, answer: Element) -> dict[ServiceName, str]:
        names = {namespace.lower(): name for name, namespace in NAMESPACES.items()}
        found: dict[ServiceName, str] = {}
        for service in answer.find_all("Service"):
            name = names.get(service.get_text("Namespace").rstrip("/").lower())
            address = service.get_text("XAddr")
            if name and address:
                found.setdefault(name, self.own_address(address))
        return found

    def _of_capabilities(self, answer: Element) -> dict[ServiceName, str]:
        return {
            _CAPABILITIES[element.name]: self.own_address(element.get_text("XAddr"))
            for element in answer.walk()
            if element.name in _CAPABILITIES and element.get_text("XAddr")
        }

    def own_address(self, stated: str) -> str:
        """Return the address of a service at the configured host, regardless of the host in the camera's response.

        Behind NAT, cameras return their internal address, and a malicious one could return another host.
        """
        try:
            target = parse_url(stated.strip())
        except ConfigError:
            return self._device_address
        if target.scheme not in ("http", "https"):
            return self._device_address
        if target.host == self.target.host and (target.is_tls or not self.target.is_tls):
            return target.uri
        return self._at_own_host(self.target, target.path)

    @staticmethod
    def _at_own_host(target: RequestTarget, path: str) -> str:
        return f"{target.scheme}://{target.authority}{path}"

    async def check_url(self, url: str, schemes: tuple[str, ...]) -> str:
        """Return a URL of a stream or an image from the camera's response, without a login.

        Raises: ProtocolError: it is malformed, or on another host.
        """
        try:
            target = parse_url(url.strip())
        except (ConfigError, ValueError) as exc:
            raise ProtocolError("The camera names a malformed address for its stream.") from exc
        if target.scheme not in schemes:
            raise ProtocolError(
                sentence(
                    "The camera names an address for its stream that starts with %(scheme)s:.",
                    scheme=target.scheme,
                )
            )
        if target.scheme == "http" and self.target.is_tls:  # The login would be sent in clear text.
            raise ProtocolError("The camera names an address without TLS, which is not used.")
        if target.host != self.target.host and not await self._is_own(target.host):
            raise ProtocolError(
                sentence(
                    "The camera names a stream on another host (%(host)s), which is not used. If the stream "
                    "is the camera's, enter its URL yourself.",
                    host=target.host[:60],
                )
            )
        return self._at_own_host(replace(target, host=self.target.host), target.path)

    async def _is_own(self, host: str) -> bool:
        """Return whether this is an address of the configured host name."""
        try:
            stated = ip_address(host)
        except ValueError:
            return False
        return stated in await addresses.resolve(self.target.host, self.target.port, self.config)


def _content(response: HttpResponse) -> Element:
    """Return the content of the response's body. Raises: SourceError, CommandError."""
    try:
        content = soap.read_response(response.body)
    except (NotACameraError, ProtocolError) as exc:
        raise _error_of_status(response.status, exc) from exc
    if response.status >= 400:
        raise _error_of_status(response.status, CommandError("The camera could not carry out the command."))
    return content


def _error_of_status(status: int, error: NinjacamError) -> NinjacamError:
    """Return the error for a response without a fault. `error`: the default if the status is not specific."""
    if status in (401, 403):
        return AuthenticationError(
            "The camera rejects the user name or password for ONVIF: check both, and that this user may use ONVIF."
        )
    if status in (404, 405, 501):
        return NotACameraError(
            sentence(
                "There is no ONVIF service at this address (HTTP status %(status)s): check its path, "
                "which is usually /onvif/device_service.",
                status=status,
            )
        )
    if status in (200, 400, 500):
        return error
    return ProtocolError(sentence("The camera returned the HTTP status %(status)s.", status=status))


def _date_time(answer: Element) -> datetime | None:
    """Return the camera's time; None: missing or impossible."""
    for name in ("UTCDateTime", "LocalDateTime"):
        found = answer.find("SystemDateAndTime", name)
        if found is None:
            continue
        parts = [found.get_int("Date", part) for part in ("Year", "Month", "Day")]
        parts += [found.get_int("Time", part) for part in ("Hour", "Minute", "Second")]
        values = [part for part in parts if part is not None]
        if len(values) == 6:
            try:
                return datetime(*values[:5], min(values[5], 59), tzinfo=UTC)  # type: ignore[arg-type, misc] # six ints
            except (ValueError, OverflowError):
                continue
    return None
