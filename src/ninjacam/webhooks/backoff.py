"""When a failed delivery is tried again."""

FIRST_DELAY_S = 5.0
MAX_DELAY_S = 900.0
"""A receiver that is back is tried within this time."""
MAX_ATTEMPTS = 32
"""With these delays, the last attempt is made after 6 hours."""


def delay_s(attempts: int) -> float | None:
    """Return the seconds until the next attempt, after so many failed ones; None: there is none."""
    if attempts >= MAX_ATTEMPTS:
        return None
    return float(min(FIRST_DELAY_S * 2 ** (max(1, attempts) - 1), MAX_DELAY_S))
