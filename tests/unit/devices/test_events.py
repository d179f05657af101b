"""Active states according to a camera's events, and the subscription, which continues after errors."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from ninjacam.core.errors import AuthenticationError, SourceTimeoutError
from ninjacam.devices.events import MAX_ACTIVE_S, MAX_STATES, MIN_ACTIVE_S, DeviceEvents
from ninjacam.devices.onvif_device import OnvifDevice
from ninjacam.onvif.client import OnvifClient
from ninjacam.onvif.events import DeviceEvent
from ninjacam.sources.base import SourceConfig
from ninjacam.testing.clock import FakeClock
from ninjacam.testing.onvif_camera import FakeOnvifCamera
from tests.unit.devices.test_server import until


async def never() -> OnvifClient:
    raise AssertionError


def events_of(clock: FakeClock, connect: Callable[[], Awaitable[OnvifClient]] = never) -> DeviceEvents:
    return DeviceEvents("door", connect, lambda: None, clock=clock)


def change(is_active: bool | None, at_ns: int = 7, kind: str = "motion", source: str = "v1") -> DeviceEvent:
    return DeviceEvent(kind, source, is_active, at_ns)


def test_a_state_is_active_until_it_ends() -> None:
    clock = FakeClock()
    events = events_of(clock)
    events.take(change(False))
    assert events.report() == {}
    events.take(change(True))
    clock.advance(100)
    events.take(change(True, at_ns=9))
    assert events.report() == {"motion": {"since_ns": 7, "label": "v1"}}
    events.take(change(False))
    assert events.report() == {}


def test_a_short_state_and_a_moment_are_reported_long_enough_to_be_seen() -> None:
    for first in (True, None):
        clock = FakeClock()
        events = events_of(clock)
        events.take(change(first))
        if first:
            events.take(change(False))
        clock.advance(MIN_ACTIVE_S - 0.1)
        assert "motion" in events.report()
        clock.advance(0.2)
        assert events.report() == {}


def test_the_earliest_of_several_sources_counts() -> None:
    events = events_of(FakeClock())
    events.take(change(True, at_ns=9, source="b"))
    events.take(change(True, at_ns=5, source="a"))
    assert events.report() == {"motion": {"since_ns": 5, "label": "a"}}


def test_a_camera_cannot_fill_the_memory_or_leave_a_state_active_without_end() -> None:
    clock = FakeClock()
    events = events_of(clock)
    for number in range(10 * MAX_STATES):
        events.take(change(True, source=str(number)))
    assert len(events._states) == MAX_STATES
    clock.advance(MAX_ACTIVE_S + 1)
    assert events.report() == {}


def test_without_a_subscription_nothing_is_active_and_it_is_tried_again() -> None:
    async def go() -> None:
        clock, attempts = FakeClock(), 0

        async def connect() -> OnvifClient:
            nonlocal attempts
            attempts += 1
            raise SourceTimeoutError("late")

        events = events_of(clock, connect)
        events.take(change(True))
        running = asyncio.create_task(events.run())
        await clock.run(100)
        assert attempts > 4 and events.report() == {}
        events.stop()
        await running

    asyncio.run(go())


def test_a_rejected_login_is_not_repeated() -> None:
    async def go() -> None:
        attempts = 0

        async def connect() -> OnvifClient:
            nonlocal attempts
            attempts += 1
            raise AuthenticationError("no")

        await events_of(FakeClock(), connect).run()
        assert attempts == 1

    asyncio.run(go())


def test_events_of_a_camera_arrive_and_the_subscription_is_renewed_after_its_restart() -> None:
    async def go() -> None:
        with FakeOnvifCamera() as camera:
            device = OnvifDevice(SourceConfig(camera.url, username="admin", password="secret"))
            events = DeviceEvents("door", device.connect, lambda: None)
            running = asyncio.create_task(events.run())

            def active() -> dict[str, Any]:
                return events.report()

            camera.notify("tns1:VideoSource/MotionAlarm", "State", "true")
            await until(lambda: "motion" in active())
            camera.forget_subscriptions()
            await until(lambda: camera.subscriptions == 2)
            camera.notify("tns1:Device/Trigger/DigitalInput", "LogicalState", "true")
            await until(lambda: "digital_input" in active())
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            device.close()

    asyncio.run(go())
