"""The command `ninjacam`: the management commands `ninjacam_*`, in the product's own project.

Sets the environment first and imports Django afterwards. In your own project use `manage.py ninjacam_<verb>`.
"""

# ruff: noqa: E402 (what comes first must come first)
import os
import sys


def _leave_start_directory(*, is_module: bool) -> None:
    """Remove the entries from `sys.path` that Python added because of how it was started.

    These are the current directory (`python -m`) or the script's, and the current one again if PYTHONPATH has an
    empty item. Modules must not be imported from there, so this precedes all other imports.
    """
    script = os.path.dirname(os.path.realpath(sys.argv[0]))
    if not sys.flags.safe_path and (is_module or sys.path[:1] == [script]):
        del sys.path[0]
    here, given = os.getcwd(), os.environ.get("PYTHONPATH", "")
    own = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if given and "" in given.split(os.pathsep) and here in sys.path and here != own:
        sys.path.remove(here)


if __name__ == "__main__" or os.path.basename(sys.argv[0]) == "ninjacam":
    _leave_start_directory(is_module=__name__ == "__main__")

import argparse
import pkgutil
from collections.abc import Sequence
from pathlib import Path

from ninjacam import __version__
from ninjacam.core.imports import importing
from ninjacam.core.limits import keep_files_private

_PREFIX = "ninjacam_"
_SERVERS = {"serve", "demo", "engine"}
_NO_MIGRATION = {"doctor", "openapi", "engine"}
"""`engine` is a child of `serve`, which has migrated; the others only read."""


def _verbs() -> list[str]:
    commands = Path(__file__).parent / "management" / "commands"
    names = (module.name for module in pkgutil.iter_modules([str(commands)]))
    return sorted(name.removeprefix(_PREFIX).replace("_", "-") for name in names if name.startswith(_PREFIX))


def _split_data(arguments: Sequence[str]) -> tuple[str | None, list[str]]:
    """Return the value of `--data DIR`, which may precede or follow the verb, and the other arguments."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--data")
    known, rest = parser.parse_known_args(arguments)
    return known.data, rest


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return the exit status. Errors are one sentence on stderr."""
    keep_files_private()
    data, rest = _split_data(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(
        "ninjacam",
        description="A camera server. `ninjacam VERB --help` explains each verb.",
        epilog="--data DIR, or NINJACAM_DATA: where everything is kept.",
    )
    parser.add_argument("--version", action="version", version=f"ninjacam {__version__}")
    parser.add_argument("verb", choices=_verbs())
    verb = parser.parse_args(rest[:1]).verb
    if data:
        os.environ["NINJACAM_DATA"] = str(Path(data).expanduser().absolute())
    os.environ["DJANGO_SETTINGS_MODULE"] = "ninjacam.site.settings"
    if verb not in _SERVERS:
        os.environ.setdefault("NINJACAM_LOG", "WARNING")
    return _run(verb, rest[1:])


def _run(verb: str, arguments: list[str]) -> int:
    import django
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import load_command_class
    from django.core.management.base import CommandError

    from ninjacam.core.errors import NinjacamError

    try:
        with importing():
            django.setup()
            command = load_command_class("ninjacam", _PREFIX + verb.replace("-", "_"))
        parser = command.create_parser("ninjacam", verb)
        parser.epilog = "--data DIR, or NINJACAM_DATA: where everything is kept."
        options = vars(parser.parse_args(arguments))
        if verb not in _NO_MIGRATION:
            _prepare_data()
        command.execute(*options.pop("args", ()), **options)
    except CommandError as error:
        sys.stderr.write(f"ninjacam: {error}\n")
        return error.returncode
    except (NinjacamError, ImproperlyConfigured) as error:
        sys.stderr.write(f"ninjacam: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _prepare_data() -> None:
    """Make the contents of the data directory private, and migrate the database."""
    from ninjacam.conf import get_settings
    from ninjacam.management.private import make_private, private_paths

    for sentence in make_private(private_paths(get_settings())):
        sys.stderr.write(f"ninjacam: {sentence}\n")
    _migrate()


def _migrate() -> None:
    """Migrate the database if it is new or outdated. One process at a time."""
    import fcntl

    from django.core.management import call_command
    from django.core.management.base import CommandError
    from django.db import OperationalError, connection
    from django.db.migrations.executor import MigrationExecutor

    from ninjacam.conf import get_settings

    try:
        executor = MigrationExecutor(connection)
        if not executor.migration_plan(executor.loader.graph.leaf_nodes()):
            return
        with (get_settings().data_dir / "migrate.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            call_command("migrate", interactive=False, verbosity=0, skip_checks=True)
    except OperationalError as error:
        raise CommandError(f"The database cannot be opened: {error}. See DATABASE_URL and --data.") from error


if __name__ == "__main__":
    sys.exit(main())
