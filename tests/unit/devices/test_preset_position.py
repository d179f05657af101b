"""When a camera counts as being at a preset."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest

from ninjacam.core.errors import CommandRejectedError, NinjacamError, SourceTimeoutError
from ninjacam.core.movement import Vector
from ninjacam.devices.preset_position import MAX_LOOKS, PresetPosition
from ninjacam.testing.clock import FakeClock


class Scene:
    """A camera that reports `positions` one after the other, and then always the last one."""

    def __init__(self, positions: Iterator[Vector | NinjacamError]) -> None:
        self.clock = FakeClock()
        self.changes: list[str] = []
        self._positions = positions
        self._last: Vector | NinjacamError = Vector(0, 0, 0)
        self.position = PresetPosition(
            self._get, lambda: self.changes.append(self.position.preset), clock=self.clock
        )

    async def _get(self) -> Vector:
        self._last = next(self._positions, self._last)
        if isinstance(self._last, NinjacamError):
            raise self._last
        return self._last


def play(positions: Iterator[Vector | NinjacamError], scenario: Callable[[Scene], Awaitable[None]]) -> Scene:
    scene = Scene(positions)

    async def go() -> None:
        await scenario(scene)
        await scene.position.close()

    asyncio.run(go())
    return scene


def steps(*pans: float) -> Iterator[Vector | NinjacamError]:
    return iter([Vector(pan, 0, 0) for pan in pans])


def test_a_camera_is_at_the_preset_when_its_position_no_longer_changes() -> None:
    async def scenario(scene: Scene) -> None:
        scene.position.approach("1", scene.position.leave())
        await scene.clock.run(2.4)
        assert scene.position.preset == "", "it still moves"
        await scene.clock.run(0.2)
        assert scene.position.preset == "1"
        scene.position.stop()
        assert scene.position.preset == "1", "it stays there"
        scene.position.leave()
        assert scene.position.preset == ""

    assert play(steps(0.1, 0.2, 0.3, 0.3), scenario).changes == ["1", ""]


@pytest.mark.parametrize("position", [Vector(), CommandRejectedError("no")], ids=["empty", "refused"])
def test_a_camera_that_reports_no_position_arrives_after_three_seconds(
    position: Vector | NinjacamError,
) -> None:
    async def scenario(scene: Scene) -> None:
        scene.position.approach("1", scene.position.leave())
        await scene.clock.run(2.9)
        assert scene.position.preset == ""
        await scene.clock.run(0.2)
        assert scene.position.preset == "1"

    play(iter([position]), scenario)


def test_a_camera_that_cannot_be_reached_is_at_no_preset() -> None:
    async def scenario(scene: Scene) -> None:
        scene.position.approach("1", scene.position.leave())
        await scene.clock.run(60)
        assert scene.position.preset == ""

    assert play(iter([SourceTimeoutError("no response")]), scenario).changes == []


def test_a_camera_that_never_stops_is_at_no_preset_and_is_queried_no_longer() -> None:
    async def scenario(scene: Scene) -> None:
        scene.position.approach("1", scene.position.leave())
        await scene.clock.run(MAX_LOOKS)
        assert scene.position.preset == "" and scene.clock.sleepers == 0

    play(steps(*(at % 2 for at in range(1000))), scenario)


@pytest.mark.parametrize("disturb", [PresetPosition.leave, PresetPosition.stop])
def test_another_movement_on_the_way_makes_the_position_unknown(
    disturb: Callable[[PresetPosition], object],
) -> None:
    async def scenario(scene: Scene) -> None:
        scene.position.approach("1", scene.position.leave())
        await scene.clock.run(1.1)
        disturb(scene.position)
        await scene.clock.run(60)
        assert scene.position.preset == ""

    assert play(steps(0.1), scenario).changes == []


def test_an_answer_that_arrives_after_another_movement_counts_no_longer() -> None:
    async def scenario(scene: Scene) -> None:
        first = scene.position.leave()
        scene.position.approach("2", scene.position.leave())
        scene.position.approach("1", first)
        await scene.clock.run(60)
        assert scene.position.preset == "2"
        scene.position.forget("1")
        assert scene.position.preset == "2"
        scene.position.forget("2")
        assert scene.position.preset == ""

    play(steps(0.1), scenario)


def test_a_preset_that_is_removed_while_the_camera_moves_to_it_is_not_reached() -> None:
    async def scenario(scene: Scene) -> None:
        scene.position.approach("1", scene.position.leave())
        await scene.clock.run(0.5)
        scene.position.forget("2")
        scene.position.forget("1")
        await scene.clock.run(5)
        assert scene.position.preset == ""

    assert play(steps(0.1), scenario).changes == []
