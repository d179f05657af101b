"""Loads the user's processor modules at the start, and again when they or their helpers are saved.

A module is compiled from its source each time: Python's own cache compares seconds and sizes, and would miss the
second of two quick saves.
"""

import contextlib
import ctypes
import linecache
import logging
import sys
import threading
import traceback
import types
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ninjacam.core import processors
from ninjacam.core.errors import ProcessorError, UnsafeCodeError
from ninjacam.core.ownership import check_code_is_safe
from ninjacam.core.processors import ProcessorRegistry, Registration, When, registry
from ninjacam.core.ready_made import PACKAGE, READY_MADE, is_ready_made
from ninjacam.supervision.crash_record import RunningFile, loading_name, running_words
from ninjacam.vision.helpers import Helpers
from ninjacam.vision.sharing import is_installed, join_turns

logger = logging.getLogger("ninjacam.vision")

MAX_TRACEBACK_CHARS = 8_000
MAX_CAUSES = 10
DATA_MODULE = "ninjacam_data_cameras"
"""Name of `<data>/cameras.py` as a module."""
_READY_MADE_DIR = Path(__file__).parents[1] / "processors"
_OURS = (str(Path(__file__).parent), processors.__file__)


class ProcessorStalled(BaseException):  # Raised into user code: `except Exception` must not catch it.
    """Raised inside a processor that takes too long for one frame, or a module that takes too long to load."""

    def __str__(self) -> str:
        return "it took too long and was cut off"


def interrupt(thread: threading.Thread) -> None:
    """Raise ProcessorStalled in `thread` at its next bytecode. A call into C that does not return continues."""
    if thread.ident is not None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread.ident), ctypes.py_object(ProcessorStalled)
        )


FileVersion = tuple[int, int] | None
"""Last change of a file (ns, wall clock) and its size in bytes; None: it does not exist."""


def _read_version(path: Path) -> FileVersion:
    try:
        stat = path.stat()
    except OSError:
        return None
    return max(stat.st_mtime_ns, stat.st_ctime_ns), stat.st_size  # An older file may replace it.


@dataclass(frozen=True, slots=True)
class ModuleFile:
    """A module that may contain processors: `name` for imports, `path` of its source, which need not exist yet.

    `trusted_uids`: users besides this one and root who may own it.
    """

    name: str
    path: Path
    trusted_uids: frozenset[int] = frozenset()

    @property
    def package(self) -> str:
        """Return the package that relative imports refer to."""
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]

    @property
    def root(self) -> Path:
        """Return the directory of its top package, or of the module itself."""
        return self.path.parents[self.package.count(".") + bool(self.package)]

    def version(self) -> FileVersion:
        return _read_version(self.path)

    def refusal(self) -> str:
        """Return why its code is not run, because other users can modify it; empty if they cannot. Costs two stats."""
        try:
            check_code_is_safe(self.path, self.trusted_uids)
        except UnsafeCodeError as exc:
            return exc.message
        except OSError:
            pass  # It does not exist.
        return ""


