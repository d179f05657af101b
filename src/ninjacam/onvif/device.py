"""The device itself: its information, clock and relay outputs (ONVIF Device Management and Device I/O)."""

from dataclasses import dataclass
from datetime import UTC, datetime

from ninjacam.core.errors import CommandRejectedError, UnsupportedCommandError
from ninjacam.core.texts import sentence
from ninjacam.onvif.client import OnvifClient
from ninjacam.onvif.xml import Element, escape, printable

MAX_RELAYS = 32


@dataclass(frozen=True, slots=True)
class DeviceInformation:
    """Information that the device reports about itself, printable."""

    manufacturer: str = ""
    model: str = ""
    firmware: str = ""
    serial: str = ""
    hardware: str = ""


@dataclass(frozen=True, slots=True)
class Relay:
    """A relay output. `mode`: "Bistable", or "Monostable": it returns to its idle state by itself, after `delay`."""

    token: str
    mode: str = ""
    idle: str = ""
    delay: str = ""


async def get_information(client: OnvifClient) -> DeviceInformation:
    """Raises: SourceError, CommandError."""
    answer = await client.call("device", "GetDeviceInformation")
    return DeviceInformation(
        *(
            printable(answer.get_text(name), 80)
            for name in ("Manufacturer", "Model", "FirmwareVersion", "SerialNumber", "HardwareId")
        )
    )


async def set_clock(client: OnvifClient, now: datetime) -> float:
    """Set the camera's clock to `now` (aware). Return the remaining seconds by which it is ahead of this host's
    clock.

    The camera's time zone is unchanged. NTP is disabled on the camera. Raises: SourceError, CommandError.
    """
    answer = await client.call("device", "GetSystemDateAndTime")
    zone = answer.get_text("SystemDateAndTime", "TimeZone", "TZ")
    saving = answer.get_text("SystemDateAndTime", "DaylightSavings").lower() in ("true", "1")
    utc = now.astimezone(UTC)
    await client.call(
        "device",
        "SetSystemDateAndTime",
        f"<DateTimeType>Manual</DateTimeType><DaylightSavings>{str(saving).lower()}</DaylightSavings>"
        + (f"<TimeZone><t:TZ>{escape(zone)}</t:TZ></TimeZone>" if zone else "")
        + f"<UTCDateTime><t:Time><t:Hour>{utc.hour}</t:Hour><t:Minute>{utc.minute}</t:Minute>"
        f"<t:Second>{utc.second}</t:Second></t:Time><t:Date><t:Year>{utc.year}</t:Year>"
        f"<t:Month>{utc.month}</t:Month><t:Day>{utc.day}</t:Day></t:Date></UTCDateTime>",
    )
    return await client.get_clock_offset()


async def list_relays(client: OnvifClient) -> list[Relay]:
    """Return the relay outputs, from Device I/O if the camera has that service. Raises: SourceError, CommandError."""
    service = "deviceio" if await client.has_service("deviceio") else "device"
    try:
        answer = await client.call("deviceio" if service == "deviceio" else "device", "GetRelayOutputs")
    except UnsupportedCommandError:
        return []
    return [relay for found in answer.children[:MAX_RELAYS] if (relay := _relay(found)) is not None]


def _relay(found: Element) -> Relay | None:
    token = found.attributes.get("token", "")
    if not token or len(token) > 64:
        return None
    properties = found.find("Properties") or found
    return Relay(
        token,
        printable(properties.get_text("Mode"), 20),
        printable(properties.get_text("IdleState"), 20),
        printable(properties.get_text("DelayTime"), 20),
    )


async def set_relay(client: OnvifClient, token: str, *, is_active: bool) -> None:
    """Switch a relay output. Raises: CommandRejectedError: it does not exist; SourceError, CommandError."""
    if token not in {relay.token for relay in await list_relays(client)}:
        raise CommandRejectedError(
            sentence("The camera has no output “%(token)s”.", token=printable(token, 64))
        )
    state = "active" if is_active else "inactive"
    # Both services use the namespace of Device Management (ONVIF Device I/O, section 5.7).
    await client.call(
        "device",
        "SetRelayOutputState",
        f"<RelayOutputToken>{escape(token)}</RelayOutputToken><LogicalState>{state}</LogicalState>",
    )
