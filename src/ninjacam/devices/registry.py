"""Selects the adapter for the address of a device: ONVIF, or the protocol in its URL (`axis+http://…`)."""

from ninjacam.core.clock import SYSTEM_CLOCK, Clock
from ninjacam.core.errors import ConfigError
from ninjacam.core.texts import sentence
from ninjacam.devices.axis import AxisDevice
from ninjacam.devices.dahua import DahuaDevice
from ninjacam.devices.device import Device
from ninjacam.devices.http_device import HttpDevice, split_protocol
from ninjacam.devices.onvif_device import OnvifDevice
from ninjacam.sources.base import SourceConfig

ADAPTERS: dict[str, type[HttpDevice]] = {"axis": AxisDevice, "dahua": DahuaDevice}
"""Adapters by the name before the + in the URL."""


def open_device(config: SourceConfig, *, clock: Clock = SYSTEM_CLOCK) -> Device:
    """Return the device, which is not connected yet. Raises: ConfigError: the URL names an unknown protocol, or is
    malformed."""
    name, _url = split_protocol(config.url)
    if not name:
        return OnvifDevice(config, clock=clock)
    if name not in ADAPTERS:
        raise ConfigError(
            sentence(
                "Unknown kind of device “%(name)s”. Use one of: %(kinds)s.",
                name=name[:20],
                kinds=", ".join(sorted(ADAPTERS)),
            )
        )
    return ADAPTERS[name](config, clock=clock)
