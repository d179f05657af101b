"""Brightness and other levels, focus, and the switch between day and night (ONVIF Imaging)."""

from dataclasses import dataclass, field, replace

from ninjacam.core.errors import CommandRejectedError, UnsupportedCommandError
from ninjacam.core.texts import sentence
from ninjacam.onvif.client import OnvifClient
from ninjacam.onvif.xml import Element, escape, printable

LEVELS = {
    "brightness": "Brightness",
    "contrast": "Contrast",
    "saturation": "ColorSaturation",
    "sharpness": "Sharpness",
}
"""Our names of the levels -> ONVIF's names."""
_ORDER = ("Brightness", "ColorSaturation", "Contrast", "Focus", "IrCutFilter", "Sharpness")
"""The order of elements that the schema requires."""
MAX_MODES = 8


@dataclass(frozen=True, slots=True)
class ImagingLevel:
    """A level and its range, in the camera's own unit. A level without a range cannot be changed."""

    value: float
    min: float | None = None
    max: float | None = None


@dataclass(frozen=True, slots=True)
class Imaging:
    """The settings of a video source, and their supported values. Empty: the camera does not support the setting."""

    ir_cut_filter: str = ""
    """State of the infrared cut filter: "on" by day, "off" at night, when cameras usually switch on infrared lamps.
    """
    ir_cut_filters: tuple[str, ...] = ()
    ir_lamp_modes: tuple[str, ...] = ()
    """"on", "off", "auto". The state of the lamp cannot be read."""
    focus_mode: str = ""
    """"auto" or "manual"."""
    focus_modes: tuple[str, ...] = ()
    can_move_focus: bool = False
    levels: dict[str, ImagingLevel] = field(default_factory=dict)
    """Levels by the names in LEVELS."""


@dataclass(frozen=True, slots=True)
class ImagingChanges:
    """The settings to change; empty: unchanged. `levels`: values by the names in LEVELS."""

    ir_cut_filter: str = ""
    ir_lamp: str = ""
    focus_mode: str = ""
    levels: dict[str, float] = field(default_factory=dict)


def _source(token: str) -> str:
    return f"<VideoSourceToken>{escape(token)}</VideoSourceToken>"


async def get_imaging(client: OnvifClient, source: str) -> Imaging:
    """`source`: token of the video source (`MediaProfile.source`). Raises: SourceError, CommandError."""
    settings = await client.call("imaging", "GetImagingSettings", _source(source))
    options = await client.call("imaging", "GetOptions", _source(source))
    return replace(read_imaging(settings, options), can_move_focus=await _can_move_focus(client, source))


def read_imaging(settings: Element, options: Element) -> Imaging:
    """Return the settings from the responses to GetImagingSettings and GetOptions."""
    found = settings.find("ImagingSettings") or Element("")
    offered = options.find("ImagingOptions") or Element("")
    levels = {
        name: ImagingLevel(value, offered.get_float(element, "Min"), offered.get_float(element, "Max"))
        for name, element in LEVELS.items()
        if (value := found.get_float(element)) is not None
    }
    return Imaging(
        ir_cut_filter=_mode(found.get_text("IrCutFilter")),
        ir_cut_filters=_modes(offered.find_all("IrCutFilterModes")),
        focus_mode=_mode(found.get_text("Focus", "AutoFocusMode")),
        focus_modes=_modes(offered.find_all("Focus", "AutoFocusModes")),
        levels=levels,
    )


def _mode(text: str) -> str:
    return printable(text, 10).lower()


def _modes(found: list[Element]) -> tuple[str, ...]:
    return tuple(mode for each in found[:MAX_MODES] if (mode := _mode(each.text)))


async def _can_move_focus(client: OnvifClient, source: str) -> bool:
    try:
        moves = await client.call("imaging", "GetMoveOptions", _source(source))
    except (UnsupportedCommandError, CommandRejectedError):
        return False
    return moves.find("MoveOptions", "Continuous") is not None


async def set_imaging(client: OnvifClient, source: str, changes: ImagingChanges) -> None:
    """Change settings, except the lamp; the camera keeps the others.

    Raises: CommandRejectedError: the camera does not offer the value; SourceError, CommandError.
    """
    offered = await get_imaging(client, source)
    elements: dict[str, str] = {}
    if changes.ir_cut_filter:
        check_mode("day and night", changes.ir_cut_filter, offered.ir_cut_filters)
        elements["IrCutFilter"] = f"<t:IrCutFilter>{changes.ir_cut_filter.upper()}</t:IrCutFilter>"
    if changes.focus_mode:
        check_mode("the focus", changes.focus_mode, offered.focus_modes)
        mode = f"<t:AutoFocusMode>{changes.focus_mode.upper()}</t:AutoFocusMode>"
        elements["Focus"] = f"<t:Focus>{mode}</t:Focus>"
    for name, value in changes.levels.items():
        _check_level(name, value, offered.levels.get(name))
        elements[LEVELS[name]] = f"<t:{LEVELS[name]}>{value:g}</t:{LEVELS[name]}>"
    settings = "".join(elements[name] for name in _ORDER if name in elements)
    content = f"{_source(source)}<ImagingSettings>{settings}</ImagingSettings>"
    await client.call("imaging", "SetImagingSettings", f"{content}<ForcePersistence>true</ForcePersistence>")


def check_mode(what: str, mode: str, offered: tuple[str, ...]) -> None:
    """Raises: CommandRejectedError."""
    if mode not in offered:
        modes = ", ".join(offered) or "nothing"
        raise CommandRejectedError(
            sentence(
                "The camera cannot set %(what)s to “%(mode)s”. It offers: %(modes)s.",
                what=what,
                mode=printable(mode, 10),
                modes=modes,
            )
        )


def _check_level(name: str, value: float, level: ImagingLevel | None) -> None:
    """Raises: CommandRejectedError."""
    if level is None or level.min is None or level.max is None:
        raise CommandRejectedError(
            sentence("The %(name)s of the camera cannot be changed.", name=printable(name, 20))
        )
    if not level.min <= value <= level.max:
        raise CommandRejectedError(
            sentence(
                "The camera offers a %(name)s of %(min)s to %(max)s.",
                name=name,
                min=f"{level.min:g}",
                max=f"{level.max:g}",
            )
        )


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
