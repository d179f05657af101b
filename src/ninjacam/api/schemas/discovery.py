"""The search for cameras in the network."""

from typing import Annotated

from ninja import Schema
from pydantic import Field

from ninjacam.api.schemas.fields import example, input_example
from ninjacam.discovery.search import DEFAULT_TIMEOUT_S, MAX_TIMEOUT_S, MIN_TIMEOUT_S


class DiscoveryIn(Schema):
    """Where to search. Without `network`, only devices that announce themselves are found."""

    model_config = input_example(network="192.168.1.0/24")

    network: Annotated[
        str,
        Field(
            max_length=50,
            pattern=r"^[0-9./ ]*$",
            description="Private IPv4 network of at most 256 addresses, each of which is probed.",
        ),
    ] = ""
    timeout_s: Annotated[
        float, Field(ge=MIN_TIMEOUT_S, le=MAX_TIMEOUT_S, description="Seconds until the search ends.")
    ] = DEFAULT_TIMEOUT_S
    images: bool = Field(True, description="Whether to take one frame of each device without a password.")


class NetworkOut(Schema):
    interface: str
    network: str


class DiscoveryOut(Schema):
    """What can be searched, and whether a search is running on this server."""

    model_config = example(running=False, networks=[{"interface": "eth0", "network": "192.168.1.0/24"}])

    running: bool
    networks: list[NetworkOut] = Field(description="Private networks that this server is attached to.")
