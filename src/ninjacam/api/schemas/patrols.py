"""Patrols: presets that a camera visits one after the other."""

from typing import Annotated, Literal

from ninja import Schema
from pydantic import Field, StrictBool

from ninjacam.api.schemas.fields import example, input_example
from ninjacam.api.schemas.problems import ErrorOut
from ninjacam.api.schemas.ptz import Token
from ninjacam.devices.patrol import MAX_DWELL_S, MAX_STEPS, MIN_DWELL_S

_STEPS = [{"preset": "1", "dwell_s": 20}, {"preset": "2", "dwell_s": 10}]


class PatrolStepFields(Schema):
    preset: Token = Field(min_length=1, description="Token of a preset.")
    dwell_s: Annotated[float, Field(ge=MIN_DWELL_S, le=MAX_DWELL_S)] = Field(
        description="Seconds from the command to go there to the next step."
    )


class PatrolIn(Schema):
    model_config = input_example(steps=_STEPS, running=True)

    steps: list[PatrolStepFields] = Field(max_length=MAX_STEPS)
    running: StrictBool


class PatrolOut(Schema):
    model_config = example(steps=_STEPS, state="running", step=0, error=None, ended_by="")

    steps: list[PatrolStepFields]
    state: Literal["off", "waiting", "running", "failed"] = Field(
        description="`waiting`: it should run, but the camera is disabled or starting; `failed`: the camera rejects "
        "the login, or cannot move."
    )
    step: int | None = Field(description="Number of the present step, from 0.")
    error: ErrorOut | None = Field(
        description="Error of the present step. A preset that the camera does not have is skipped."
    )
    ended_by: str = Field(
        description="User who ended the patrol by moving the camera; empty if it was not ended so."
    )
