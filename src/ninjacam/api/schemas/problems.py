"""Errors of requests, cameras and views."""

from collections.abc import Mapping
from typing import Any

from ninja import Schema
from pydantic import Field

from ninjacam.api.schemas.fields import example
from ninjacam.languages import translate_item


class FieldProblem(Schema):
    field: str
    message: str


class ProblemOut(Schema):
    """An error (RFC 9457). `code` is for programs and never changes; `detail` is a sentence for people."""

    model_config = example(
        type="about:blank",
        title="Not Found",
        status=404,
        code="not_found",
        detail="No camera “dor”.",
    )

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str
    errors: list[FieldProblem] = Field(default_factory=list)


class ErrorOut(Schema):
    """Why a camera, a view or an export does not work."""

    model_config = example(
        code="connection_refused", message="The host answers, but not on port 554.", retryable=True
    )

    code: str
    message: str
    retryable: bool = True
    traceback: str = Field(
        "", description="Traceback of a processor, for users who may configure the camera; otherwise empty."
    )

    @classmethod
    def of(cls, error: Mapping[str, Any] | None) -> "ErrorOut | None":
        """`error`: as `NinjacamError.as_dict` makes it."""
        if not error:
            return None
        return cls(
            code=error.get("code", "error"),
            message=translate_item(error),
            retryable=error.get("retryable", True),
            traceback=error.get("traceback", ""),
        )
