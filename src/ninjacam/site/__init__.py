"""The Django project of `ninjacam serve`. Your own project does not need it."""
