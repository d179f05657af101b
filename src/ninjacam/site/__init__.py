"""The Django project of the product out of the box, for `ninjacam serve`. Your own project needs nothing of it."""
