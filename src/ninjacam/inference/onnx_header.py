"""Reads what an ONNX file says about itself, without an engine: opset, inputs and outputs.

Engines may crash on files that are not models. A truncated file, or one of another kind, is recognized here first. The
format is protocol buffers (onnx/onnx.proto): a sequence of fields, each a key, (number << 3) | wire type, and a value.
Not here: the nodes of the graph, which only an engine can check.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

MAX_FIELDS = 500_000
"""Maximum number of fields to read; large detectors have fewer than 10,000."""
MAX_DIMENSIONS = 8
FLOAT, UINT8, INT32, INT64, FLOAT16 = 1, 2, 6, 7, 10
"""TensorProto.DataType"""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED_BYTES = {_FIXED64: 8, _FIXED32: 4}

Value: TypeAlias = int | memoryview


class NotOnnxError(ValueError):
    """The content is not an ONNX model. The message is part of a sentence whose subject is the file."""


class TruncatedError(NotOnnxError):
    """The content ends too early."""


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """`dtype`: TensorProto.DataType. `shape`: None for a dimension that is not fixed."""

    name: str
    dtype: int
    shape: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class ModelHeader:
    """`inputs`: those that a caller must provide, without initializers."""

    opset: int
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]


def read_header(content: bytes) -> ModelHeader:
    """Raises: NotOnnxError, TruncatedError."""
    reader = FieldReader()
    opset, graph = 0, None
    with memoryview(content) as whole:
        for number, value in reader.fields(whole):
            if number == 7 and isinstance(value, memoryview):  # ModelProto.graph
                graph = value
            elif number == 8 and isinstance(value, memoryview):  # ModelProto.opset_import
                opset = max(opset, _opset(reader, value))
        if graph is None or not opset:
            raise NotOnnxError("is not an ONNX model")
        return _read_graph(reader, graph, opset)


class FieldReader:
    """Counts the fields of all messages, so that a hostile file cannot take long."""

    def __init__(self) -> None:
        self._left = MAX_FIELDS

    def fields(self, message: memoryview) -> Iterator[tuple[int, Value]]:
        """Yield number and value of each field. Raises: NotOnnxError, TruncatedError."""
        at, end = 0, len(message)
        while at < end:
            self._left -= 1
            if self._left < 0:
                raise NotOnnxError(f"has more than {MAX_FIELDS} fields")
            key, at = _read_varint(message, at)
            number, wire_type = key >> 3, key & 7
            if not number or wire_type not in (_VARINT, _BYTES, *_FIXED_BYTES):
                raise NotOnnxError("is not an ONNX model")
            if wire_type == _VARINT:
                value, at = _read_varint(message, at)
                yield number, value
                continue
            if wire_type == _BYTES:
                size, at = _read_varint(message, at)
            else:
                size = _FIXED_BYTES[wire_type]
            if size > end - at:
                raise TruncatedError("is truncated")
            yield number, message[at : at + size]
            at += size


def _read_varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise TruncatedError("is truncated")
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise NotOnnxError("is not an ONNX model")


def _text(value: Value) -> str:
    if isinstance(value, int):
        raise NotOnnxError("is not an ONNX model")
    return bytes(value[:1000]).decode(errors="replace")


def _message(value: Value) -> memoryview:
    if isinstance(value, int):
        raise NotOnnxError("is not an ONNX model")
    return value


def _opset(reader: FieldReader, message: memoryview) -> int:
    """Return the version of ONNX's own operators; 0: it is that of other operators."""
    domain, version = "", 0
    for number, value in reader.fields(message):
        if number == 1:
            domain = _text(value)
        elif number == 2 and isinstance(value, int):
            version = value
    return version if domain in ("", "ai.onnx") else 0


def _read_graph(reader: FieldReader, graph: memoryview, opset: int) -> ModelHeader:
    inputs, outputs, initializers = [], [], set()
    for number, value in reader.fields(graph):
        if number == 11:  # GraphProto.input
            inputs.append(_tensor(reader, _message(value)))
        elif number == 12:  # GraphProto.output
            outputs.append(_tensor(reader, _message(value)))
        elif number == 5:  # GraphProto.initializer
            initializers.add(_initializer(reader, _message(value)))
    needed = tuple(each for each in inputs if each.name not in initializers)
    if not needed or not outputs:
        raise NotOnnxError("has no inputs or no outputs")
    return ModelHeader(opset, needed, tuple(outputs))


def _initializer(reader: FieldReader, message: memoryview) -> str:
    """Return the name of a TensorProto. Raises: NotOnnxError: its data are in another file."""
    name = ""
    for number, value in reader.fields(message):
        if number == 8:
            name = _text(value)
        elif number == 14 and value == 1:  # data_location: EXTERNAL
            raise NotOnnxError("has its weights in other files, which is not supported")
    return name


def _tensor(reader: FieldReader, message: memoryview) -> TensorInfo:
    """Read a ValueInfoProto."""
    name, dtype = "", 0
    shape: tuple[int | None, ...] = ()
    for number, value in reader.fields(message):
        if number == 1:
            name = _text(value)
        elif number == 2:
            for kind, content in reader.fields(_message(value)):
                if kind == 1:  # TypeProto.tensor_type
                    dtype, shape = _tensor_type(reader, _message(content))
    return TensorInfo(name, dtype, shape)


def _tensor_type(reader: FieldReader, message: memoryview) -> tuple[int, tuple[int | None, ...]]:
    dtype, dimensions = 0, []
    for number, value in reader.fields(message):
        if number == 1 and isinstance(value, int):
            dtype = value
        elif number == 2:
            for kind, dimension in reader.fields(_message(value)):
                if kind == 1:
                    dimensions.append(_dimension(reader, _message(dimension)))
    if len(dimensions) > MAX_DIMENSIONS:
        raise NotOnnxError(f"has an input or output with more than {MAX_DIMENSIONS} dimensions")
    return dtype, tuple(dimensions)


def _dimension(reader: FieldReader, message: memoryview) -> int | None:
    fixed = None
    for number, value in reader.fields(message):
        if number == 1 and isinstance(value, int) and 0 < value < 1 << 31:
            fixed = value
    return fixed
