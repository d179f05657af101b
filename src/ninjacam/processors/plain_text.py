"""Texts that were read from images, as events store them."""

import unicodedata

MAX_TEXT_CHARS = 300


def clean(text: str) -> str:
    """Return the text with at most 300 characters, without control characters, line breaks and directions."""
    spaced = "".join(
        " " if unicodedata.category(each)[0] == "C" or unicodedata.category(each) in ("Zl", "Zp") else each
        for each in text[:MAX_TEXT_CHARS]
    )
    return spaced.strip()
