"""Measures how readable the code base is; `make house` prints the result and exits 1 if a limit is exceeded.

Metrics: branches per function (radon), attributes per class, import cycles (type-only imports included), class names
used twice, phrases and names that docs/style.md bans, and the duration of the last `make test`.
"""

import ast
import re
import sys
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import grimp
from radon.complexity import cc_visit

ROOT = Path(__file__).resolve().parents[1]
MAX_BRANCHES = 15
MAX_ATTRIBUTES = 20
MAX_SUITE_S = 15 * 60
SLOWEST_SHOWN = 10
FINDINGS_SHOWN = 20

# Classes that Django, django-ninja or argparse find by this name: one per model, module or command.
REQUIRED_NAMES = {"Command", "Meta", "Migration"}
# Where people read our words. docs/style.md quotes what it bans; openapi.json is generated from src.
TEXT_SUFFIXES = {".py", ".js", ".css", ".html", ".md", ".toml", ".txt", ".mjs"}
TEXT_ROOTS = ("src", "tests", "benchmarks", "example", "docs", "scripts", "tools")
TEXT_FILES = ("README.md", "SECURITY.md", "CHANGELOG.md", "CONTRIBUTING.md", "Makefile", "pyproject.toml")
UNREAD = ("docs/style.md", "tests/unit/test_house.py", "src/ninjacam/core/font-OFL.txt")


@dataclass(frozen=True)
class Metric:
    """One line of the report: `findings` exceed the limit, `notes` only inform."""

    name: str
    findings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Ban:
    """A banned phrase or name: a regular expression, what to write instead, and where it is allowed."""

    pattern: re.Pattern[str]
    instead: str
    allowed: tuple[str, ...] = ()


def find_long_functions(sources: Mapping[str, str]) -> Metric:
    """Return functions and methods with more than MAX_BRANCHES, as radon counts cyclomatic complexity."""
    found = []
    for path, text in sources.items():
        for block in cc_visit(text):
            # radon lists methods apart from their class; a class's own number is the sum of its methods.
            if block.letter != "C" and block.complexity > MAX_BRANCHES:
                found.append(
                    (block.complexity, f"{path}:{block.lineno} {block.fullname}: {block.complexity}")
                )
    lines = [line for _, line in sorted(found, key=lambda item: -item[0])]
    return Metric(f"functions with more than {MAX_BRANCHES} branches", lines)


def find_large_classes(sources: Mapping[str, str]) -> Metric:
    """Return classes whose methods assign more than MAX_ATTRIBUTES different attributes of `self`.

    Fields of records (dataclasses, models, schemas) are not counted unless a method assigns them.
    """
    found = []
    for path, text in sources.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef) and (count := len(_assigned_attributes(node))) > MAX_ATTRIBUTES:
                found.append((count, f"{path}:{node.lineno} {node.name}: {count}"))
    return Metric(
        f"classes with more than {MAX_ATTRIBUTES} attributes", [line for _, line in sorted(found)[::-1]]
    )


