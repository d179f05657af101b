"""Focus, and the switch between day and night (ONVIF Imaging)."""

from dataclasses import dataclass
from typing import Literal

from ninjacam.core.errors import CommandRejectedError
from ninjacam.onvif.client import OnvifClient
from ninjacam.onvif.xml import Element, escape, printable

IrCutFilter = Literal["on", "off", "auto"]
"""The filter blocks infrared light: on by day, off by night, when cameras usually switch their lamps on."""


@dataclass(frozen=True, slots=True)
class ImagingSettings:
    """Settings of a video source; None: the camera does not have this one. Numbers are in the camera's own units."""

    ir_cut_filter: str | None = None
    focus_mode: str | None = None
    """"auto" or "manual"."""
    brightness: float | None = None
    contrast: float | None = None
    saturation: float | None = None
    sharpness: float | None = None


@dataclass(frozen=True, slots=True)
class ImagingOptions:
    """`can_focus`: the focus can be moved."""

    ir_cut_filter: tuple[str, ...] = ()
    focus_modes: tuple[str, ...] = ()
    can_focus: bool = False


def _source(token: str) -> str:
    return f"<VideoSourceToken>{escape(token)}</VideoSourceToken>"


async def get_settings(client: OnvifClient, source: str) -> ImagingSettings:
    """`source`: token of the video source (`Profile.source`). Raises: SourceError, CommandError."""
    found = (await client.call("imaging", "GetImagingSettings", _source(source))).find("ImagingSettings")
    found = found or Element("")
    return ImagingSettings(
        ir_cut_filter=printable(found.get_text("IrCutFilter"), 10).lower() or None,
        focus_mode=printable(found.get_text("Focus", "AutoFocusMode"), 10).lower() or None,
        brightness=found.get_float("Brightness"),
        contrast=found.get_float("Contrast"),
        saturation=found.get_float("ColorSaturation"),
        sharpness=found.get_float("Sharpness"),
    )


async def get_options(client: OnvifClient, source: str) -> ImagingOptions:
    """Raises: SourceError, CommandError."""
    found = (await client.call("imaging", "GetOptions", _source(source))).find("ImagingOptions") or Element(
        ""
    )
    moves = await client.call("imaging", "GetMoveOptions", _source(source))
    return ImagingOptions(
        ir_cut_filter=tuple(
            printable(each.text, 10).lower() for each in found.find_all("IrCutFilterModes")[:8]
        ),
        focus_modes=tuple(
            printable(each.text, 10).lower() for each in found.find_all("Focus", "AutoFocusModes")[:8]
        ),
        can_focus=moves.find("MoveOptions", "Continuous") is not None,
    )


async def set_ir_cut_filter(client: OnvifClient, source: str, mode: IrCutFilter) -> None:
    """Raises: CommandRejectedError, SourceError, CommandError."""
    options = await get_options(client, source)
    if mode not in options.ir_cut_filter:
        offered = ", ".join(options.ir_cut_filter) or "nothing"
        raise CommandRejectedError(f"The camera cannot set day and night to “{mode}”. It offers: {offered}.")
    await _set(client, source, f"<t:IrCutFilter>{mode.upper()}</t:IrCutFilter>")


async def set_focus_mode(client: OnvifClient, source: str, mode: Literal["auto", "manual"]) -> None:
    """Raises: SourceError, CommandError."""
    await _set(client, source, f"<t:Focus><t:AutoFocusMode>{mode.upper()}</t:AutoFocusMode></t:Focus>")


async def _set(client: OnvifClient, source: str, settings: str) -> None:
    content = f"{_source(source)}<ImagingSettings>{settings}</ImagingSettings>"
    await client.call("imaging", "SetImagingSettings", f"{content}<ForcePersistence>true</ForcePersistence>")


async def move_focus(client: OnvifClient, source: str, speed: float) -> None:
    """Move the focus until `stop_focus`: far with a positive `speed`, near with a negative one, from -1 to 1.

    Raises: SourceError, CommandError.
    """
    content = (
        f"<Focus><t:Continuous><t:Speed>{max(-1.0, min(1.0, speed)):.4g}</t:Speed></t:Continuous></Focus>"
    )
    await client.call("imaging", "Move", _source(source) + content)


async def stop_focus(client: OnvifClient, source: str) -> None:
    """Raises: SourceError, CommandError."""
    await client.call("imaging", "Stop", _source(source), lane="urgent")
