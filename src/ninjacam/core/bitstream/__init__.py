"""The former name of `ninjacam.codecs.bitstream`, for programs outside of this project. Nothing here imports it."""

from ninjacam.codecs.bitstream import nal_type, parameter_sets, split_annexb

__all__ = ["nal_type", "parameter_sets", "split_annexb"]