class ProcessorCode:
    """The processors that the modules currently define. `current` is replaced as a whole, so any thread may read it.

    `current`: name -> the processor, or the error that replaces it (its module no longer loads). `errors`: module
    name -> traceback. `loading`: the module that `refresh` is loading. `running`: is informed about it. `left_out`:
    `loading_name` -> why not to load it.
    """

    def __init__(
        self,
        files: list[ModuleFile],
        *,
        into: ProcessorRegistry = registry,
        running: RunningFile | None = None,
        left_out: Mapping[str, str] | None = None,
    ) -> None:
        self.files = files
        self.current: dict[str, Registration | ProcessorError] = {}
        self.errors: dict[str, str] = {}
        self.loading = ""
        self._registry = into
        self._running = running
        self._left_out = left_out or {}
        self._versions: dict[str, FileVersion] = {}
        self._refusals: dict[str, str] = {}
        self._helpers = Helpers(
            (file.root for file in files if not is_installed(str(file.path))),
            {file.name for file in files},
            frozenset().union(*(file.trusted_uids for file in files)),
        )
        self._needs: dict[str, dict[str, Path]] = {}  # module name -> its helpers: name -> path
        self._helper_versions: dict[str, FileVersion] = {}
        self._ready_made: dict[str, tuple[str, ...]] = {}  # Name of a module -> slugs of its cameras.
        self._off: dict[str, frozenset[str]] = {}  # Slug -> names of the processors that do not run for it.
        self._replaced: set[str] = (
            set()
        )  # Modules of ready-made processors whose name is that of another one.
        self._broken: dict[
            str, tuple[Registration, ProcessorError]
        ] = {}  # View -> (what it was, why it is missing).

    @property
    def versions(self) -> dict[str, list[int]]:
        """Return module name -> its version, for existing modules; the version changes whenever the code does."""
        versions = self._helper_versions | self._versions
        return {name: list(version) for name, version in sorted(versions.items()) if version is not None}

    def changed(self) -> bool:
        """Return whether a file differs from what was loaded, or others can now modify it. Cheap: three stats per
        file.
        """
        return bool(self._changed_helpers()) or any(
            self._versions.get(file.name) != file.version()
            or self._refusals.get(file.name, "") != file.refusal()
            for file in self.files
        )

    def _changed_helpers(self) -> set[str]:
        known = {name: path for needs in self._needs.values() for name, path in needs.items()}
        return {
            name for name, path in known.items() if _read_version(path) != self._helper_versions.get(name)
        }

    def set_ready_made(self, cameras: Mapping[str, Sequence[str]]) -> bool:
        """Set the cameras that use ready-made processors: name -> slugs. Return whether to call `refresh`."""
        wanted = {
            f"{PACKAGE}.{name}": tuple(sorted(slugs)) for name, slugs in cameras.items() if name in READY_MADE
        }
        has_changed = wanted != self._ready_made
        self._ready_made = wanted
        return has_changed

    def _find_ready_made(self) -> list[ModuleFile]:
        """Return the files to load: without those of processors that no camera uses any more."""
        wanted = self._ready_made
        for file in self.files:
            if is_ready_made(file.name) and file.name not in wanted:
                self._forget(file.name)
                self._versions.pop(file.name, None)
        self._replaced &= wanted.keys()
        known = [file for file in self.files if not is_ready_made(file.name)]
        paths = {name: _READY_MADE_DIR / f"{name.rpartition('.')[2]}.py" for name in sorted(wanted)}
        owners = frozenset([_READY_MADE_DIR.stat().st_uid])
        return known + [ModuleFile(name, path, owners) for name, path in paths.items() if path.is_file()]

    def refresh(self) -> None:
        """Load what has changed. Thread: one at a time; takes as long as the user's imports do."""
        self.files = self._find_ready_made()
        self._helpers.install()
        helpers = self._changed_helpers()
        if helpers:
            known = {name: path for needs in self._needs.values() for name, path in needs.items()}
            self._helpers.forget(helpers, known)
        for file in self.files:  # Ready-made ones last.
            version, refusal = file.version(), file.refusal()
            if is_ready_made(file.name) and self._is_replaced(file.name):
                self._versions[file.name], self._refusals[file.name] = version, refusal
            elif (
                version != self._versions.get(file.name)
                or refusal != self._refusals.get(file.name, "")
                or not helpers.isdisjoint(self._needs.get(file.name, ()))
            ):
                self._versions[file.name] = version
                self._refusals[file.name] = refusal
                self.loading = file.name
                self._load(file, version)
        self.loading = ""
        self._publish()

    def _is_replaced(self, module: str) -> bool:
        """Return whether the user's code defines a processor with the name of a ready-made one, which is then not
        loaded. Log it once.
        """
        name = module.rpartition(".")[2]
        own = self._registry.get(name) or self._broken.get(name, (None,))[0]
        if own is None or own.module == module:
            if module in self._replaced:  # It was renamed: load the ready-made one.
                self._replaced.remove(module)
                self._versions.pop(module, None)
            return False
        if module not in self._replaced:
            self._replaced.add(module)
            self._forget(module)
            logger.warning(
                "the ready-made processor %s is not used: %s defines a processor of this name",
                name,
                own.module,
            )
        return True

    def give_up_loading(self) -> None:
        """`refresh` does not return: the previous processors continue, and the module gets the error."""
        self.errors[self.loading] = f"Loading {self.loading} takes too long.\n"
        logger.warning("loading %s takes too long", self.loading)

    @contextlib.contextmanager
    def _last_words(self, name: str) -> Iterator[None]:
        if self._running is None:
            yield
            return
        slot = self._running.take_slot()
        self._running.enter(slot, running_words("", name))
        try:
            yield
        finally:
            self._running.give_back(slot)

    def _load(self, file: ModuleFile, version: FileVersion) -> None:
        before = self._forget(file.name)
        if version is None:
            sys.modules.pop(file.name, None)
            return
        if self._refusals.get(file.name):
            self._refuse(file, before)
            return
        self._watch(file.name, self._helpers.needed_by(file.path, file.package))
        versions = [version, *(self._helper_versions[name] for name in self._needs[file.name])]
        name = loading_name(file.name, max(each[0] for each in versions if each is not None))
        if name in self._left_out:
            logger.warning("%s", self._left_out[name])
            self.errors[file.name] = f"{self._left_out[name]}\n"
            return
        module = types.ModuleType(file.name)
        module.__file__ = str(file.path)
        module.__package__ = file.package
        linecache.checkcache(str(file.path))
        try:
            code = compile(file.path.read_bytes(), str(file.path), "exec")
            sys.modules[file.name] = module
            with self._last_words(name):
                exec(code, module.__dict__)  # noqa: S102 (the operator's own code: this is what we are for)
        except BaseException as exc:  # The boundary to user code.
            self._note_failure(file.name, exc, before)

    def _forget(self, module: str) -> list[Registration]:
        """Forget what is known of a module that is to be loaded again, and return its processors so far."""
        before = [p for p in self._registry if p.module == module]
        before += [was for was, _ in self._broken.values() if was.module == module]
        self._registry.forget(module)
        self.errors.pop(module, None)
        self._broken = {name: entry for name, entry in self._broken.items() if entry[0].module != module}
        self._needs[module] = {}
        return before

    def _note_failure(self, module: str, exc: BaseException, before: list[Registration]) -> None:
        """`module` does not load because of `exc`, and with it the processors `before`."""
        text = user_traceback(exc)
        logger.warning("%s does not load:\n%s", module, text)
        self.errors[module] = text
        if isinstance(exc, ModuleNotFoundError) and exc.name:
            expected = self._helpers.expect(exc.name)
            self._watch(module, {exc.name: expected} if expected is not None else {})
        sentence = f"{module} does not load: {one_line(exc)}"
        for was in before:
            self._broken[was.name] = (was, ProcessorError(sentence, traceback=text))

    def _watch(self, module: str, helpers: dict[str, Path]) -> None:
        """Load `module` again when one of these changes."""
        self._needs[module] |= helpers
        self._helper_versions |= {name: _read_version(path) for name, path in helpers.items()}

    def _refuse(self, file: ModuleFile, before: list[Registration]) -> None:
        sentence = self._refusals[file.name]
        logger.error("%s", sentence)
        self.errors[file.name] = f"{sentence}\n"
        for was in before:
            self._broken[was.name] = (was, ProcessorError(sentence))

    def _publish(self) -> None:
        for each in self._registry:
            if each.module in self._ready_made:
                each.cameras = self._ready_made[each.module]
        join_turns(self._registry)
        current: dict[str, Registration | ProcessorError] = {p.name: p for p in self._registry}
        for name, (_, error) in self._broken.items():
            current.setdefault(name, error)
        self.current = current

    def set_off(self, camera: str, names: Collection[str]) -> bool:
        """Set the processors that do not run for a camera. One that others run after runs while these do.

        Return whether this is a change.
        """
        off = frozenset(names)
        has_changed = off != self._off.get(camera, frozenset())
        self._off[camera] = off
        return has_changed

    def is_off(self, camera: str, name: str) -> bool:
        return name in self._off.get(camera, ())

    def views(self, camera: str) -> list[str]:
        """Return the names of a camera's views, including those that currently fail to load. Processors of events have
        none.
        """
        return sorted(name for name, entry in self.current.items() if self._is_for(camera, name, entry))

    def recorded(self, camera: str) -> list[str]:
        """Return the names of a camera's views whose annotations are to be recorded."""
        return [
            name
            for name, entry in sorted(self.current.items())
            if isinstance(entry, Registration) and entry.record and self._is_for(camera, name, entry)
        ]

    def view_for_guests(self, camera: str) -> str:
        """Return the name of the view that the code declares for a camera's guests, the first one by name; "": none."""
        found = (
            name
            for name, entry in sorted(self.current.items())
            if isinstance(entry, Registration) and entry.replaces_video_for and entry.applies_to(camera)
        )
        return next(found, "")

    def made(self, camera: str, when: When) -> list[str]:
        """Return the names of a camera's views that are made at this time."""
        return [
            name
            for name, entry in sorted(self.current.items())
            if isinstance(entry, Registration) and entry.when == when and self._is_for(camera, name, entry)
        ]

    def _is_for(self, camera: str, name: str, entry: Registration | ProcessorError) -> bool:
        if self.is_off(camera, name):
            return False
        if isinstance(entry, Registration):
            return entry.has_view and entry.applies_to(camera)
        broken = self._broken.get(name)  # None: its module is being reloaded.
        return broken is None or (broken[0].has_view and broken[0].applies_to(camera))

    def describe(self) -> list[dict[str, object]]:
        return [
            {
                "name": entry.name,
                "module": entry.module,
                "cameras": list(entry.cameras),
                "description": entry.description,
                "record": entry.record,
                "width_px": entry.width_px,
                "fps": entry.fps,
                "after": entry.after,
                "when": entry.when,
                "kinds": list(entry.kinds),
                "labels": list(entry.labels),
                "replaces_video_for": entry.replaces_video_for,
                "options": entry.options_schema,
            }
            for _, entry in sorted(self.current.items())
            if isinstance(entry, Registration)
        ]


