"""What the product's log must not contain."""

import logging
import re

_SETUP_LINK = re.compile(r"/setup/[^/\s]+")


class SetupLinkFilter(logging.Filter):
    """Masks setup links: Django logs the path of a request that it refuses, and the link may still be valid."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if "/setup/" in text:
            record.msg, record.args = _SETUP_LINK.sub("/setup/…", text), ()
        return True
