import re

from ninjacam.core import errors
from ninjacam.core.viewer_errors import _TEXTS, for_viewers


def test_viewers_get_a_message_without_details() -> None:
    full = {
        "code": "timeout",
        "message": "10.0.0.5:554 does not answer.",
        "retryable": True,
        "traceback": "x",
    }
    assert for_viewers(full) == {
        "code": "timeout",
        "message": "The camera does not answer.",
        "retryable": True,
    }
    unknown = for_viewers({"code": "new", "message": "secret", "retryable": False})
    assert unknown == {
        "code": "new", "message": "The camera does not send video at the moment.", "retryable": False
    }  # fmt: skip
    assert for_viewers(None) is None and for_viewers({}) is None


def test_each_camera_error_has_a_message_for_viewers() -> None:
    """A code without a message gets the general one, which does not help viewers."""
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.SourceError)
    ]
    missing = {kind.code for kind in kinds} - set(_TEXTS) - {"source"}
    assert not missing
    assert all(re.fullmatch(r"[A-Z][^0-9:/]+\.", text) for text in _TEXTS.values())


def test_a_wrong_password_is_not_described_as_a_camera_that_cannot_be_reached() -> None:
    shown = for_viewers(errors.AuthenticationError("10.0.0.5 rejects the user name or password.").as_dict())
    assert shown is not None and "password" in shown["message"]
    for kind in (errors.HostNotFoundError, errors.SourceTimeoutError, errors.StreamNotFoundError):
        other = for_viewers(kind("10.0.0.5 cannot be reached.").as_dict())
        assert other is not None and "password" not in other["message"]
