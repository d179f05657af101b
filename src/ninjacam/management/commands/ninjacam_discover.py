"""`ninjacam discover`: find cameras in the network."""

from typing import Any

from django.core.management.base import CommandParser

from ninjacam.management.base import NinjacamCommand
from ninjacam.sources.discovery import discover_onvif, discover_ports, private_network


class Command(NinjacamCommand):
    help = "Find cameras in the local network by ONVIF, and in a network that you name by their open ports."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--network", help="also scan the camera ports of this private network, such as 192.168.1.0/24"
        )

    def run(self, options: dict[str, Any]) -> None:
        network = private_network(options["network"]) if options["network"] else None
        found = discover_onvif()
        known = {candidate.host for candidate in found}
        if network is not None:
            found += [candidate for candidate in discover_ports(network) if candidate.host not in known]
        for candidate in found:
            self.stdout.write(
                f"{candidate.host}:{candidate.port}  {candidate.how}  {candidate.name}".rstrip()
            )
            self.stdout.write(
                f"    ninjacam add NAME {candidate.suggestion} --username USER --password-stdin"
            )
        if not found:
            hint = "" if network else " Or scan a network: ninjacam discover --network 192.168.1.0/24"
            self.stdout.write(f"No camera responded.{hint}")
