from pathlib import Path

import ninjacam

STATIC = Path(ninjacam.__file__).parent / "static" / "ninjacam"


def test_the_scripts_load_nothing_from_elsewhere() -> None:
    for path in filter(Path.is_file, STATIC.rglob("*")):
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text, path.name
        assert "https://" not in text, path.name
