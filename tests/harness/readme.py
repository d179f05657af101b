"""The code blocks of README.md, for the tests that do what it says."""

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
        """The commands of a shell block, without comments."""
        stripped = (re.sub(r"\s+#.*", "", line).strip() for line in self.text.splitlines())
        return [line for line in stripped if line and not line.startswith("#")]


def blocks(heading: str) -> list[Block]:
    """Return the code blocks of the section "## `heading`", in their order.

    Raises: AssertionError: README.md has no such section.
    """
    _, found, rest = (ROOT / "README.md").read_text().partition(f"\n## {heading}\n")
    assert found, f"README.md has no section {heading!r}"
    section = rest.partition("\n## ")[0]
    return [Block(language, text) for language, text in _FENCE.findall(section)]
