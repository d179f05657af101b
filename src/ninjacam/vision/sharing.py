"""Finds functions of the user that use the same objects, and so must not run at the same time.

OpenCV's subtractors, trackers and networks crash the process when two threads use one of them. A function that uses
such a global takes turns with every other function that uses it. Objects are found by name: globals, closures,
helper modules, attributes of the user's own objects. Names computed at run time (`globals()[name]`) are not.
"""

import functools
import sys
import sysconfig
import types
from collections.abc import Iterable, Iterator
from typing import Any

from ninjacam.core.processors import Registration

MAX_OBJECTS = 5_000
"""Maximum number of objects to inspect for one function. Large tables are not searched to their end."""
MAX_ELEMENTS = 100
"""Maximum number of elements of one container to inspect."""
_SAFE = sys.stdlib_module_names | {"numpy", "django", "ninjacam"}
"""Packages whose objects do not crash when two threads use them."""
_INSTALLED = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib"))


def join_turns(registrations: Iterable[Registration]) -> None:
    """Let functions that use the same object take turns with each other. Updates `turns` in place."""
    functions = [each for each in registrations if each.function is not None]
    users: dict[int, Registration] = {}
    alive: list[Any] = []  # Ids are compared, so nothing may be freed meanwhile.
    for each in functions:
        for value in _stateful(each.function):
            alive.append(value)
            other = users.setdefault(id(value), each)
            if other.turns is not each.turns:
                joined, left = other.turns, each.turns
                for one in functions:
                    if one.turns is left:
                        one.turns = joined


def _stateful(function: Any) -> Iterator[Any]:
    """Yield the objects that `function` can reach and that are not known to be safe."""
    seen: dict[int, Any] = {}
    waiting: list[Any] = [function]
    while waiting and len(seen) < MAX_OBJECTS:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen[id(value)] = value
        if not isinstance(value, type) and type(value).__module__.partition(".")[0] not in _SAFE:
            yield value
        waiting += _reached_from(value)


def _reached_from(value: Any) -> list[Any]:
    match value:
        case types.FunctionType():
            return _reached_from_function(value)
        case types.MethodType():
            return [value.__self__, value.__func__]
        case functools.partial():
            return [value.func, *value.args, *value.keywords.values()]
        case staticmethod() | classmethod():
            return [value.__func__]
        case property():
            return [value.fget]
        case dict():
            return list(value.values())[:MAX_ELEMENTS]
        case list() | tuple() | set() | frozenset():
            return list(value)[:MAX_ELEMENTS]
        case type():
            return list(vars(value).values()) if _is_users(value.__module__) else []
    if _is_users(type(value).__module__):
        return [type(value), *getattr(value, "__dict__", {}).values()]
    return []


def _reached_from_function(function: types.FunctionType) -> list[Any]:
    """Return the globals it names, those of the user's modules among them, its closure and its defaults."""
    names = _names(function.__code__)
    found = [function.__globals__[name] for name in names if name in function.__globals__]
    modules = [each for each in found if isinstance(each, types.ModuleType) and _is_users(each.__name__)]
    found += [vars(module)[name] for module in modules for name in names if name in vars(module)]
    cells = (cell for cell in function.__closure__ or () if cell != types.CellType())
    return [*found, *(cell.cell_contents for cell in cells), *(function.__defaults__ or ())]


def _names(code: types.CodeType) -> set[str]:
    nested = (each for each in code.co_consts if isinstance(each, types.CodeType))
    return set(code.co_names).union(*map(_names, nested))


def _is_users(module: str) -> bool:
    """Whether a module belongs to the user's project rather than to Python or an installed package."""
    if module.partition(".")[0] in _SAFE:
        return False
    path = getattr(sys.modules.get(module), "__file__", None)
    return path is not None and not is_installed(path)


def is_installed(path: str) -> bool:
    """Whether a file belongs to Python or to an installed package."""
    return path.startswith(_INSTALLED)
