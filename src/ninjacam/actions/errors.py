"""How an action refuses. Of the tree in `core/errors.py`:

NinjacamError
├── ForbiddenError   the actor may not
├── NotFoundError    there is none, or none that the actor may know of
├── ConflictError    the name is taken
└── InvalidError     a value cannot be used; says which
"""

from typing import Any

from ninjacam.core.errors import NinjacamError


class ForbiddenError(NinjacamError):
    code = "forbidden"
    retryable = False


class NotFoundError(NinjacamError):
    code = "not_found"
    retryable = False


class ConflictError(NinjacamError):
    code = "conflict"
    retryable = False


class InvalidError(NinjacamError):
    """`fields`: the name of each wrong field, and its messages."""

    code = "invalid"
    retryable = False

    def __init__(self, message: str, fields: dict[str, list[str]] | None = None) -> None:
        super().__init__(message)
        self.fields = fields or {}

    @classmethod
    def of(cls, field: str, message: str) -> "InvalidError":
        return cls(message, {field: [message]})

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "fields": self.fields}
