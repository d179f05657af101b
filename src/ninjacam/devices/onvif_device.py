"""A camera that accepts commands by ONVIF. It is found and opened at the first command."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from ninjacam.core.clock import SYSTEM_CLOCK, Clock
from ninjacam.core.errors import (
    AuthenticationError,
    CommandRejectedError,
    SourceError,
    UnsupportedCommandError,
)
from ninjacam.core.movement import Abilities, Preset, Vector
from ninjacam.core.texts import sentence
from ninjacam.core.times import to_datetime
from ninjacam.devices.description import DeviceDescription, EncoderSettings, describe_device
from ninjacam.devices.device import Device
from ninjacam.devices.login_guard import LoginGuard
from ninjacam.onvif import device, imaging, media
from ninjacam.onvif.client import OnvifClient
from ninjacam.onvif.device import Relay
from ninjacam.onvif.imaging import Imaging, ImagingChanges, check_mode
from ninjacam.onvif.lamp import IrLamp, find_ir_lamp, set_ir_lamp
from ninjacam.onvif.media import EncoderChanges, MediaProfile
from ninjacam.onvif.ptz import Ptz, open_ptz
from ninjacam.onvif.search import find_device
from ninjacam.onvif.xml import printable
from ninjacam.sources.base import SourceConfig
from ninjacam.sources.urls import parse_url

T = TypeVar("T")
LAMP_TIMEOUT_S = 3.0
"""Maximum seconds to find the lamp, without which the imaging settings are returned."""
SEARCH_SCHEME = "onvif"
"""URL scheme for a host on whose common ports the device is searched."""
DEVICE_PATH = "/onvif/device_service"
"""The path that ONVIF requires (Core Specification, section 5.1.1)."""


class OnvifDevice(Device):
    """Finds and opens the device at the first command. Thread: the event loop.

    `config.url`: of the device, with or without its path; or `onvif://host/`: it is searched there.
    """

    def __init__(self, config: SourceConfig, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._config = config
        self._clock = clock
        self._client: OnvifClient | None = None
        self._ptz: Ptz | None = None
        self._video_source = ""
        """Token of the video source for imaging settings."""
        self._lamp: IrLamp | None = None
        self._is_lamp_known = False
        self._opening = asyncio.Lock()
        self._movement_guard = LoginGuard(clock)
        self._settings_guard = LoginGuard(clock)
        """Separate, because a camera may reject settings of a user with movement rights only, like an invalid
        password."""

    async def connect(self) -> OnvifClient:
        """Return the client of the device. Raises: SourceError: it was not found."""
        async with self._opening:
            return await self._connect()

    async def _connect(self) -> OnvifClient:
        if self._client is None:
            self._client = OnvifClient(await self._found(), clock=self._clock)
        return self._client

    async def _open(self) -> Ptz:
        """Raises: UnsupportedCommandError: it cannot move; SourceError, CommandError."""
        if self._ptz is None:
            async with self._opening:
                self._movement_guard.check()  # Another command may have been rejected while this one waited.
                self._ptz = self._ptz or await open_ptz(await self._connect())
        return self._ptz

    async def _run(self, do: Callable[[Ptz], Awaitable[T]]) -> T:
        """Open the device and send a movement command, unless the camera has just rejected the login."""
        with self._movement_guard.guarded():
            return await do(await self._open())

    async def _call(self, do: Callable[[OnvifClient], Awaitable[T]]) -> T:
        """Find the device and send another command, unless the camera has just rejected the login."""
        with self._settings_guard.guarded():
            return await do(await self.connect())

    async def _found(self) -> SourceConfig:
        """Raises: SourceError: no device was found."""
        target = parse_url(self._config.url)
        if target.scheme == SEARCH_SCHEME:
            return await find_device(self._config, target.host, DEVICE_PATH)
        if target.path != "/":
            return self._config
        return replace(self._config, url=f"{target.scheme}://{target.authority}{DEVICE_PATH}")

    async def get_abilities(self) -> Abilities:
        async def of(ptz: Ptz) -> Abilities:
            return ptz.abilities

        return await self._run(of)

    async def move(self, velocity: Vector, timeout_s: float) -> None:
        await self._run(lambda ptz: ptz.move(velocity, timeout_s))

    async def stop(self) -> None:
        """Send a stop, even after a rejected login: the camera may be moving."""
        await (await self._open()).stop()

    async def move_by(self, translation: Vector) -> None:
        await self._run(lambda ptz: ptz.move_by(translation))

    async def move_to(self, position: Vector) -> None:
        await self._run(lambda ptz: ptz.move_to(position))

    async def get_position(self) -> Vector:
        return await self._run(lambda ptz: ptz.get_position())

    async def list_presets(self) -> list[Preset]:
        return await self._run(lambda ptz: ptz.list_presets())

    async def goto_preset(self, token: str) -> None:
        await self._run(lambda ptz: ptz.goto_preset(token))

    async def set_preset(self, name: str, token: str) -> str:
        return await self._run(lambda ptz: ptz.set_preset(name, token))

    async def remove_preset(self, token: str) -> None:
        await self._run(lambda ptz: ptz.remove_preset(token))

    async def go_home(self) -> None:
        await self._run(lambda ptz: ptz.go_home())

    async def set_home(self) -> None:
        await self._run(lambda ptz: ptz.set_home())

    # --- settings ---

    async def describe(self) -> DeviceDescription:
        return await self._call(describe_device)

    async def get_encoder(self, profile: str) -> EncoderSettings:
        async def get(client: OnvifClient) -> EncoderSettings:
            found = await _find_profile(client, profile)
            options = await media.get_encoder_options(client, found)
            assert found.encoder is not None
            return EncoderSettings(found.encoder, tuple(options))

        return await self._call(get)

    async def set_encoder(self, profile: str, changes: EncoderChanges) -> None:
        async def change(client: OnvifClient) -> None:
            found = await _find_profile(client, profile)
            assert found.encoder is not None
            await media.set_encoder(client, found, changes.apply_to(found.encoder))

        await self._call(change)

    async def set_clock(self) -> float:
        now = to_datetime(self._clock.wall_ns())
        return await self._call(lambda client: device.set_clock(client, now))

    async def get_imaging(self) -> Imaging:
        async def get(client: OnvifClient) -> Imaging:
            try:
                found = await imaging.get_imaging(client, await self._find_source(client))
            except UnsupportedCommandError:
                modes = await self._lamp_modes(client)
                if not modes:
                    raise
                return Imaging(ir_lamp_modes=modes)
            return replace(found, ir_lamp_modes=await self._lamp_modes(client))

        return await self._call(get)

    async def set_imaging(self, changes: ImagingChanges) -> None:
        async def change(client: OnvifClient) -> None:
            lamp = await self._find_lamp(client) if changes.ir_lamp else None
            if changes.ir_lamp:
                check_mode("the infrared lamp", changes.ir_lamp, lamp.modes if lamp else ())
            if changes != ImagingChanges(ir_lamp=changes.ir_lamp):
                await imaging.set_imaging(client, await self._find_source(client), changes)
            if lamp is not None:
                await set_ir_lamp(client, lamp, changes.ir_lamp)

        await self._call(change)

    async def _lamp_modes(self, client: OnvifClient) -> tuple[str, ...]:
        """Return the modes of the lamp; empty: none, or the camera does not return them."""
        try:
            async with asyncio.timeout(LAMP_TIMEOUT_S):
                lamp = await self._find_lamp(client)
        except (TimeoutError, SourceError) as exc:
            if isinstance(exc, AuthenticationError):
                self._is_lamp_known = True  # Must not be repeated: cameras lock accounts.
            return ()
        return lamp.modes if lamp else ()

    async def _find_lamp(self, client: OnvifClient) -> IrLamp | None:
        if not self._is_lamp_known:
            self._lamp = await find_ir_lamp(client)
            self._is_lamp_known = True
        return self._lamp

    async def move_focus(self, speed: float) -> None:
        await self._image(lambda client, source: imaging.move_focus(client, source, speed))

    async def stop_focus(self) -> None:
        """Stop the focus. Like `stop`, sent whenever `move_focus` may have been."""
        if self._client is not None and self._video_source:
            await imaging.stop_focus(self._client, self._video_source)

    async def _image(self, do: Callable[[OnvifClient, str], Awaitable[T]]) -> T:
        async def call(client: OnvifClient) -> T:
            return await do(client, await self._find_source(client))

        return await self._call(call)

    async def _find_source(self, client: OnvifClient) -> str:
        """Raises: UnsupportedCommandError: there is none; SourceError, CommandError."""
        if not self._video_source:
            sources = (profile.source for profile in await media.list_profiles(client))
            self._video_source = next(filter(None, sources), "")
        if not self._video_source:
            raise UnsupportedCommandError("The camera names no video source, so it has no imaging settings.")
        return self._video_source

    async def list_outputs(self) -> list[Relay]:
        return await self._call(device.list_relays)

    async def set_output(self, token: str, *, is_active: bool) -> None:
        await self._call(lambda client: device.set_relay(client, token, is_active=is_active))

    def close(self) -> None:
        if self._client is not None:
            self._client.close()


async def _find_profile(client: OnvifClient, token: str) -> MediaProfile:
    """Raises: CommandRejectedError: there is none with an encoder; SourceError, CommandError."""
    for profile in await media.list_profiles(client):
        if profile.token == token and profile.encoder is not None:
            return profile
    raise CommandRejectedError(
        sentence("The camera has no video profile “%(token)s”.", token=printable(token, 64))
    )
