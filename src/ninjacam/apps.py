from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in
from django.utils.translation import gettext_lazy as _


class NinjacamConfig(AppConfig):
    """Registers the system checks, the receivers of the audit record and of notifications, and the directory of models.

    Starts no threads or cameras, and imports no user code.
    """

    name = "ninjacam"
    verbose_name = _("Cameras")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from ninjacam import checks  # noqa: F401 (registers)
        from ninjacam.actions import audit_signals, notifications, sessions, sign_in
        from ninjacam.conf import get_settings
        from ninjacam.inference.location import set_models_dir

        set_models_dir(lambda: get_settings().models_dir)
        audit_signals.connect()
        notifications.connect()
        user_logged_in.connect(sign_in.note_login, dispatch_uid="ninjacam.sign_in")
        user_logged_in.connect(sessions.note_login, dispatch_uid="ninjacam.sessions")
