"""Names of the devices that decode video."""

SOFTWARE = "software"
HARDWARE = ("cuda", "vaapi", "qsv")
"""In the order in which `auto` tries them."""
DECODE_DEVICES = (SOFTWARE, "auto", *HARDWARE)
