import shutil
import subprocess
from pathlib import Path

import pytest

import ninjacam

STATIC = Path(ninjacam.__file__).parent / "static" / "ninjacam"
OPTIONS = ["--noEmit", "--allowJs", "--checkJs", "--strict", "--target", "es2023", "--module", "esnext",
           "--moduleResolution", "bundler", "--lib", "es2023,dom,dom.iterable"]  # fmt: skip


@pytest.fixture(scope="module")
def tsc() -> list[str]:
    npx = shutil.which("npx")
    if npx is None:
        pytest.skip("The types of the scripts are not checked: there is no npx (Node.js).")
    command = [npx, "--yes", "--package=typescript@5", "tsc"]
    found = subprocess.run([*command, "--version"], capture_output=True, timeout=120, check=False)
    if found.returncode:
        pytest.skip("The types of the scripts are not checked: npx cannot get TypeScript (offline?).")
    return command


def test_the_types_of_the_scripts_hold(tsc: list[str]) -> None:
    scripts = sorted(str(path) for path in STATIC.rglob("*.js"))
    checked = subprocess.run(
        [*tsc, *OPTIONS, *scripts], capture_output=True, text=True, timeout=300, check=False
    )
    assert checked.returncode == 0, checked.stdout


def test_the_scripts_load_nothing_from_elsewhere() -> None:
    for path in filter(Path.is_file, STATIC.rglob("*")):
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text, path.name
        assert "https://" not in text, path.name
