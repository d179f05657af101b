"""Names of values that are made from the names of zones. Not a processor."""

from ninjacam import Zone

MAX_CHARS = 32
"""Maximum length of the name of a value."""


def to_value_name(zone: Zone, suffix: str = "") -> str:
    """Return the name of a zone or line as that of a value, with this suffix: a-z, 0-9 and _, a letter first."""
    name = zone.name.replace("-", "_")
    if not name[:1].isalpha():
        name = f"{zone.kind}_{name}"
    return name[: MAX_CHARS - len(suffix)] + suffix
