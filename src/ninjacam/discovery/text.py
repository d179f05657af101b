"""Sanitizes text from the network."""

MAX_CHARS = 80


def clean(text: str, max_chars: int = MAX_CHARS) -> str:
    """Return one line of at most `max_chars`, without control, formatting and private characters.

    This excludes terminal escapes and characters that reverse the direction of text. It does not escape markup.
    """
    printable = "".join(each if each.isprintable() else " " for each in text[: 4 * max_chars])
    return " ".join(printable.split())[:max_chars].rstrip()


def clean_bytes(data: bytes, max_chars: int = MAX_CHARS) -> str:
    return clean(data[: 4 * max_chars].decode("utf-8", "replace").replace("\ufffd", " "), max_chars)
