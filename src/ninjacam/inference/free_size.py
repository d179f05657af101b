"""Lets a network that was exported for images of one size take other sizes.

Convolutions work on images of any size. Exported files declare one size anyway, and engines insist on it. Here, only
the declaration is removed. Whether the network works on other sizes must be tried (`opening`): some contain numbers
that follow from the size.
"""

from collections.abc import Container, Iterator

from ninjacam.inference.onnx_header import MAX_DIMENSIONS, FieldReader, read_header

_GRAPH = 7
_INPUT, _OUTPUT, _VALUE_INFO = 11, 12, 13
_SHAPE = (2, 1, 2)
"""Fields from a ValueInfoProto to its shape: type, tensor_type, shape."""
_SIZE_KEY = 0x08
"""Key of `dim_value`, which is a varint."""
_UNKNOWN_KEY = 0x78
"""Key of a varint that onnx.proto does not have, so that readers skip it."""


def with_free_size(content: bytes) -> bytes | None:
    """Return the file without the width and height of its image and without the shapes of its outputs.

    `content`: a file that `read_header` accepts. None: it also declares inner shapes, or its input is not one image.
    """
    header = read_header(content)
    if len(header.inputs) != 1 or len(header.inputs[0].shape) != 4:
        return None
    (image,) = header.inputs
    sizes = (2, 3) if image.shape[1] == 3 else (1, 2)
    changed = bytearray(content)
    reader = FieldReader()
    with memoryview(changed) as whole:
        for graph in _find(reader, whole, _GRAPH):
            for number, info in reader.fields(graph):
                if number == _VALUE_INFO:
                    return None
                if not isinstance(info, memoryview):
                    continue
                if (
                    number == _INPUT and _name(reader, info) == image.name
                ):  # Weights can be declared as inputs, too.
                    _free(reader, info, sizes)
                elif number == _OUTPUT:
                    _free(reader, info, range(1, MAX_DIMENSIONS))
    return bytes(changed)


def _free(reader: FieldReader, info: memoryview, indices: Container[int]) -> None:
    for shape in _find(reader, info, *_SHAPE):
        for index, dimension in enumerate(_find(reader, shape, 1)):
            if index in indices and dimension and dimension[0] == _SIZE_KEY:
                dimension[0] = _UNKNOWN_KEY


def _name(reader: FieldReader, info: memoryview) -> str:
    return "".join(bytes(value).decode(errors="replace") for value in _find(reader, info, 1))


def _find(reader: FieldReader, message: memoryview, *path: int) -> Iterator[memoryview]:
    """Yield the messages at these field numbers."""
    if not path:
        yield message
        return
    for number, value in reader.fields(message):
        if number == path[0] and isinstance(value, memoryview):
            yield from _find(reader, value, *path[1:])
