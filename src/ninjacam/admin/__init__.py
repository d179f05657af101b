"""The models in Django's admin, which imports this package."""

from ninjacam.admin import access, cameras, profiles, recordings, rules

__all__ = ["access", "cameras", "profiles", "recordings", "rules"]
