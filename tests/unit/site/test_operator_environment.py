import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError

from ninjacam.management.commands import ninjacam_demo, ninjacam_serve
from ninjacam.management.commands.ninjacam_serve import port_number
from ninjacam.site import environment
from tests.harness.processes import python

BERLIN = environment.ZONEINFO / "Europe/Berlin"
needs_zones = pytest.mark.skipif(not BERLIN.exists(), reason="this host has no /usr/share/zoneinfo")


def test_tz_sets_the_time_zone() -> None:
    assert environment.time_zone({"TZ": ":Asia/Seoul"}) == "Asia/Seoul"
    for wrong in ("Mars/Olympus", "../etc/passwd", "/etc/passwd"):
        with pytest.raises(ImproperlyConfigured, match="TZ names no time zone"):
            environment.time_zone({"TZ": wrong})


@needs_zones
@pytest.mark.parametrize("how", ["link", "copy"])
def test_without_tz_the_time_zone_of_the_host_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    local = tmp_path / "localtime"
    monkeypatch.setattr(environment, "LOCALTIME", local)
    assert environment.time_zone({"TZ": ""}) == "UTC"  # no time zone
    if how == "link":
        os.symlink(BERLIN, local)
    else:
        shutil.copy(BERLIN, local)
    found = environment.time_zone({})
    assert (environment.ZONEINFO / found).read_bytes() == BERLIN.read_bytes()
    local.unlink()
    local.write_bytes(b"no zone")
    assert environment.time_zone({}) == "UTC"


def test_the_networks_of_cameras_are_read() -> None:
    given = {"NINJACAM_NETWORKS": "192.168.1.0/24, fd00::/8"}
    assert environment.networks(given) == ["192.168.1.0/24", "fd00::/8"]
    assert environment.networks({}) == []
    with pytest.raises(ImproperlyConfigured, match="NINJACAM_NETWORKS cannot be read"):
        environment.networks({"NINJACAM_NETWORKS": "10.0.0.1/8"})


@pytest.mark.parametrize(
    ("given", "prefix"), [("", ""), ("/", ""), ("cam", "/cam"), ("/cam/", "/cam"), ("/a/b-c_1", "/a/b-c_1")]
)
def test_the_prefix_is_a_path(given: str, prefix: str) -> None:
    assert environment.prefix({"NINJACAM_PREFIX": given}) == prefix


@pytest.mark.parametrize("given", ["/a b", "https://x/", "/a//b", "/../x", "/a?b", "/<x>"])
def test_other_prefixes_are_rejected(given: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="NINJACAM_PREFIX cannot be"):
        environment.prefix({"NINJACAM_PREFIX": given})


@pytest.mark.parametrize("text", ["80000", "65536", "-1", "x", "1e3"])
def test_an_invalid_port_is_rejected(text: str) -> None:
    with pytest.raises(Exception, match="is not a port"):
        port_number(text)
    assert port_number("65535") == 65_535


@pytest.mark.parametrize("command", [ninjacam_serve.Command, ninjacam_demo.Command])
def test_each_option_for_a_port_rejects_other_numbers(
    command: type[ninjacam_serve.Command],
) -> None:
    parser = command().create_parser("ninjacam", "serve")
    options = {text for action in parser._actions for text in action.option_strings if "port" in text}
    assert options >= {"--port", "--rtmp-port", "--rtsp-port"}
    for option in options:
        with pytest.raises(CommandError, match="is not a port"):
            parser.parse_args([option, "80000"])


def test_the_product_uses_its_environment(tmp_path: Path) -> None:
    given = {
        "NINJACAM_DATA": str(tmp_path),
        "NINJACAM_NETWORKS": "10.1.0.0/16",
        "NINJACAM_PREFIX": "/cam",
        "TZ": "Asia/Seoul",
    }
    code = (
        "import json; from ninjacam.site import settings as s; "
        "print(json.dumps([s.TIME_ZONE, s.FORCE_SCRIPT_NAME, s.STATIC_URL, list(s.NINJACAM['ALLOWED_NETWORKS'])]))"
    )
    done = subprocess.run(
        python("-c", code), env={**os.environ, **given}, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == ["Asia/Seoul", "/cam", "/cam/static/", ["10.1.0.0/16"]]
