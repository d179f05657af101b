"""`python -m ninjacam.processes.vision_worker`: a vision worker with Django set up, because processors are defined
in apps.

Started only by the engine.
"""

import gc
import resource
from collections.abc import Sequence

import django

from ninjacam.core.limits import keep_files_private, leave
from ninjacam.supervision.child import child_parser, run_loop

EVENTS_S = 0.5
"""Seconds to write waiting events, states and values when the worker ends. The engine waits for 1.2 s."""


def main(arguments: Sequence[str] | None = None) -> None:
    keep_files_private()
    options = child_parser().parse_args(arguments)
    django.setup()

    from ninjacam import events
    from ninjacam.actions.guest_views import store_guest_view
    from ninjacam.conf import get_settings
    from ninjacam.core.limits import confine
    from ninjacam.core.memory import keep_freed_frames
    from ninjacam.core.processor_states import keep_states_in
    from ninjacam.core.processor_values import keep_values_with
    from ninjacam.processes.processor_modules import processor_modules
    from ninjacam.processor_writer import ProcessorWriter
    from ninjacam.vision.decoder_opening import decode_on
    from ninjacam.vision.process import VisionProcess

    confine(memory_bytes=resource.RLIM_INFINITY)  # Models map more address space than they use.
    keep_freed_frames()
    config = get_settings()
    decode_on(config.decode)

    async def run() -> None:
        process = VisionProcess(
            name=options.name,
            run_dir=options.run_dir,
            orphan_s=options.orphan_s,
            modules=processor_modules(config),
            reload=config.reload,
            store_guest_view=store_guest_view,
        )
        await process.run()

    # Loaded objects are permanent: exclude them from garbage collections, which would delay frames.
    gc.freeze()
    writer = ProcessorWriter()
    events.send_to(writer.put)
    keep_states_in(writer)
    keep_values_with(writer.add_values)
    run_loop(run)
    writer.close(EVENTS_S)
    leave()  # Processors may still be running in OpenCV.


if __name__ == "__main__":
    main()
