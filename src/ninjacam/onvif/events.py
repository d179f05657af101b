"""Events of a camera through a pull point: motion, tampering, line crossing, digital inputs, sounds (ONVIF Event
Service).

Not here: subscribing again after an error (`core.lifecycle.supervise`), and the processing of events.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from ninjacam.core.clock import SYSTEM_CLOCK, Clock
from ninjacam.core.errors import CommandError, NinjacamError, ProtocolError
from ninjacam.onvif.client import NAMESPACES, OnvifClient
from ninjacam.onvif.xml import Element, escape, local_name, printable

LANE = "events"
_NOTIFICATION = "http://docs.oasis-open.org/wsn/b-2"
_ADDRESSING = "http://www.w3.org/2005/08/addressing"
_ACTION = f"{NAMESPACES['events']}/PullPointSubscription/PullMessagesRequest"
_RENEW = "http://docs.oasis-open.org/wsn/bw-2/SubscriptionManager/RenewRequest"
_UNSUBSCRIBE = "http://docs.oasis-open.org/wsn/bw-2/SubscriptionManager/UnsubscribeRequest"
LIFE_S = 120
"""Seconds until the camera ends the subscription, unless it is renewed."""
RENEW_AFTER_S = 50
PULL_S = 10
"""Seconds for which the camera may delay its response until an event occurs."""
MAX_MESSAGES = 100
MIN_PULL_S = 0.5
"""Minimum seconds between two requests if a camera responds immediately without messages."""
MAX_CLOCK_ERROR_S = 60.0
"""Maximum deviation in seconds of the camera's event time from ours. Otherwise our time is used."""


@dataclass(frozen=True, slots=True)
class DeviceEvent:
    """A change that the camera reports. `source`: distinguishes several of a kind, such as the name of a rule.

    `is_active`: None: an instant, such as a crossed line. `at_ns`: wall clock of this host. `is_initial`: the state
    when the subscription began.
    """

    kind: str
    source: str
    is_active: bool | None
    at_ns: int
    is_initial: bool = False


_KINDS = (
    # Part of the topic, kind. The first match counts.
    ("RuleEngine/LineDetector", "line_crossed"),
    ("RuleEngine/FieldDetector", "field"),
    ("RuleEngine/MyRuleDetector/PeopleDetect", "person"),
    ("RuleEngine/MyRuleDetector/VehicleDetect", "vehicle"),
    ("RuleEngine/MyRuleDetector/DogCatDetect", "animal"),
    ("RuleEngine/MyRuleDetector/FaceDetect", "face"),
    ("RuleEngine/MyRuleDetector/Visitor", "doorbell"),
    ("RuleEngine/TamperDetector", "tamper"),
    ("VideoSource/GlobalSceneChange", "tamper"),
    ("VideoSource/ImageTooDark", "tamper"),
    ("VideoSource/ImageTooBright", "tamper"),
    ("VideoSource/ImageTooBlurry", "tamper"),
    ("VideoSource/SignalLoss", "tamper"),
    ("VideoSource/MotionAlarm", "motion"),
    ("CellMotionDetector/Motion", "motion"),
    ("MotionRegionDetector/Motion", "motion"),
    ("Device/Trigger/DigitalInput", "digital_input"),
    ("AudioAnalytics/Audio", "audio"),
    ("AudioSource", "audio"),
)
KINDS = frozenset(kind for _, kind in _KINDS)
_MOMENTS = frozenset({"line_crossed"})
_TRUE = frozenset({"true", "1", "on", "active", "high"})
_FALSE = frozenset({"false", "0", "off", "inactive", "low", ""})


async def pull_events(
    client: OnvifClient,
    on_event: Callable[[DeviceEvent], None],
    on_subscribed: Callable[[], None] = lambda: None,
    *,
    clock: Clock = SYSTEM_CLOCK,
) -> None:
    """Subscribe, and pass events to `on_event` until an error or cancellation.

    Raises: SourceError, CommandError: always, when it ends; UnsupportedCommandError: the camera has no events.
    """
    subscription = await _subscribe(client)
    on_subscribed()
    renewed_ns = clock.monotonic_ns()
    offset_s = await client.get_clock_offset()
    try:
        while True:
            asked_ns = clock.monotonic_ns()
            answer = await subscription.call(
                NAMESPACES["events"],
                "PullMessages",
                _ACTION,
                f"<Timeout>PT{PULL_S}S</Timeout><MessageLimit>{MAX_MESSAGES}</MessageLimit>",
                timeout_s=PULL_S + 10,
            )
            if answer.name != "PullMessagesResponse":
                raise ProtocolError("The camera does not answer requests for events as ONVIF requires.")
            messages = answer.find_all("NotificationMessage")[:MAX_MESSAGES]
            for message in messages:
                event = read_event(message, offset_s, clock.wall_ns())
                if event is not None:
                    on_event(event)
            now_ns = clock.monotonic_ns()
            if (now_ns - renewed_ns) / 1e9 >= RENEW_AFTER_S:
                renewed_ns = now_ns
                await subscription.renew()
                offset_s = await client.get_clock_offset()
            if not messages and (now_ns - asked_ns) / 1e9 < MIN_PULL_S:
                await clock.sleep(MIN_PULL_S)
    finally:
        with contextlib.suppress(NinjacamError):
            await subscription.end()


