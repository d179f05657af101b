"""Updates the translations: `make translations` extracts all texts into the .po files, and compiles them.

The texts are those that Django's `makemessages` finds, those of `core.texts`, and those of errors of cameras
and options of processors.
The .po files contain no line numbers and no dates, so that a change of the code changes only the texts that it affects.
New texts are empty and changed ones are marked `fuzzy`: translate them, remove the mark, and run it again.
"""

import ast
import builtins
import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.core.management.commands import makemessages

from ninjacam.core.texts import sentence

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "ninjacam"
CATALOGUES = "locale/*/LC_MESSAGES/django.po"
CAMERA_PACKAGES = ("capture", "devices", "onvif", "sources", "talk")
"""Their errors are displayed to users."""
PROGRAMS = ("xgettext", "msgmerge", "msguniq", "msgattrib", "msgfmt")
"""Of GNU gettext."""
_KEYWORD = re.compile(r'(msgctxt|msgid|msgid_plural|msgstr(?:\[\d+\])?)\s+(".*")')
PLACEHOLDER = re.compile(r"%\(\w+\)[#0\-+ ]*[\d.]*[a-z]|%(?:\.\d+)?[sd]|\{\w+\}|<[^>]+>|`[^`]+`|&\w+;")
"""What a translation must repeat: placeholders, tags, code and entities."""


@dataclass(frozen=True)
class Message:
    """One message of a catalogue. `context`: distinguishes equal texts. `translations`: one for each plural form, else
    one."""

    text: str
    plural: str
    translations: tuple[str, ...]
    is_fuzzy: bool
    context: str = ""


def read_messages(text: str) -> Iterator[Message]:
    """Yield the messages of the text of a .po file; the first one is its header, with an empty `text`."""
    for block in re.split(r"\n\s*\n", text):
        fields: dict[str, str] = {}
        flags, keyword = "", ""
        for line in block.splitlines():
            if line.startswith("#"):
                flags += line if line.startswith("#,") else ""
            elif found := _KEYWORD.fullmatch(line.strip()):
                keyword = found[1]
                fields[keyword] = ast.literal_eval(found[2])
            elif line.strip():
                fields[keyword] += ast.literal_eval(line)
        if "msgid" in fields:
            translations = tuple(value for name, value in fields.items() if name.startswith("msgstr"))
            yield Message(
                fields["msgid"],
                fields.get("msgid_plural", ""),
                translations,
                "fuzzy" in flags,
                fields.get("msgctxt", ""),
            )


def find_lost_placeholders(message: Message) -> set[str]:
    """Return placeholders, tags and code that a translation lacks or that only it has."""
    wanted = set(PLACEHOLDER.findall(message.text)) | set(PLACEHOLDER.findall(message.plural))
    return {each for text in message.translations for each in wanted ^ set(PLACEHOLDER.findall(text))}


class Extraction(makemessages.Command):
    xgettext_options = [*makemessages.Command.xgettext_options, f"--keyword={sentence.__name__}"]


def find_error_texts(source: str) -> list[str]:
    """Return the texts of the errors of cameras in a module. A text without values has no mark of its own."""
    return [
        node.args[0].value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        if node.func.id.endswith("Error") and not hasattr(builtins, node.func.id)
        if node.args and isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str)
    ]


def find_option_texts(source: str) -> list[str]:
    """Return the descriptions of processors and of their options in a module."""
    tree = ast.parse(source)
    classes = [
        each
        for each in ast.walk(tree)
        if isinstance(each, ast.ClassDef) and "processor(" in "".join(map(ast.unparse, each.decorator_list))
    ]
    described = [(ast.get_docstring(each) or "").partition("\n")[0] for each in classes]
    options = [
        each.value.value
        for each in ast.walk(tree)
        if isinstance(each, ast.keyword)
        and each.arg == "description"
        and isinstance(each.value, ast.Constant)
    ]
    return [*filter(None, described), *map(str, options)]


def extract(package: Path) -> None:
    """Write the texts of all modules and templates of `package` into its .po files."""
    languages = [path.parents[1].name for path in sorted(package.glob(CATALOGUES))]
    paths = sorted(path for name in CAMERA_PACKAGES for path in (package / name).rglob("*.py"))
    texts = dict.fromkeys(text for path in paths for text in find_error_texts(path.read_text("utf-8")))
    for path in sorted((package / "processors").glob("*.py")):
        texts |= dict.fromkeys(find_option_texts(path.read_text("utf-8")))
    with contextlib.chdir(package), open(os.devnull, "w") as output:
        collected = Path("collected_texts.py")  # Exists during the extraction only.
        collected.write_text(
            "".join(f"gettext_noop({json.dumps(text, ensure_ascii=False)})\n" for text in texts), "utf-8"
        )
        try:
            call_command(
                Extraction(stdout=output), locale=languages, no_location=True, no_wrap=True, no_obsolete=True
            )
        finally:
            collected.unlink()
    for path in package.glob(CATALOGUES):
        lines = path.read_text("utf-8").splitlines(keepends=True)
        path.write_text(
            "".join(line for line in lines if not line.startswith('"POT-Creation-Date:')), "utf-8"
        )


def compile_catalogues(package: Path) -> None:
    """Write the .mo file of each .po file of `package`. Raises: CalledProcessError: a format string is wrong."""
    for path in package.glob(CATALOGUES):
        command = ["msgfmt", "--check-format", "--output-file", str(path.with_suffix(".mo")), str(path)]
        subprocess.run(command, check=True)


def main() -> int:
    if not settings.configured:
        settings.configure()
    extract(PACKAGE)
    compile_catalogues(PACKAGE)
    missing = [
        f"{path.parents[1].name}: {message.text}"
        for path in sorted(PACKAGE.glob(CATALOGUES))
        for message in read_messages(path.read_text("utf-8"))
        if message.is_fuzzy or not all(message.translations)
    ]
    print("\n".join([*missing, f"{len(missing)} texts to translate"]))
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
