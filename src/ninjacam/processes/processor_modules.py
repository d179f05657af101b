"""Locations of processors: the `cameras` module of each installed app, and the product's `<data>/cameras.py`."""

import sys
from pathlib import Path

from django.apps import apps
from django.conf import settings

from ninjacam.conf import Settings
from ninjacam.vision.code import DATA_MODULE, ModuleFile

PRODUCT_SETTINGS = "ninjacam.site.settings"


def _project_owners() -> frozenset[int]:
    """Return the owner of the project's settings, whose code runs in all of our processes and who may therefore own
    `cameras.py`."""
    source = getattr(sys.modules.get(settings.SETTINGS_MODULE), "__file__", None)
    try:
        return frozenset([Path(source).stat().st_uid]) if source else frozenset()
    except OSError:
        return frozenset()


def processor_modules(config: Settings) -> list[ModuleFile]:
    """Return modules whose files exist, and those whose files may be created later."""
    found = []
    owners = _project_owners()
    for app in apps.get_app_configs():
        if app.name == "ninjacam" or app.name.startswith("django."):
            continue
        module = Path(app.path) / config.processors_module.replace(".", "/")
        package = module / "__init__.py"
        path = package if package.exists() else module.with_suffix(".py")
        found.append(ModuleFile(f"{app.name}.{config.processors_module}", path, owners))
    if settings.SETTINGS_MODULE == PRODUCT_SETTINGS:
        found.append(ModuleFile(DATA_MODULE, config.data_dir / "cameras.py"))
    return found
