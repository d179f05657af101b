from pathlib import Path

import ninjacam

STATIC = Path(ninjacam.__file__).parent / "static" / "ninjacam"


def test_the_scripts_load_nothing_from_elsewhere() -> None:
    for path in (each for each in STATIC.rglob("*") if each.is_file() and each.suffix != ".png"):
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text, path.name
        assert "https://" not in text, path.name
