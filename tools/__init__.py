"""Tools for developing Ninjacam. Not part of the package."""
