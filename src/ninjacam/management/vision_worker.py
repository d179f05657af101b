"""`python -m ninjacam.management.vision_worker`: a vision worker with Django set up, because processors live in apps.

Started by the engine, never by hand.
"""

import argparse
import gc
import resource
from pathlib import Path

import django


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", required=True)
    parser.add_argument("--run-dir", type=Path, required=True)
    parser.add_argument("--orphan-s", type=float, default=60)
    arguments = parser.parse_args()
    django.setup()

    from ninjacam.conf import get_settings
    from ninjacam.core.limits import confine
    from ninjacam.hub.child import run_loop
    from ninjacam.management.processors import processor_modules
    from ninjacam.vision.process import VisionProcess

    confine(memory_bytes=resource.RLIM_INFINITY)  # models map more address space than they use
    config = get_settings()
    process = VisionProcess(
        name=arguments.name,
        run_dir=arguments.run_dir,
        orphan_s=arguments.orphan_s,
        modules=processor_modules(config),
        reload=config.reload,
    )
    gc.freeze()  # what is loaded stays: no collection need look at it while pictures wait
    run_loop(process.run)


if __name__ == "__main__":
    main()
