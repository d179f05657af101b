"""Rigs outside of this project run capture on cameras of their own. They import these names."""

import importlib

import pytest

NAMES = {
    "ninjacam.capture.camera": ("CameraCapture",),
    "ninjacam.capture.probe": (),
    "ninjacam.core.bitstream": ("nal_type", "parameter_sets", "split_annexb"),
    "ninjacam.core.packets": ("Codec", "Flags", "Kind"),
    "ninjacam.sources.base": ("SourceConfig",),
    "ninjacam.testing.rtp": ("payload_type", "payloads"),
    "ninjacam.testing.stamp": ("draw", "read"),
    "ninjacam.testing.clips": ("Clip", "ClipTrack", "Unit"),
    "ninjacam.testing.scenes": ("SceneOptions", "draw_frames", "make_clip"),
    "ninjacam.testing.sdp": ("describe",),
}


@pytest.mark.parametrize("module", NAMES)
def test_a_rig_finds_the_names_that_it_imports(module: str) -> None:
    imported = importlib.import_module(module)
    assert all(hasattr(imported, name) for name in NAMES[module])
