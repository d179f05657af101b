"""The Django project of the product out of the box: what `ninjacam serve` runs. Your own project needs nothing of it."""