def _assigned_attributes(node: ast.ClassDef) -> set[str]:
    methods = [item for item in node.body if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {
        target.attr
        for method in methods
        for target in ast.walk(method)
        if isinstance(target, ast.Attribute)
        and isinstance(target.ctx, ast.Store)
        and isinstance(target.value, ast.Name)
        and target.value.id == "self"
    }


def find_import_cycles(imports: Mapping[str, Iterable[str]]) -> Metric:
    """Return groups of modules that import each other, directly or not (strongly connected components)."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    cycles = []

    def visit(module: str) -> None:  # Tarjan 1972
        order[module] = lowest[module] = len(order)
        stack.append(module)
        for imported in sorted(imports.get(module, ())):
            if imported not in order:
                visit(imported)
                lowest[module] = min(lowest[module], lowest[imported])
            elif imported in stack:
                lowest[module] = min(lowest[module], order[imported])
        if lowest[module] == order[module]:
            start = stack.index(module)
            group = stack[start:]
            del stack[start:]
            if len(group) > 1:
                cycles.append(" <-> ".join(sorted(group)))

    for module in sorted(imports):
        if module not in order:
            visit(module)
    return Metric("import cycles, type-only imports included", sorted(cycles))


def find_duplicate_classes(sources: Mapping[str, str]) -> Metric:
    """Return public class names that two modules define."""
    places = defaultdict(list)
    for path, text in sources.items():
        for node in ast.parse(text).body:
            if isinstance(node, ast.ClassDef) and node.name not in REQUIRED_NAMES and node.name[0] != "_":
                places[node.name].append(f"{path}:{node.lineno}")
    return Metric(
        "class names used twice",
        [f"{name}: {', '.join(where)}" for name, where in sorted(places.items()) if len(where) > 1],
    )


def read_bans(style_guide: str) -> list[Ban]:
    """Read the ```banned block of the style guide: `pattern :: instead [:: allowed paths]`, one a line.

    Raises: ValueError: the block is missing, or a line has no replacement.
    """
    block = re.search(r"^```banned\n(.*?)^```", style_guide, re.MULTILINE | re.DOTALL)
    if block is None:
        raise ValueError("The style guide has no ```banned block.")
    bans = []
    for line in block[1].splitlines():
        if not line.strip():
            continue
        parts = [part.strip() for part in line.split(" :: ")]
        if len(parts) < 2:
            raise ValueError(
                f"The style guide bans “{line}” without a replacement. Write: pattern :: instead."
            )
        # A phrase may be wrapped: between its words stand a line break and the next line's comment sign.
        pattern = parts[0].replace(" ", r"\s+(?:(?:#|\*|//)\s*)?")
        bans.append(Ban(re.compile(pattern), parts[1], tuple(parts[2].split()) if len(parts) > 2 else ()))
    return bans


def find_banned(texts: Mapping[str, str], bans: Iterable[Ban]) -> Metric:
    """Return each place where a banned phrase or name stands, as `path:line`."""
    found = []
    for path, text in texts.items():
        for ban in bans:
            if any(Path(path).match(allowed) for allowed in ban.allowed):
                continue
            for match in ban.pattern.finditer(text):
                line = text.count("\n", 0, match.start()) + 1
                found.append((path, line, f"{path}:{line} “{' '.join(match[0].split())}”: {ban.instead}"))
    return Metric("banned phrases and names", [text for _, _, text in sorted(found)])


def measure_tests(reports: Iterable[Path]) -> Metric:
    """Read the JUnit reports of the last `make test`: its duration in seconds, and the slowest tests."""
    suite_s = 0.0
    cases = []
    for report in reports:
        root = ElementTree.parse(report).getroot()  # noqa: S314 - our own pytest wrote it
        for suite in root.iter("testsuite"):
            suite_s += float(suite.get("time", 0))
        for case in root.iter("testcase"):
            cases.append((float(case.get("time", 0)), f"{case.get('classname')}::{case.get('name')}"))
    if not cases:
        return Metric("duration of the tests", notes=["not measured; run `make test` first"])
    slowest = [f"{seconds:6.1f} s {name}" for seconds, name in sorted(cases, reverse=True)[:SLOWEST_SHOWN]]
    total = f"{suite_s:.0f} s for {len(cases)} tests; at most {MAX_SUITE_S} s"
    return Metric("duration of the tests", [total] if suite_s > MAX_SUITE_S else [], [total, *slowest])


def format_report(metrics: Iterable[Metric], *, shown: int) -> Iterator[str]:
    """Yield the report's lines, at most `shown` findings per metric."""
    for metric in metrics:
        yield f"{'ok  ' if not metric.findings else 'FAIL'} {metric.name}: {len(metric.findings)}"
        yield from (f"       {line}" for line in metric.findings[:shown])
        if len(metric.findings) > shown:
            yield f"       … {len(metric.findings) - shown} more (show them with --all)"
        yield from (f"       {note}" for note in metric.notes)


def read_texts() -> dict[str, str]:
    """Return the contents of all files that people read, by path relative to the repository."""
    files = [path for root in TEXT_ROOTS for path in (ROOT / root).rglob("*") if path.suffix in TEXT_SUFFIXES]
    files += [ROOT / name for name in TEXT_FILES if (ROOT / name).exists()]
    texts = {str(path.relative_to(ROOT)): path for path in sorted(files) if "node_modules" not in path.parts}
    return {name: path.read_text("utf-8") for name, path in texts.items() if name not in UNREAD}


def measure() -> list[Metric]:
    """Return all metrics of the working tree."""
    texts = read_texts()
    package = {path: text for path, text in texts.items() if path.startswith("src/") and path.endswith(".py")}
    own = {path: text for path, text in package.items() if "/migrations/" not in path}
    graph = grimp.build_graph("ninjacam", cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    return [
        find_long_functions(own),
        find_large_classes(own),
        find_import_cycles(imports),
        find_duplicate_classes(own),
        find_banned(texts, read_bans((ROOT / "docs/style.md").read_text("utf-8"))),
        measure_tests(sorted((ROOT / "build/tests").glob("*.xml"))),
    ]


def main(arguments: list[str]) -> int:
    """Print the report; with `--all`, every finding. Return the exit status."""
    metrics = measure()
    for line in format_report(metrics, shown=sys.maxsize if "--all" in arguments else FINDINGS_SHOWN):
        print(line)
    return 1 if any(metric.findings for metric in metrics) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
