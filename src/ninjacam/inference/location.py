"""Where models are stored. Set once by the entry point, because this package does not know Django's settings."""

from collections.abc import Callable
from pathlib import Path

from ninjacam.core.errors import ConfigError

_find_models_dir: Callable[[], Path] | None = None


def set_models_dir(find: Callable[[], Path]) -> None:
    """Set the function that returns the directory of models. It is called each time, so that settings may change."""
    global _find_models_dir
    _find_models_dir = find


def get_models_dir() -> Path:
    """Raises: ConfigError: it is not set, because Django is not set up in this process."""
    if _find_models_dir is None:
        raise ConfigError(
            "Models are found by name only after django.setup(). Call it first, or pass the path of a model."
        )
    return _find_models_dir()
