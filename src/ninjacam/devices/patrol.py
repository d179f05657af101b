"""A patrol: a camera moves from preset to preset, until it is stopped or a user moves the camera.

Not here: permissions (`ninjacam.actions.patrols`) and storage (`ninjacam.models`).
"""

import itertools
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

from ninjacam.core.clock import SYSTEM_CLOCK, Clock
from ninjacam.core.errors import AuthenticationError, NinjacamError, UnsupportedCommandError

logger = logging.getLogger("ninjacam.devices")

MAX_STEPS = 32
MIN_DWELL_S = 3.0
MAX_DWELL_S = 86_400.0


@dataclass(frozen=True, slots=True)
class PatrolStep:
    """A step of a patrol. `preset`: the camera's token. `dwell_s`: seconds from the command to the next step."""

    preset: str
    dwell_s: float


@dataclass(frozen=True, slots=True)
class PatrolPlan:
    """The steps of a patrol. `started_at`: time of the user's start command; a new start is another plan, even with
    the same steps."""

    steps: tuple[PatrolStep, ...]
    started_at: str

    @classmethod
    def of(cls, values: dict[str, Any] | None) -> "PatrolPlan | None":
        """Return the plan from its JSON form."""
        if values is None:
            return None
        return cls(tuple(PatrolStep(**step) for step in values["steps"]), values["started_at"])


class Patrol:
    """Thread: the event loop. `goto`: sends the camera to a preset. `on_change()`: `report` has changed."""

    def __init__(
        self,
        name: str,
        plan: PatrolPlan,
        goto: Callable[[str], Awaitable[None]],
        on_change: Callable[[], None],
        *,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.plan = plan
        self._name = name
        self._goto = goto
        self._on_change = on_change
        self._clock = clock
        self._state: Literal["running", "failed", "ended"] = "running"
        self._step = 0
        self._error: NinjacamError | None = None

    async def run(self) -> None:
        """Repeat the steps until cancelled. A preset that fails is skipped. A rejected login, or a camera that
        cannot move, ends the patrol."""
        for number in itertools.cycle(range(len(self.plan.steps))):
            self._step = number
            step = self.plan.steps[number]
            try:
                await self._goto(step.preset)
                self._error = None
            except (AuthenticationError, UnsupportedCommandError) as error:
                logger.warning("%s: the patrol cannot continue: %s", self._name, error)
                self._change("failed", error)
                return
            except NinjacamError as error:
                if self._error is None:
                    logger.warning("%s: the patrol skips a preset: %s", self._name, error)
                self._error = error
            self._change("running", self._error)
            await self._clock.sleep(max(MIN_DWELL_S, step.dwell_s))

    def end(self) -> None:
        """Note that a user has taken control. The caller cancels `run`."""
        if self._state == "running":
            logger.info("%s: the patrol ends, because a user moves the camera", self._name)
            self._change("ended", None)

    def _change(self, state: Literal["running", "failed", "ended"], error: NinjacamError | None) -> None:
        self._state, self._error = state, error
        self._on_change()

    def report(self) -> dict[str, Any]:
        """Return {"state", "step" (from 0), "error"}: "running", "failed" or "ended"."""
        error = self._error.as_dict() if self._error is not None else None
        return {"state": self._state, "step": self._step, "error": error}
