"""The dead man's switch, with a fake clock."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from ninjacam.core.errors import AuthenticationError, NinjacamError, SourceTimeoutError
from ninjacam.core.movement import Vector
from ninjacam.devices.movement import GIVE_UP_S, HOLD_S, RENEW_S, Movement
from ninjacam.testing.clock import FakeClock

LEFT, RIGHT, NONE = Vector(pan=-1), Vector(pan=1), Vector(pan=0)


class Rig:
    """A mover that records commands with their times and responds to moves when the test permits it."""

    def __init__(self, marker: Path) -> None:
        self.clock = FakeClock()
        self.log: list[tuple[float, str]] = []
        self.errors: list[NinjacamError] = []
        self.answers = asyncio.Event()
        self.answers.set()
        self.stop_answers = asyncio.Event()
        self.stop_answers.set()
        self.timeouts_s: list[float] = []
        self.move_error: NinjacamError | None = None
        self.stop_error: NinjacamError | None = None
        self.marker = marker
        self.start_s = self.now_s
        self.movement = self.new()

    def new(self) -> Movement:
        return Movement(self, self.marker, lambda _, error: self.errors.append(error), clock=self.clock)

    @property
    def now_s(self) -> float:
        return self.clock.monotonic_ns() / 1e9

    def note(self, what: str) -> None:
        self.log.append((round(self.now_s - self.start_s, 3), what))

    async def move(self, velocity: Vector, timeout_s: float) -> None:
        self.note(f"move {velocity.pan:g}")
        self.timeouts_s.append(timeout_s)
        await self.answers.wait()
        if self.move_error:
            raise self.move_error

    async def stop(self) -> None:
        self.note("stop")
        await self.stop_answers.wait()
        if self.stop_error:
            raise self.stop_error

    async def refresh(self, holder: object, velocity: Vector, duration_s: float) -> None:
        """Hold the key for a while."""
        for _ in range(round(duration_s / 0.1)):
            self.movement.hold(holder, velocity)
            await self.clock.run(0.1)

    @property
    def commands(self) -> list[str]:
        return [what for _, what in self.log]


@pytest.fixture
def with_rig(tmp_path: Path) -> Callable[[Callable[[Rig], Awaitable[None]]], None]:
    def run(scenario: Callable[[Rig], Awaitable[None]]) -> None:
        async def go() -> None:
            rig = Rig(tmp_path / "door.moving")
            await scenario(rig)
            await rig.movement.close()

        asyncio.run(go())

    return run


Run = Callable[[Callable[[Rig], Awaitable[None]]], None]


def test_a_key_moves_and_its_release_stops_at_once(with_rig: Run) -> None:
    async def scenario(rig: Rig) -> None:
        rig.movement.hold("a", LEFT)
        await rig.clock.run(0.1)
        assert rig.marker.exists()
        rig.movement.release("a")
        await rig.clock.run(0)
        assert rig.log == [(0.0, "move -1"), (0.1, "stop")]
        assert not rig.marker.exists()

    with_rig(scenario)


def test_a_held_movement_is_renewed_at_the_camera(with_rig: Run) -> None:
    async def scenario(rig: Rig) -> None:
        await rig.refresh("a", LEFT, 2 * RENEW_S + 0.1)
        assert rig.log == [(0.0, "move -1"), (RENEW_S, "move -1"), (2 * RENEW_S, "move -1")]

    with_rig(scenario)


def test_without_a_renewal_the_camera_stops_by_itself_soon(with_rig: Run) -> None:
    async def scenario(rig: Rig) -> None:
        await rig.refresh("a", LEFT, 2 * RENEW_S + 0.1)
        assert all(RENEW_S < each <= 2 for each in rig.timeouts_s) and len(rig.timeouts_s) == 3

    with_rig(scenario)


def test_a_move_waits_for_the_answer_to_a_stop(with_rig: Run) -> None:
    async def scenario(rig: Rig) -> None:
        rig.movement.hold("a", LEFT)
        await rig.clock.run(0.1)
        rig.stop_answers.clear()
        rig.movement.release("a")
        await rig.clock.run(0)
        rig.movement.hold("a", RIGHT)
        await rig.clock.run(0.1)
        assert rig.commands == ["move -1", "stop"]
        rig.stop_answers.set()
        await rig.clock.run(0)
        assert rig.commands == ["move -1", "stop", "move 1"]

    with_rig(scenario)


def test_a_movement_that_is_not_refreshed_ends(with_rig: Run) -> None:
    async def scenario(rig: Rig) -> None:
        rig.movement.hold("a", LEFT)
        await rig.clock.run(5)
        assert rig.log == [(0.0, "move -1"), (HOLD_S, "stop")]

    with_rig(scenario)


def test_another_direction_is_sent_at_once_and_a_zero_velocity_stops(with_rig: Run) -> None:
    async def scenario(rig: Rig) -> None:
        rig.movement.hold("a", LEFT)
        await rig.clock.run(0.1)
        rig.movement.hold("a", RIGHT)
        await rig.clock.run(0.1)
        rig.movement.hold("a", NONE)
        await rig.clock.run(1)
        assert rig.log == [(0.0, "move -1"), (0.1, "move 1"), (0.2, "stop")]

    with_rig(scenario)


def test_a_stop_does_not_wait_for_a_slow_move_and_is_repeated_after_it(with_rig: Run) -> None:
    """The camera may have executed them in reverse order."""

    async def scenario(rig: Rig) -> None:
        rig.answers.clear()
        rig.movement.hold("a", LEFT)
        await rig.clock.run(0.1)
        rig.movement.release("a")
        await rig.clock.run(3)
        assert rig.log == [(0.0, "move -1"), (0.1, "stop")] and rig.marker.exists()
        rig.answers.set()
        await rig.clock.run(0)
        assert rig.log[2:] == [(3.1, "stop")] and not rig.marker.exists()

    with_rig(scenario)


def test_a_hold_ends_even_while_the_camera_is_slow(with_rig: Run) -> None:
    async def scenario(rig: Rig) -> None:
        rig.answers.clear()
        rig.movement.hold("a", LEFT)
        await rig.clock.run(1)
        assert rig.log == [(0.0, "move -1"), (HOLD_S, "stop")]
        rig.answers.set()

    with_rig(scenario)


def test_a_stop_that_fails_is_repeated_until_it_is_acknowledged(with_rig: Run) -> None:
    async def scenario(rig: Rig) -> None:
        rig.stop_error = SourceTimeoutError("late")
        rig.movement.hold("a", LEFT)
        await rig.clock.run(0.1)
        rig.movement.release("a")
        await rig.clock.run(0.9)
        assert rig.commands.count("stop") == 4 and rig.marker.exists()
        rig.stop_error = None
        await rig.clock.run(1)
        assert rig.commands.count("stop") == 5 and not rig.marker.exists()

    with_rig(scenario)


def test_a_camera_that_is_gone_is_given_up(with_rig: Run) -> None:
    async def scenario(rig: Rig) -> None:
        rig.stop_error = SourceTimeoutError("late")
        rig.movement.hold("a", LEFT)
        await rig.clock.run(GIVE_UP_S + 2)
        count = len(rig.log)
        await rig.clock.run(60)
        assert len(rig.log) == count and rig.marker.exists()
        rig.stop_error = None
        rig.movement = rig.new()
        rig.movement.recover()
        await rig.clock.run(0.1)
        assert len(rig.log) == count + 1 and not rig.marker.exists(), "the next process tries again"

    with_rig(scenario)


def test_a_rejected_login_is_not_repeated(with_rig: Run) -> None:
    async def scenario(rig: Rig) -> None:
        rig.move_error = rig.stop_error = AuthenticationError("no")
        rig.movement.hold("a", LEFT)
        await rig.clock.run(5)
        assert rig.commands == ["move -1"] and len(rig.errors) == 1
        assert not rig.marker.exists(), "a camera that rejects the first movement does not move"

    with_rig(scenario)


def test_a_rejected_stop_of_a_moving_camera_is_repeated_at_growing_intervals(with_rig: Run) -> None:
    async def scenario(rig: Rig) -> None:
        rig.movement.hold("a", LEFT)
        await rig.clock.run(0.1)
        rig.move_error = rig.stop_error = AuthenticationError("no")
        rig.movement.hold("a", RIGHT)  # rejected, but the camera moves to the left
        await rig.clock.run(GIVE_UP_S / 2)
        stops = [at_s for at_s, what in rig.log if what == "stop"]
        assert len(stops) == 5 and rig.marker.exists(), "cameras lock accounts"
        rig.stop_error = None
        await rig.clock.run(GIVE_UP_S / 2)
        assert rig.commands.count("stop") == 6 and not rig.marker.exists()

    with_rig(scenario)


def test_a_new_press_during_a_stop_moves_after_it(with_rig: Run) -> None:
    async def scenario(rig: Rig) -> None:
        rig.movement.hold("a", LEFT)
        await rig.clock.run(0.1)
        rig.movement.release("a")
        rig.movement.hold("a", RIGHT)
        await rig.clock.run(0.1)
        assert rig.commands[-1] == "move 1"

    with_rig(scenario)


def test_the_last_holder_wins(with_rig: Run) -> None:
    async def scenario(rig: Rig) -> None:
        rig.movement.hold("a", LEFT)
        await rig.clock.run(0.1)
        rig.movement.hold("b", RIGHT)
        await rig.clock.run(0.1)
        rig.movement.release("a")
        await rig.clock.run(0)
        assert rig.commands == ["move -1", "move 1"]
        rig.movement.release("b")
        await rig.clock.run(0)
        assert rig.commands == ["move -1", "move 1", "stop"]

    with_rig(scenario)


def test_a_camera_that_the_previous_process_moved_is_stopped(with_rig: Run) -> None:
    async def scenario(rig: Rig) -> None:
        rig.marker.touch()
        after = rig.new()
        after.recover()
        await rig.clock.run(0)
        assert rig.commands == ["stop"] and not rig.marker.exists()
        await after.close()

    with_rig(scenario)


def test_closing_stops_a_moving_camera(with_rig: Run) -> None:
    async def scenario(rig: Rig) -> None:
        rig.movement.hold("a", LEFT)
        await rig.clock.run(0.1)
        await rig.movement.close()
        assert rig.commands == ["move -1", "stop"]

    with_rig(scenario)


def test_a_resting_camera_gets_no_commands(with_rig: Run) -> None:
    async def scenario(rig: Rig) -> None:
        rig.movement.release("a")
        rig.movement.recover()
        await rig.movement.finish()
        await rig.movement.close()
        assert rig.log == []

    with_rig(scenario)
