from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class NinjacamConfig(AppConfig):
    """Registers the system checks. Starts nothing: no thread, no camera, no import of user code."""

    name = "ninjacam"
    verbose_name = _("Cameras")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from ninjacam import checks  # noqa: F401 (registers)
