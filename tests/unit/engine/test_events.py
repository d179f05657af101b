from typing import Any

import pytest

from ninjacam.engine import events
from ninjacam.engine.events import EngineEvent, EventKeeper
from ninjacam.testing.clock import FakeClock

S = 10**9
GONE = {"code": "connection_refused", "message": "The host answers, but not on port 554.", "retryable": True}


class Host:
    """`log`: the latest version of each event."""

    def __init__(self, *ongoing: EngineEvent, adopt: bool = True) -> None:
        self.clock = FakeClock()
        self.begun_ns = self.clock.wall_ns()
        self.keeper = EventKeeper(clock=self.clock)
        self.log: dict[tuple[str, str, int], EngineEvent] = {}
        if adopt:
            self.keeper.adopt(ongoing)

    def pass_s(self, seconds: int, **cameras: Any) -> None:
        """Observe each camera's status once a second."""
        for _ in range(seconds):
            self.keeper.observe_cameras(cameras)
            self.collect()
            self.clock.advance(1)

    def collect(self) -> None:
        self.log |= {(event.slug, event.kind, event.start_ns): event for event in self.keeper.take()}

    @property
    def told(self) -> list[tuple[str, str, float, float | None]]:
        """Return (slug, kind, start, end), in seconds since the beginning."""
        return [
            (e.slug, e.kind, (e.start_ns - self.begun_ns) / S, e.end_ns and (e.end_ns - self.begun_ns) / S)
            for e in self.log.values()
        ]


def status(state: str, recording: str = "recording", **more: Any) -> dict[str, Any]:
    error = {"code": "recording", "message": "The disk is full."} if recording == "failing" else None
    return {"state": state, "recording": {"state": recording, "error": error}, **more}


LIVE, DOWN = status("live"), status("reconnecting", "waiting", error=GONE)


def test_a_camera_that_is_down_is_one_event_until_it_is_back() -> None:
    host = Host()
    host.pass_s(10, door=LIVE)
    host.pass_s(2, door=status("stalled"))
    host.pass_s(20, door=DOWN)
    assert host.told == [("door", "camera_down", 10, None)]
    (event,) = host.log.values()
    assert event.label == "The camera refuses the connection.", "no address: those who may replay it read it"
    assert event.data == {"state": "reconnecting", "code": "connection_refused"}
    host.pass_s(10, door=LIVE)
    assert host.told == [("door", "camera_down", 10, 32)]
    assert host.keeper.begun["camera_down"] == 1


def test_the_event_starts_at_the_last_frame() -> None:
    host = Host()
    host.pass_s(10, door=status("stalled", last_video_ns=host.begun_ns - 2 * S))
    assert host.told == [("door", "camera_down", -2, None)]


def test_a_short_loss_is_no_event_and_a_short_return_does_not_end_one() -> None:
    host = Host()
    for _ in range(10):
        host.pass_s(3, door=DOWN)
        host.pass_s(3, door=LIVE)
    assert host.told == []
    host.pass_s(8, door=DOWN)
    host.pass_s(3, door=LIVE)
    host.pass_s(8, door=DOWN)
    assert host.told == [("door", "camera_down", 60, None)]


def test_a_camera_that_is_connecting_is_neither_down_nor_back() -> None:
    """All cameras are connecting while a capture process restarts."""
    host = Host()
    host.pass_s(30, door={"state": "connecting"})
    assert host.told == []
    host.pass_s(10, door=DOWN)
    host.pass_s(30, door={"state": "connecting"})
    assert host.told == [("door", "camera_down", 30, None)]


@pytest.mark.parametrize("cameras", [{}, {"door": {"state": "disabled"}}])
def test_events_of_a_disabled_or_removed_camera_end(cameras: dict[str, Any]) -> None:
    host = Host()
    host.pass_s(10, door=status("failed", "failing"))
    assert {kind for _, kind, _, _ in host.told} == {"camera_down", "recording_failed"}
    host.pass_s(40, **cameras)
    assert all(end == 10 for *_, end in host.told)


def test_a_recording_that_fails_repeatedly_is_one_event() -> None:
    host = Host()
    for _ in range(5):
        host.pass_s(6, door=status("live", "failing"))
        host.pass_s(10, door=LIVE)
    host.pass_s(40, door=LIVE)
    assert host.told == [("door", "recording_failed", 0, 70)]
    assert next(iter(host.log.values())).label == "The camera cannot be recorded at the moment."


def test_a_disk_that_is_full_repeatedly_is_one_event_of_the_host() -> None:
    host = Host()
    for second in range(0, 600, 10):
        host.keeper.observe_disk(is_full=second % 60 == 0, is_low=False)
        host.clock.advance(10)
    assert host.keeper.disk_status()["disk_full"]
    host.collect()
    assert host.told == [("", "disk_full", 0, None)]
    for _ in range(70):
        host.keeper.observe_disk(is_full=False, is_low=False)
        host.clock.advance(10)
    host.collect()
    assert host.told == [("", "disk_full", 0, 550)] and not host.keeper.disk_status()["disk_full"]


def test_a_disk_filled_by_other_files_is_an_event_with_instructions() -> None:
    host = Host()
    host.keeper.observe_disk(is_full=False, is_low=True)
    host.collect()
    (event,) = host.log.values()
    assert event.kind == "disk_low" and "Free some space" in event.label
    assert event.label == events.DISK_LOW_TEXT  # not truncated


