"""Updates the translations: `make translations` extracts all texts into the .po files, and compiles them.

The .po files contain no line numbers and no dates, so that a change of the code changes only the texts that it affects. New texts are empty
and changed ones are marked `fuzzy`: translate them, remove the mark, and run it again.
"""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "ninjacam"
CATALOGUES = "locale/*/LC_MESSAGES/django.po"
PROGRAMS = ("xgettext", "msgmerge", "msguniq", "msgattrib", "msgfmt")
"""Of GNU gettext."""
_KEYWORD = re.compile(r'(msgctxt|msgid|msgid_plural|msgstr(?:\[\d+\])?)\s+(".*")')
_PLACEHOLDER = re.compile(r"%\(\w+\)[#0\-+ ]*[\d.]*[a-z]|%(?:\.\d+)?[sd]|\{\w+\}|<[^>]+>|`[^`]+`|&\w+;")


@dataclass(frozen=True)
class Message:
    """One message of a catalogue. `translations`: one for each plural form, else one."""

    text: str
    plural: str
    translations: tuple[str, ...]
    is_fuzzy: bool


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
            yield Message(fields["msgid"], fields.get("msgid_plural", ""), translations, "fuzzy" in flags)


def find_lost_placeholders(message: Message) -> set[str]:
    """Return placeholders, tags and code that a translation lacks or that only it has."""
    wanted = set(_PLACEHOLDER.findall(message.text)) | set(_PLACEHOLDER.findall(message.plural))
    return {each for text in message.translations for each in wanted ^ set(_PLACEHOLDER.findall(text))}


def extract(package: Path) -> None:
    """Write the texts of all modules and templates of `package` into its .po files."""
    languages = [path.parents[1].name for path in sorted(package.glob(CATALOGUES))]
    options = [f"--locale={language}" for language in languages]
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}",
    }
    command = [
        sys.executable,
        "-m",
        "django",
        "makemessages",
        *options,
        "--no-location",
        "--no-wrap",
        "--no-obsolete",
    ]
    subprocess.run(command, cwd=package, env=environment, check=True, stdout=subprocess.DEVNULL)
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
