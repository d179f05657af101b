"""Movement of a camera: abilities, presets, commands."""

from typing import Annotated, Literal

from ninja import Schema
from pydantic import Field

from ninjacam.api.schemas.fields import example, input_example

Axis = Annotated[float, Field(ge=-1, le=1)]
Token = Annotated[str, Field(max_length=64, pattern=r"^[^\x00-\x1f\x7f]*$")]


class PresetOut(Schema):
    """A position that the camera has saved."""

    token: str
    name: str


class PtzOut(Schema):
    """What the camera can do, as it says itself. `presets`: in the camera's order."""

    model_config = example(
        continuous_move=True,
        continuous_zoom=True,
        relative_move=True,
        relative_zoom=True,
        absolute_move=True,
        absolute_zoom=True,
        home=True,
        max_presets=100,
        presets=[{"token": "1", "name": "Gate"}],
        preset="1",
    )

    continuous_move: bool
    continuous_zoom: bool
    relative_move: bool
    relative_zoom: bool
    absolute_move: bool
    absolute_zoom: bool
    home: bool
    max_presets: int = Field(description="Maximum number of presets; 0: none.")
    presets: list[PresetOut]
    preset: str | None = Field(
        description="Token of the preset at which the camera is after our own command; null: unknown, or it moves."
    )


class PtzIn(Schema):
    """A command. `move_for` moves at the speed `pan`, `tilt`, `zoom` for `duration_s`; `move_by` and `move_to` take a
    distance and a position. For movements that last while a key is held, use the WebSocket."""

    model_config = input_example(command="move_by", pan=0.1)

    command: Literal[
        "stop",
        "move_for",
        "move_by",
        "move_to",
        "goto_preset",
        "set_preset",
        "remove_preset",
        "go_home",
        "set_home",
    ]
    pan: Axis | None = Field(None, description="From -1 (left) to 1.")
    tilt: Axis | None = Field(None, description="From -1 (down) to 1.")
    zoom: Axis | None = Field(None, description="From -1 (wide) to 1; a position starts at 0.")
    preset: Token = Field("", description="Token of a preset. With `set_preset`: the one to replace.")
    name: Annotated[str, Field(max_length=64, pattern=r"^[^\x00-\x1f\x7f]*$")] = Field(
        "", description="Name of the preset to save."
    )
    duration_s: Annotated[float, Field(ge=0.1, le=10)] = Field(1.0, description="Seconds of `move_for`.")


class PtzResult(Schema):
    """The camera has taken the command. `preset`: token of the saved preset, else null."""

    model_config = example(preset=None)

    preset: str | None