def test_a_new_engine_adopts_ongoing_events_and_ends_those_whose_condition_has_ended() -> None:
    before = [EngineEvent(slug, "camera_down", 5) for slug in ("door", "yard", "gone")]
    host = Host(*before)
    host.pass_s(3, door={"state": "connecting"}, yard={"state": "connecting"})
    host.pass_s(20, door=DOWN, yard=LIVE)
    ended = {event.slug: event.end_ns for event in host.log.values()}
    assert ended == {"gone": host.begun_ns, "yard": host.begun_ns + 3 * S}
    host.pass_s(10, door=LIVE)
    assert {event.slug for event in host.log.values() if event.end_ns} == {"door", "yard", "gone"}
    assert {event.start_ns for event in host.log.values()} == {5} and not host.keeper.begun["camera_down"]


def test_if_an_event_was_created_twice_one_ends() -> None:
    host = Host(EngineEvent("door", "camera_down", 5), EngineEvent("door", "camera_down", 9))
    host.pass_s(3, door=DOWN)
    assert [(event.start_ns, event.end_ns) for event in host.log.values()] == [(5, 9)]


def test_before_adoption_no_event_is_created() -> None:
    host = Host(adopt=False)
    host.pass_s(20, door=DOWN)
    assert host.told == []
    host.keeper.adopt([EngineEvent("door", "camera_down", 5)])
    host.pass_s(20, door=DOWN)
    assert host.told == []


def test_unwritten_events_wait_within_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host()
    host.pass_s(6, door=DOWN)
    begun = list(host.log.values())
    host.pass_s(6, door=LIVE)
    ended = list(host.log.values())
    host.keeper.give_back(ended)
    host.keeper.give_back(begun)  # older but returned later: the newer version counts
    assert [event.end_ns for event in host.keeper.take()] == [host.begun_ns + 6 * S]
    monkeypatch.setattr(events, "MAX_WAITING", 10)
    host.keeper.give_back(EngineEvent("door", "camera_down", number) for number in range(30))
    assert [event.start_ns for event in host.keeper.take()] == list(range(20, 30))


def test_labels_are_truncated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MAX_LABEL", 10)
    host = Host()
    host.pass_s(8, door=status("failed", error={"code": "timeout", "message": "no answer from 10.0.0.5"}))
    assert next(iter(host.log.values())).label == "The camera"


MOTION = {"motion": {"since_ns": 0, "label": "video1"}}


def test_what_a_camera_reports_is_an_event_that_triggers_recording() -> None:
    host = Host()
    moving = {"motion": {"since_ns": host.begun_ns + 2 * S, "label": "video1"}}
    host.pass_s(3, door=LIVE)
    host.pass_s(4, door={**LIVE, "device_events": moving})
    assert host.told == [("door", "motion", 2, None)]
    host.pass_s(10, door=LIVE)
    assert host.told == [("door", "motion", 2, 7)]
    (event,) = host.log.values()
    assert event.triggers_recording and event.label == "video1"
    assert not host.keeper._of_devices


def test_motion_that_begins_again_soon_is_one_event() -> None:
    host = Host()
    for _ in range(5):
        host.pass_s(2, door={**LIVE, "device_events": MOTION})
        host.pass_s(3, door=LIVE)
    host.pass_s(10, door=LIVE)
    assert len(host.told) == 1


def test_an_event_of_a_camera_that_a_previous_engine_left_ends() -> None:
    host = Host(EngineEvent("door", "motion", 5, triggers_recording=True))
    host.pass_s(10, door=LIVE)
    ((slug, kind, _, end),) = host.told
    assert (slug, kind) == ("door", "motion") and end is not None


def with_finding(code: str, since_ns: int) -> dict[str, Any]:
    return status(
        "live", findings=[{"code": code, "message": "The camera shows a black image.", "since_ns": since_ns}]
    )


def test_a_black_image_is_one_event_from_the_beginning_of_its_finding() -> None:
    host = Host()
    host.pass_s(20, door=LIVE)
    host.pass_s(30, door=with_finding("black", host.begun_ns + 8 * S))
    assert host.told == [("door", "camera_black", 8, None)]
    host.pass_s(20, door=LIVE)
    host.pass_s(20, door=with_finding("black", host.begun_ns + 70 * S))
    assert host.told == [("door", "camera_black", 8, None)], "a short interruption does not end it"
    host.pass_s(40, door=LIVE)
    assert host.told == [("door", "camera_black", 8, 90)]
    (event,) = host.log.values()
    assert (event.label, event.triggers_recording) == ("The camera shows a black image.", False)


@pytest.mark.parametrize("code", ["packet_loss", "jitter", "less_data"])
def test_other_findings_are_not_events(code: str) -> None:
    host = Host()
    host.pass_s(60, door=with_finding(code, host.begun_ns))
    assert host.told == []


def test_a_new_engine_continues_the_event_of_a_frozen_image() -> None:
    begun_ns = FakeClock().wall_ns() - 100 * S
    host = Host(EngineEvent("door", "camera_frozen", begun_ns))
    host.pass_s(20, door=LIVE)
    host.pass_s(20, door=with_finding("frozen", host.begun_ns + 20 * S))
    assert host.told == []
    host.pass_s(31, door=LIVE)
    assert host.told == [("door", "camera_frozen", -100, 40)]