def user_traceback(exc: BaseException) -> str:
    """Return the traceback as the user needs it: without our own frames and those of Python's import system."""
    report = traceback.TracebackException.from_exception(exc)
    each: traceback.TracebackException | None = report
    for _ in range(MAX_CAUSES):
        if each is None:
            break
        frames = [
            frame for frame in each.stack if not frame.filename.startswith((*_OURS, "<frozen importlib"))
        ]
        each.stack = traceback.StackSummary.from_list(frames)
        each = each.__cause__ or each.__context__
    return "".join(report.format())[-MAX_TRACEBACK_CHARS:]


def one_line(exc: BaseException) -> str:
    """Return "ValueError: words (cameras.py, line 12)": the innermost line of the user's own code. No paths."""
    if isinstance(exc, SyntaxError):
        return f"{type(exc).__name__}: {exc.msg} ({Path(exc.filename or '').name}, line {exc.lineno})"
    try:
        text = str(exc)
    except Exception:  # The boundary to user code: an exception whose own text fails.
        text = "(without a text)"
    words = f"{type(exc).__name__}: {text}".splitlines()[0][:200]
    lines = [(at.tb_frame.f_code.co_filename, at.tb_lineno) for at in _frames(exc)]
    own = [line for line in lines if not line[0].startswith((*_OURS, "<")) and not is_installed(line[0])]
    return f"{words} ({Path(own[-1][0]).name}, line {own[-1][1]})" if own else words


def _frames(exc: BaseException) -> Iterator[types.TracebackType]:
    at = exc.__traceback__
    while at is not None:
        yield at
        at = at.tb_next
