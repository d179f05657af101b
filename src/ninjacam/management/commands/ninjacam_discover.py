"""`ninjacam discover`: find cameras in the network."""

import asyncio
import json
from typing import Any

from django.core.management.base import CommandError, CommandParser

from ninjacam.actions.discovery import Event, RunningSearch, start_search
from ninjacam.discovery.search import DEFAULT_TIMEOUT_S
from ninjacam.management.base import OPERATOR, NinjacamCommand


class Command(NinjacamCommand):
    help = (
        "Find cameras, camera apps and recorders in the local network, and in a network that you name also those that "
        "do not announce themselves. Prints each as soon as it is known."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--network", default="", help="probe each address of this private network, such as 192.168.1.0/24"
        )
        parser.add_argument(
            "--timeout",
            type=float,
            default=DEFAULT_TIMEOUT_S,
            metavar="S",
            help="seconds to search, from 1 to 30; default: %(default)g",
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object per line")

    def run(self, options: dict[str, Any]) -> None:
        search = start_search(OPERATOR, options["network"], timeout_s=options["timeout"], images=False)
        try:
            found = asyncio.run(self._print(search, as_json=options["json"]))
        finally:
            search.close()
        if not found and not options["json"]:
            hint = (
                "" if options["network"] else " Or name a network: ninjacam discover --network 192.168.1.0/24"
            )
            self.stdout.write(f"No camera responded.{hint}")

    async def _print(self, search: RunningSearch, *, as_json: bool) -> int:
        """Print each device when its evidence is complete. Return their number. Raises: CommandError."""
        printed: set[str] = set()
        async for event in search:
            if event["event"] == "error":
                raise CommandError(event["message"])
            if event["event"] != "device" or not event["is_final"] or event["address"] in printed:
                continue
            printed.add(event["address"])
            del event["event"]
            self.stdout.write(json.dumps(event) if as_json else describe(event))
            self.stdout.flush()
        return len(printed)


def describe(device: Event) -> str:
    """Return a few lines that describe a device and how to add it. Its texts are already sanitized."""
    what = " ".join(filter(None, (device["maker"], device["model"]))) or device["kind"]
    lines = [
        f"{device['address']}  {device['title']}  ({what}; {device['kind']}, {device['certainty_word']})"
    ]
    lines += [f"    {reason}" for reason in device["reasons"]]
    for stream in device["streams"]:
        about = " ".join(filter(None, (stream["codec"], _size(stream))))
        lines.append(f"    {stream['name']}: {stream['url']}  {about or stream['state']}".rstrip())
    if device["camera"]:
        lines.append(f"    Already added: {device['camera']}")
    elif device["streams"]:
        login = " --username USER" if device["needs_password"] else ""
        lines.append(f"    ninjacam add {device['slug']} '{device['streams'][0]['url']}'{login}")
    return "\n".join(lines)


def _size(stream: Event) -> str:
    return f"{stream['width_px']}x{stream['height_px']}" if stream["width_px"] else ""
