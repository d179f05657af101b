import json
import pickle

from ninjacam.core.errors import SourceTimeoutError
from ninjacam.core.texts import Sentence, origin_of, read_text, sentence


def test_a_sentence_is_the_english_text_with_its_template_and_values() -> None:
    text = sentence("%(host)s is %(share)s %% slow.", host="cam", share=5)
    assert text == "cam is 5 % slow." and json.dumps(text) == '"cam is 5 % slow."'
    assert origin_of(text) == {
        "template": "%(host)s is %(share)s %% slow.",
        "values": {"host": "cam", "share": 5},
    }
    copy = pickle.loads(pickle.dumps(text))
    assert copy == text and origin_of(copy) == origin_of(text)


def test_a_text_without_values_has_no_origin() -> None:
    assert sentence("5 % are lost.") == "5 % are lost."
    assert origin_of(sentence("5 % are lost.")) == origin_of("Plain.") == {}


def test_the_origin_survives_json_also_of_a_text_in_a_text() -> None:
    inner = sentence("%(s)s s", s=5)
    text = sentence("Wait %(duration)s for %(kind)s.", duration=inner, kind=ValueError)
    received = read_text(str(text), json.loads(json.dumps(origin_of(text))))
    assert isinstance(received, Sentence) and received == text and origin_of(received) == origin_of(text)


def test_an_error_is_sent_with_the_origin_of_its_message() -> None:
    error = SourceTimeoutError(sentence("%(host)s is silent.", host="cam"))
    assert str(error) == error.message == "cam is silent."
    assert error.as_dict() == {
        "code": "timeout",
        "message": "cam is silent.",
        "retryable": True,
        "template": "%(host)s is silent.",
        "values": {"host": "cam"},
    }
    assert SourceTimeoutError("Silent.").as_dict() == {
        "code": "timeout",
        "message": "Silent.",
        "retryable": True,
    }
