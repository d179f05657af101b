"""Finds the ONVIF service of a known host on the common ports of cameras. Not here: finding hosts."""

import asyncio
from dataclasses import replace

from ninjacam.core.errors import NinjacamError, NotACameraError
from ninjacam.onvif.client import OnvifClient
from ninjacam.sources.base import SourceConfig

PORTS = (80, 8080, 8000, 8899, 2020, 888, 10080)
"""Ports from the manuals of large manufacturers. The first one in this order that responds is used."""
TIMEOUT_S = 3.0


async def find_device(
    config: SourceConfig, host: str, path: str, ports: tuple[int, ...] = PORTS
) -> SourceConfig:
    """Return `config` with the URL of the ONVIF service at `host`. The login is not sent.

    Raises: NotACameraError: none of the ports answers as an ONVIF device; ForbiddenAddressError.
    """
    authority = f"[{host}]" if ":" in host else host
    urls = [f"http://{authority}:{port}{path}" for port in ports]
    answers = await asyncio.gather(*(_answers(replace(config, url=url)) for url in urls))
    for url, answers_there in zip(urls, answers, strict=True):
        if answers_there:
            return replace(config, url=url)
    raise NotACameraError(
        "No ONVIF service was found on the camera's usual ports. Switch ONVIF on in the camera, or enter its ONVIF "
        "address instead of “auto”."
    )


async def _answers(config: SourceConfig) -> bool:
    client = OnvifClient(replace(config, username="", password=""), timeout_s=TIMEOUT_S)
    try:
        await client.get_clock_offset()
    except NinjacamError as error:
        # A device that requires a login even for GetSystemDateAndTime.
        return error.code == "authentication_failed"
    finally:
        client.close()
    return True
