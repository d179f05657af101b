"""Which inputs of a network we can provide: one image, and for some also its size."""

from ninjacam.inference.onnx_header import FLOAT, FLOAT16, INT64, UINT8, ModelHeader, TensorInfo

SIZES_INPUT = "orig_target_sizes"
"""Input of RT-DETR models that scale their boxes: we pass the size of the network's own input."""
DTYPES = {FLOAT: "float32", FLOAT16: "float16", UINT8: "uint8"}
"""ONNX data type of an input that takes an image -> NumPy's."""


class MismatchError(ValueError):
    """A network has other inputs, or outputs of other shapes, than its decoder expects. The message is part of a
    sentence.
    """


def image_input(header: ModelHeader) -> TensorInfo:
    """Return the input that takes the image. Raises: MismatchError: we cannot provide the inputs."""
    images = [each for each in header.inputs if each.name != SIZES_INPUT]
    sizes = [each for each in header.inputs if each.name == SIZES_INPUT]
    if len(images) != 1 or any(each.dtype != INT64 for each in sizes):
        names = ", ".join(each.name for each in header.inputs)
        raise MismatchError(f"it takes more than one image ({names[:100]})")
    (image,) = images
    if image.dtype not in DTYPES:
        raise MismatchError(f"its input has the ONNX data type {image.dtype}; convert it to float32")
    if len(image.shape) != 4 or 3 not in (image.shape[1], image.shape[3]):
        shown = ", ".join("?" if each is None else str(each) for each in image.shape)
        raise MismatchError(f"its input has the shape ({shown}), not (images, 3, height, width)")
    return image


def is_channels_last(image: TensorInfo) -> bool:
    """Return whether the input is (images, height, width, 3)."""
    return image.shape[1] != 3


def declared_size(header: ModelHeader) -> tuple[int | None, int | None]:
    """Return width and height of the input; None: any. Raises: MismatchError."""
    image = image_input(header)
    height_px, width_px = image.shape[1:3] if is_channels_last(image) else image.shape[2:]
    return width_px, height_px
