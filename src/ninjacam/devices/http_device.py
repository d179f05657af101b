"""Cameras without ONVIF that accept commands over HTTP: requests, logins and errors that their protocols share.

Passwords are sent as a digest, and by HTTP Basic only over TLS (`sources.http_session`), as for ONVIF.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import parse_qs, quote, urlencode

from ninjacam.core.clock import SYSTEM_CLOCK, Clock
from ninjacam.core.errors import (
    AuthenticationError,
    CommandError,
    CommandRejectedError,
    ConfigError,
    NotACameraError,
    ProtocolError,
    UnsupportedCommandError,
)
from ninjacam.core.movement import Abilities, Vector
from ninjacam.core.texts import sentence
from ninjacam.devices.device import Device
from ninjacam.devices.login_guard import LoginGuard
from ninjacam.onvif.xml import printable
from ninjacam.sources.base import SourceConfig
from ninjacam.sources.http_session import HttpSession
from ninjacam.sources.urls import parse_url

STOP_TIMEOUT_S = 2.0
MAX_BODY_BYTES = 1 << 18
MAX_PRESETS = 300
MAX_CHANNEL = 256
ABILITIES = Abilities(
    continuous_move=True,
    continuous_zoom=True,
    relative_move=True,
    relative_zoom=True,
    absolute_move=True,
    absolute_zoom=True,
    max_presets=MAX_PRESETS,
)
"""The functions of both protocols, which have no query for them."""


def split_protocol(url: str) -> tuple[str, str]:
    """Return ("dahua", "http://…") of "dahua+http://…"; the name is empty for a plain URL."""
    name, plus, rest = url.partition("+")
    return (name.lower(), rest) if plus and name.isalnum() else ("", url)


class HttpDevice(Device):
    """`config.url`: such as dahua+http://host:port/?channel=2. Thread: the event loop."""

    path = ""
    """Path of the CGI program for commands."""
    confirms = True
    """Whether the response to a command is OK, and never empty."""

    def __init__(self, config: SourceConfig, *, clock: Clock = SYSTEM_CLOCK) -> None:
        """Raises: ConfigError."""
        _name, url = split_protocol(config.url)
        target = parse_url(url)
        if target.scheme not in ("http", "https"):
            raise ConfigError("The camera's address for commands must start with http: or https:.")
        self._channel = _channel(target.path)
        self._base = f"{target.scheme}://{target.authority}"
        self._guard = LoginGuard(clock)
        config = replace(config, url=self._base)
        self._session = HttpSession(config, max_body_bytes=MAX_BODY_BYTES)
        self._stopping = HttpSession(config, timeout_s=STOP_TIMEOUT_S, max_body_bytes=MAX_BODY_BYTES)
        """Stop must not wait for the response to another command."""

    async def _send(self, values: Mapping[str, object], *, urgent: bool = False) -> str:
        """Send a command, and return the text of the response. Raises: SourceError, CommandError.

        `urgent`: a stop, which is sent even after a rejected login, because the camera may be moving.
        """
        session = self._stopping if urgent else self._session
        url = f"{self._base}{self.path}?{urlencode(values, safe=',', quote_via=quote)}"
        with contextlib.nullcontext() if urgent else self._guard.guarded():
            response = await session.request("GET", url)
            if response.status == 401:
                raise AuthenticationError(
                    "The camera rejects the user name or password for commands: check both."
                )
        if response.status == 403:
            raise CommandRejectedError(
                "The camera does not allow this user to send the command: give the user more rights in the camera."
            )
        if response.status in (404, 405, 501):
            raise NotACameraError(
                sentence(
                    "The camera has no commands of this kind at this address (HTTP status %(status)s): check "
                    "the kind, or use ONVIF.",
                    status=response.status,
                )
            )
        text = response.body.decode("utf-8", "replace")
        if text.lstrip("\ufeff \t\r\n").startswith("<"):
            raise NotACameraError(
                "A web page answers there, not the camera's commands: check the kind and the port."
            )
        if response.status >= 400 or text.lstrip().lower().startswith("error"):
            raise CommandError(
                sentence(
                    "The camera could not carry out the command. It says: “%(answer)s”.",
                    answer=printable(text) or response.status,
                )
            )
        return text

    async def _command(self, values: Mapping[str, object], *, urgent: bool = False) -> None:
        """Raises: ProtocolError: the camera does not confirm the command; SourceError, CommandError."""
        text = (await self._send(values, urgent=urgent)).strip()
        if not text.upper().startswith("OK") and (text or self.confirms):
            raise ProtocolError(
                sentence(
                    "The camera does not confirm the command. It says: “%(text)s”.", text=printable(text)
                )
            )

    async def get_position(self) -> Vector:
        raise UnsupportedCommandError("The camera's position is not read through this interface.")

    async def go_home(self) -> None:
        raise UnsupportedCommandError("This interface of the camera has no home position.")

    async def set_home(self) -> None:
        raise UnsupportedCommandError("The camera's home position is set in its own settings.")

    def close(self) -> None:
        self._session.close()
        self._stopping.close()


def _channel(path: str) -> int:
    """Return the channel of a recorder or video server, from `?channel=2`. Raises: ConfigError."""
    text = parse_qs(path.partition("?")[2]).get("channel", ["1"])[-1]
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:4]) <= MAX_CHANNEL):
        raise ConfigError(
            sentence("The channel must be a number from 1 to %(max_channel)s.", max_channel=MAX_CHANNEL)
        )
    return int(text)


def checked_axes(vector: Vector) -> dict[str, float]:
    """Return the axes that move, by name. Raises: UnsupportedCommandError: none."""
    found = {name: getattr(vector, name) for name in ("pan", "tilt", "zoom")}
    axes = {name: value for name, value in found.items() if value is not None}
    if not axes:
        raise UnsupportedCommandError("Specify pan, tilt or zoom.")
    return axes
