"""Modules of the user's project that processor modules import: found, watched and reloaded with them.

A helper is found by its name in the source of the importing module, and is inside of the directory that contains
that module's top package, or of the data directory. Installed packages are not helpers, nor is what Django imported
when it started (models.py and its imports): these are loaded once, as everywhere in Django.
"""

import ast
import importlib.util
import logging
import sys
from collections.abc import Collection, Iterable
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from ninjacam.core.ownership import check_code_is_safe

logger = logging.getLogger("ninjacam.vision")

MAX_HELPERS = 300
"""Maximum number of helpers that are searched for one module. Each costs a stat every 0.25 s."""


class Helpers:
    """Finds helpers in `roots`, which are searched after `sys.path`. Thread: the one that loads modules."""

    def __init__(
        self, roots: Iterable[Path], modules: Collection[str], trusted_uids: Collection[int]
    ) -> None:
        """`modules`: the names of the processor modules, which are not helpers of each other."""
        self._roots = list(dict.fromkeys(roots))
        self._modules = modules
        self._trusted_uids = trusted_uids
        self._imports: dict[Path, tuple[object, set[str]]] = {}  # Path -> (its version, what it imports).

    def install(self) -> None:
        """Load helpers with our loader from now on: at import, and when functions import something later."""
        if self not in sys.meta_path:
            sys.meta_path.insert(sys.meta_path.index(PathFinder), self)

    def needed_by(self, path: Path, package: str) -> dict[str, Path]:
        """Return name -> path of the helpers that the source at `path` imports, directly or through others."""
        found: dict[str, Path] = {}
        waiting = self._imported(path, package)
        while waiting and len(found) < MAX_HELPERS:
            name = waiting.pop()
            where = self.locate(name)
            if name in found or where is None or name in self._modules or not _is_ours(name):
                continue
            found[name] = where
            is_package = where.name == "__init__.py"
            waiting |= self._imported(where, name if is_package else name.rpartition(".")[0])
        return found

    def locate(self, name: str) -> Path | None:
        """Return the source of the module `name` below the roots."""
        for root in self._roots:
            base = root.joinpath(*name.split("."))
            for path in (base / "__init__.py", base.with_name(f"{base.name}.py")):
                if path.is_file():
                    return path
        return None

    def expect(self, name: str) -> Path | None:
        """Return where the missing module `name` would be searched first."""
        for root in self._roots:
            path = root.joinpath(*name.split(".")).with_suffix(".py")
            if path.parent.is_dir():
                return path
        return None

    def forget(self, changed: set[str], known: dict[str, Path]) -> None:
        """Let the next import load the `changed` helpers again, and those of `known` that depend on them."""
        for name, path in known.items():
            package = name if path.name == "__init__.py" else name.rpartition(".")[0]
            parents = {name.rsplit(".", count)[0] for count in range(name.count(".") + 1)}
            if parents.isdisjoint(changed) and changed.isdisjoint(self.needed_by(path, package)):
                continue
            module = sys.modules.pop(name, None)
            parent, _, last = name.rpartition(".")
            if module is not None and getattr(sys.modules.get(parent), last, None) is module:
                delattr(sys.modules[parent], last)  # `from parent import last` would find the old one.

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Called by Python's import system."""
        usual = PathFinder.find_spec(name, path)
        where = self.locate(name)
        if where is None:
            return usual or self._namespace(name)
        if usual is not None and (usual.origin is None or not where.samefile(usual.origin)):
            return usual  # Another module with this name comes first.
        package = [str(where.parent)] if where.name == "__init__.py" else None
        loader = _FreshLoader(name, where, self._trusted_uids)
        return importlib.util.spec_from_file_location(
            name, where, loader=loader, submodule_search_locations=package
        )

    def _namespace(self, name: str) -> ModuleSpec | None:
        """A directory without an __init__.py."""
        places = [str(each) for root in self._roots if (each := root.joinpath(*name.split("."))).is_dir()]
        if not places:
            return None
        spec = ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = places
        return spec

    def _imported(self, path: Path, package: str) -> set[str]:
        """Return the names of all modules that the source may import. Empty if it cannot be read or parsed."""
        try:
            stat = path.stat()
            version = (stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size)
            known = self._imports.get(path)
            if known is None or known[0] != version:
                known = self._imports[path] = (version, _imports_of(path.read_bytes(), package))
        except (OSError, SyntaxError, ValueError):
            return set()
        return set(known[1])


class _FreshLoader(SourceFileLoader):
    """Compiles the source each time: cached bytecode is compared by seconds and size, and misses quick saves."""

    def __init__(self, name: str, path: Path, trusted_uids: Collection[int]) -> None:
        super().__init__(name, str(path))
        self._trusted_uids = trusted_uids

    def get_code(self, fullname: str) -> Any:
        """Raises: UnsafeCodeError, SyntaxError, OSError."""
        check_code_is_safe(Path(self.path), self._trusted_uids)
        return self.source_to_code(self.get_data(self.path), self.path)


def _is_ours(name: str) -> bool:
    """Return whether the module is not loaded yet, or was loaded by `_FreshLoader`."""
    module = sys.modules.get(name)
    return module is None or isinstance(getattr(module.__spec__, "loader", None), _FreshLoader)


def _imports_of(source: bytes, package: str) -> set[str]:
    """Raises: SyntaxError, ValueError (null bytes)."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            relative = "." * node.level + (node.module or "")
            try:
                base = importlib.util.resolve_name(relative, package)
            except ImportError:
                continue  # Beyond the top package: Python will report it.
            names.update(f"{base}.{alias.name}" for alias in node.names)
    return {name.rsplit(".", count)[0] for name in names for count in range(name.count(".") + 1)}
