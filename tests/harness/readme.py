"""The code blocks of README.md and of the pages in docs, for tests that run them."""

import re
from dataclasses import dataclass

from tests.harness.processes import ROOT

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    language: str
    text: str

    @property
    def lines(self) -> list[str]:
        """Return the commands of a shell block, without comments."""
        stripped = (re.sub(r"\s+#.*", "", line).strip() for line in self.text.splitlines())
        return [line for line in stripped if line and not line.startswith("#")]


def blocks(heading: str, *, page: str = "README.md") -> list[Block]:
    """Return the code blocks of the section "## `heading`" of a page, in their order. "": those before any section.

    Raises: AssertionError: the page has no such section.
    """
    text = (ROOT / page).read_text()
    if heading:
        _, found, text = text.partition(f"\n## {heading}\n")
        assert found, f"{page} has no section {heading!r}"
    section = text.partition("\n## ")[0]
    return [Block(language, code) for language, code in _FENCE.findall(section)]