async def _subscribe(client: OnvifClient) -> "_Subscription":
    content = f"<InitialTerminationTime>PT{LIFE_S}S</InitialTerminationTime>"
    answer = await client.call("events", "CreatePullPointSubscription", content, lane=LANE)
    reference = answer.find("SubscriptionReference") or Element("")
    address = reference.get_text("Address")
    if not address:
        raise ProtocolError("The camera names no address for its events.")
    parameters = (reference.find("ReferenceParameters") or Element("")).children[:8]
    return _Subscription(client, client.own_address(address), "".join(map(_returned, parameters)))


def _returned(parameter: Element) -> str:
    """Return a reference parameter for the header of requests (WS-Addressing 1.0 SOAP Binding, section 2.1)."""
    name = parameter.name
    if not name.replace("-", "").replace("_", "").isalnum():
        return ""
    attribute = f' xmlns:a="{_ADDRESSING}" a:IsReferenceParameter="true"'
    return f'<{name} xmlns="{escape(parameter.namespace)}"{attribute}>{escape(parameter.text)}</{name}>'


class _Subscription:
    def __init__(self, client: OnvifClient, address: str, parameters: str) -> None:
        self._client = client
        self._address = address
        self._parameters = parameters

    async def call(
        self,
        namespace: str,
        operation: str,
        action: str,
        content: str = "",
        *,
        timeout_s: float | None = None,
    ) -> Element:
        header = (
            f'<a:Action xmlns:a="{_ADDRESSING}">{action}</a:Action>'
            f'<a:To xmlns:a="{_ADDRESSING}">{escape(self._address)}</a:To>{self._parameters}'
        )
        return await self._client.call_at(
            self._address, namespace, operation, content, header=header, lane=LANE, timeout_s=timeout_s
        )

    async def renew(self) -> None:
        content = f"<TerminationTime>PT{LIFE_S}S</TerminationTime>"
        # Cameras that extend a subscription with each pull often do not support renewal.
        with contextlib.suppress(CommandError):
            await self.call(_NOTIFICATION, "Renew", _RENEW, content)

    async def end(self) -> None:
        await self.call(_NOTIFICATION, "Unsubscribe", _UNSUBSCRIBE, timeout_s=1.0)


def read_event(notification: Element, offset_s: float, now_ns: int) -> DeviceEvent | None:
    """Return the event of a notification; None: a kind that we do not use.

    `offset_s`: seconds by which the camera's clock is ahead. `now_ns`: wall clock.
    """
    topic = "/".join(local_name(part) for part in notification.get_text("Topic").strip()[:300].split("/"))
    kind = next((kind for part, kind in _KINDS if part in topic), None)
    message = notification.find("Message", "Message") or notification.find("Message")
    if kind is None or message is None:
        return None
    operation = message.attributes.get("PropertyOperation", "")
    source = " ".join(_items(message, "Source").values())
    return DeviceEvent(
        kind,
        printable(source, 80),
        None if kind in _MOMENTS else _state(_items(message, "Data"), operation),
        _time_ns(message.attributes.get("UtcTime", ""), offset_s, now_ns),
        is_initial=operation == "Initialized",
    )


def _items(message: Element, part: str) -> dict[str, str]:
    return {
        item.attributes.get("Name", "")[:64]: item.attributes.get("Value", "")[:64]
        for item in message.find_all(part, "SimpleItem")[:16]
    }


def _state(data: dict[str, str], operation: str) -> bool | None:
    """Return the first boolean value. A deleted property is not active."""
    if operation == "Deleted":
        return False
    for value in data.values():
        if value.strip().lower() in _TRUE:
            return True
        if value.strip().lower() in _FALSE:
            return False
    return None


def _time_ns(text: str, offset_s: float, now_ns: int) -> int:
    """Return the camera's event time by our clock, or `now_ns` if it is missing or implausible."""
    try:
        stated = datetime.fromisoformat(text.strip()[:40])
    except ValueError:
        return now_ns
    stated = stated if stated.tzinfo else stated.replace(tzinfo=UTC)
    at_ns = round((stated.timestamp() - offset_s) * 1e9)
    return at_ns if 0 <= now_ns - at_ns <= MAX_CLOCK_ERROR_S * 1e9 else now_ns
