"""Translates the texts of the engine and its processes into the language of the request.

Not here: the translations (`locale/`), and texts that are made in a request, which use Django's `gettext` themselves.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from django.conf import settings
from django.http import HttpRequest, parse_cookie
from django.utils.translation import get_language, get_language_from_request, gettext

from ninjacam.core.errors import NinjacamError
from ninjacam.core.texts import Sentence, read_text
from ninjacam.core.viewer_errors import text_of_source_error

LOCALE_MIDDLEWARE = "django.middleware.locale.LocaleMiddleware"
MAX_DEPTH = 3
"""Maximum number of texts within each other: a sentence, a duration in it."""


def visitors_choose() -> bool:
    """Return whether the project uses the language of each visitor, instead of one for all."""
    return LOCALE_MIDDLEWARE in settings.MIDDLEWARE


def language_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the language of an ASGI request, as Django's LocaleMiddleware does: the user's choice, else the
    browser's language."""
    if not visitors_choose():
        return settings.LANGUAGE_CODE
    request = HttpRequest()
    for name, value in headers:
        if name == b"accept-language":
            request.META["HTTP_ACCEPT_LANGUAGE"] = value.decode("latin-1")
        elif name == b"cookie":
            request.COOKIES |= parse_cookie(value.decode("latin-1"))
    return get_language_from_request(request)


def translate(text: str) -> str:
    """Return a text in the current language, or as it is if it has no translation."""
    return _translate(text, MAX_DEPTH) or str(text)


def translate_item(item: Mapping[str, Any], name: str = "message") -> str:
    """Return the text `name` of an error, finding or notice, as the engine reports it, in the current language.

    An error of a camera without a translation gets a translated sentence about its consequences; the English one
    follows in parentheses, because it contains the details.
    """
    text = str(item.get(name, ""))
    if not is_translated():
        return text
    if found := _translate(read_text(text, item), MAX_DEPTH):
        return found
    consequence = text_of_source_error(str(item.get("code", "")))
    return f"{gettext(consequence)} ({text})" if consequence else text


def translate_error(error: NinjacamError) -> str:
    """Return the message of an error in the current language, as `translate_item`."""
    return translate_item(error.as_dict())


def is_translated() -> bool:
    """Return whether the current language is not English, the language of the source."""
    return (get_language() or "en").partition("-")[0] != "en"


def _translate(text: str, depth: int) -> str:
    """Return the translation, or "" if there is none."""
    if not is_translated() or not text or depth == 0:
        return ""
    if isinstance(text, Sentence) and text.values:
        template = gettext(text.template)
        # Another template than those of the catalogue may come from a process that reads a camera's data.
        if template == text.template:
            return ""
        values = {
            name: (_translate(value, depth - 1) or value) if isinstance(value, str) else value
            for name, value in text.values.items()
        }
        try:
            return template % values
        except (KeyError, TypeError, ValueError):
            return ""
    translated = gettext(text)
    return "" if translated == text else translated
