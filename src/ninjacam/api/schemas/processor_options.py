"""Options of processors for one camera."""

from typing import Any

from ninja import Schema
from pydantic import Field, JsonValue

from ninjacam.api.schemas.fields import example, input_example
from ninjacam.api.schemas.pages import PageOut

_OPTIONS = {
    "processor": "edges",
    "description": "Canny edges.",
    "options_schema": {
        "type": "object",
        "properties": {"low": {"type": "integer", "default": 80, "minimum": 0, "maximum": 255}},
    },
    "values": {"low": 60},
    "problems": {},
}


class ProcessorOptionsOut(Schema):
    model_config = example(**_OPTIONS)

    processor: str
    description: str
    options_schema: dict[str, Any] = Field(description="JSON Schema of the options, with their defaults.")
    values: dict[str, Any] = Field(
        description="Options that were set for this camera. Others have the default."
    )
    problems: dict[str, str] = Field(
        description="Name of an option and why its value is not used, for example because the code has changed."
    )


class ProcessorOptionsPage(PageOut[ProcessorOptionsOut]):
    model_config = example(items=[_OPTIONS], next=None)


class ProcessorOptionsPatch(Schema):
    model_config = input_example(values={"low": 60})

    values: dict[str, JsonValue] = Field(
        max_length=200, description="Options to set; null: back to the default. Others keep their values."
    )
