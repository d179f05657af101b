"""Types of fields that several schemas share."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, ConfigDict, Field, SecretStr

Slug = Annotated[
    str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,49}$", description="Short name, which is part of URLs.")
]
Name = Annotated[str, Field(max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")]
MAX_ID = 2**63 - 1
RowId = Annotated[int, Field(ge=1, le=MAX_ID)]
Time = Annotated[
    AwareDatetime, Field(ge=datetime(1971, 1, 1, tzinfo=UTC), le=datetime(2200, 1, 1, tzinfo=UTC))
]
"""With an offset, and within the years whose nanoseconds since 1970 fit into 64 bits."""
RoleName = Literal["view", "replay", "export", "control", "configure"]


def plain(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values for an action, with secrets as plain text."""
    return {
        name: value.get_secret_value() if isinstance(value, SecretStr) else value
        for name, value in values.items()
    }


def example(**values: Any) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [values]})


def input_example(**values: Any) -> ConfigDict:
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [values]})
