"""`{% load ninjacam %}`."""
