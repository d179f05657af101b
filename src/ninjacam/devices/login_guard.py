"""Blocks commands to a camera that has just rejected the login, because cameras lock accounts."""

import contextlib
from collections.abc import Iterator

from ninjacam.core.clock import SYSTEM_CLOCK, Clock
from ninjacam.core.errors import AuthenticationError

LOCKED_S = 30.0
"""Seconds without commands after a rejected login."""


class LoginGuard:
    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._refusal: tuple[int, AuthenticationError] | None = None
        """Monotonic time and error of a rejected login."""

    @contextlib.contextmanager
    def guarded(self) -> Iterator[None]:
        """Run a command. Raises: AuthenticationError: the camera rejects it, or has just rejected another command."""
        self.check()
        try:
            yield
        except AuthenticationError as error:
            self._refusal = self._refusal or (self._clock.monotonic_ns(), error)
            raise

    def check(self) -> None:
        """Raises: AuthenticationError: the camera has just rejected the login."""
        if self._refusal is not None:
            refused_ns, error = self._refusal
            if self._clock.monotonic_ns() - refused_ns < LOCKED_S * 1e9:
                raise error
            self._refusal = None
