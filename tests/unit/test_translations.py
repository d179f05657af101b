import ast
import gettext
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from django.utils.translation import gettext as django_gettext
from django.utils.translation import override, pgettext

from ninjacam.core.viewer_errors import VIEWER_TEXTS
from tools.translations import (
    CATALOGUES,
    PACKAGE,
    PROGRAMS,
    Message,
    compile_catalogues,
    extract,
    find_error_texts,
    find_lost_placeholders,
    find_option_texts,
    read_messages,
)

MARKS = {"_", "gettext", "gettext_lazy", "gettext_noop", "ngettext", "sentence"}
CATALOGUE_PATHS = sorted(PACKAGE.glob(CATALOGUES))


def messages_of(path: Path) -> list[Message]:
    return [message for message in read_messages(path.read_text("utf-8")) if message.text]


def compiled(path: Path) -> Mapping[object, str]:
    with path.open("rb") as file:
        return gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined,no-any-return]


def requires_gettext() -> None:
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        pytest.skip(f"GNU gettext is not installed: {', '.join(missing)}")


def test_there_is_a_korean_catalogue() -> None:
    assert [path.parents[1].name for path in CATALOGUE_PATHS] == ["ko"]
    assert len(messages_of(CATALOGUE_PATHS[0])) > 1000


@pytest.mark.parametrize("path", CATALOGUE_PATHS, ids=lambda path: path.parents[1].name)
def test_every_message_is_translated(path: Path) -> None:
    unfinished = [each.text for each in messages_of(path) if each.is_fuzzy or not all(each.translations)]
    assert not unfinished, "run `make translations`, and translate these"


@pytest.mark.parametrize("path", CATALOGUE_PATHS, ids=lambda path: path.parents[1].name)
def test_translations_keep_placeholders_tags_and_code(path: Path) -> None:
    lost = {each.text: found for each in messages_of(path) if (found := find_lost_placeholders(each))}
    assert not lost


@pytest.mark.parametrize("path", CATALOGUE_PATHS, ids=lambda path: path.parents[1].name)
def test_the_compiled_catalogue_has_the_messages_of_the_source(path: Path) -> None:
    wanted: dict[object, str] = {}
    for message in messages_of(path):
        if message.plural:
            wanted |= {(message.text, form): text for form, text in enumerate(message.translations)}
        else:
            context = f"{message.context}\x04" if message.context else ""
            wanted[context + message.text] = message.translations[0]
    found = {key: text for key, text in compiled(path.with_suffix(".mo")).items() if key}
    assert found == wanted, "run `make translations`"


@pytest.mark.parametrize("path", CATALOGUE_PATHS, ids=lambda path: path.parents[1].name)
def test_no_translation_is_replaced_by_that_of_another_app(path: Path) -> None:
    """Apps that INSTALLED_APPS lists before ours take precedence: give such a text a context, or use their words."""
    with override(path.parents[1].name):
        replaced = {
            each.text: used
            for each in messages_of(path)
            if not each.plural
            if (used := pgettext(each.context, each.text) if each.context else django_gettext(each.text))
            != each.translations[0]
        }
    assert not replaced


def marked_texts(source: str) -> set[str]:
    """Return the texts that a module passes to the functions of gettext, also within f-strings, unlike xgettext."""
    return {
        node.args[0].value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MARKS
        if node.args and isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str)
    }


@pytest.mark.parametrize("path", CATALOGUE_PATHS, ids=lambda path: path.parents[1].name)
def test_the_catalogue_contains_all_marked_texts(path: Path) -> None:
    """Needs no xgettext."""
    marked = {
        text for module in PACKAGE.rglob("*.py") for text in marked_texts(module.read_text("utf-8")) if text
    }
    for template in PACKAGE.rglob("*.html"):
        tags = re.findall(r"""{% translate (?:"([^"]+)"|'([^']+)')""", template.read_text("utf-8"))
        marked |= {double or single for double, single in tags}
    assert len(marked) > 700
    assert not marked - {each.text for each in messages_of(path)}


def test_the_catalogues_contain_the_texts_of_the_code(tmp_path: Path) -> None:
    requires_gettext()
    copy = tmp_path / "ninjacam"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "static", "*.onnx"))
    extract(copy)
    for path in CATALOGUE_PATHS:
        now = (copy / path.relative_to(PACKAGE)).read_text("utf-8")
        assert now == path.read_text("utf-8"), "run `make translations`, and translate the new texts"


def test_a_wrong_format_string_is_not_compiled(tmp_path: Path) -> None:
    requires_gettext()
    path = tmp_path / "locale" / "ko" / "LC_MESSAGES" / "django.po"
    path.parent.mkdir(parents=True)
    text = '#, python-format\nmsgid "No camera “%(slug)s”."\nmsgstr "%(slug) 카메라가 없습니다."\n'
    path.write_text(f'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n\n{text}', "utf-8")
    with pytest.raises(subprocess.CalledProcessError):
        compile_catalogues(tmp_path)


@pytest.mark.parametrize(
    ("text", "translation", "lost"),
    [
        ("No camera “%(slug)s”.", "“%(slug)s” 카메라가 없습니다.", set()),
        ("No camera “%(slug)s”.", "카메라가 없습니다.", {"%(slug)s"}),
        ("{alive} devices", "{live} 장치", {"{alive}", "{live}"}),
        ("Start it with <code>%(x)s</code>.", "<code>%(x)s 시작", {"</code>"}),
        ("Runs 5 %% fast", "5 %% 빠름", set()),
    ],
)
def test_lost_placeholders_are_found(text: str, translation: str, lost: set[str]) -> None:
    assert find_lost_placeholders(Message(text, "", (translation,), is_fuzzy=False)) == lost


def test_messages_are_read_with_their_plurals_and_marks() -> None:
    text = """
#, fuzzy
msgid ""
msgstr ""
"Language: ko\\n"

#, python-format
msgid "%(count)s value"
msgid_plural "%(count)s values"
msgstr[0] "값 "
"%(count)s개"

#, fuzzy
msgid "A \\"name\\""
msgstr ""
"""
    header, values, name = read_messages(text)
    assert (header.text, header.translations) == ("", ("Language: ko\n",))
    assert values == Message("%(count)s value", "%(count)s values", ("값 %(count)s개",), is_fuzzy=False)
    assert name == Message('A "name"', "", ("",), is_fuzzy=True)


def test_texts_of_errors_and_options_are_found_in_the_code() -> None:
    source = """
raise ProtocolError(
    "The camera sends "
    "nothing."
)
raise ValueError("not of a camera")
raise ProtocolError(f"{host} is away.")

@processor("motion")
class Motion:
    '''Something moves.

    More.'''
    size: int = Field(5, description="Its size.")
"""
    assert find_error_texts(source) == ["The camera sends nothing."]
    assert find_option_texts(source) == ["Something moves.", "Its size."]


def test_all_messages_for_viewers_are_in_the_catalogues() -> None:
    for path in CATALOGUE_PATHS:
        assert set(VIEWER_TEXTS) <= {each.text for each in messages_of(path)}
