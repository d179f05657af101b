"""Errors in the form in which they are stored and sent to other processes."""

from ninjacam.core.errors import DecodeError, ProcessorError
from ninjacam.core.json_values import is_plain


def test_the_text_of_an_exception_can_be_stored_in_every_database() -> None:
    error = ProcessorError("plates: ValueError: A\0B\ud800", traceback="  raise ValueError('\0\udfff')")
    assert (error.message, error.traceback) == ("plates: ValueError: A�B�", "  raise ValueError('��')")
    assert is_plain(error.as_dict()) and is_plain(DecodeError("\0").as_dict())
