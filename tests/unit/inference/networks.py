"""Tiny ONNX files whose outputs are given arrays, and fixtures around them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE = (64, 64)
SHARED = Path(__file__).resolve().parents[4] / "shared"
MODELS, MEDIA = SHARED / "models", SHARED / "media"


def constant_network(
    outputs: Mapping[str, Any],
    *,
    shape: Sequence[int | str] = (1, 3, 64, 64),
    dtype: int = TensorProto.FLOAT,
    opset: int = 13,
    extra_inputs: Sequence[Any] = (),
) -> bytes:
    """Return an ONNX file that returns these arrays, shape (1, ...), for each image of its input."""
    image = helper.make_tensor_value_info("images", dtype, list(shape))
    nodes = [
        helper.make_node("Cast", ["images"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float"], ["mean"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
    ]
    constants = [numpy_helper.from_array(np.zeros((1, 1, 1, 1), np.float32), "zero")]
    infos = []
    for name, value in outputs.items():
        array = np.asarray(value, np.float32)
        constants.append(numpy_helper.from_array(array, f"{name}_values"))
        constants.append(numpy_helper.from_array(np.array([-1, *[1] * (array.ndim - 1)]), f"{name}_shape"))
        nodes.append(helper.make_node("Reshape", ["nothing", f"{name}_shape"], [f"{name}_nothing"]))
        nodes.append(helper.make_node("Add", [f"{name}_values", f"{name}_nothing"], [name]))
        infos.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [shape[0], *array.shape[1:]]))
    graph = helper.make_graph(nodes, "constant", [image, *extra_inputs], infos, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def convolutional_network(size: int = 64, classes: int = 2, *, declares_inner_shapes: bool = False) -> bytes:
    """Return a YOLOX whose objectness is the brightness of each cell, exported for images of `size` x `size`."""
    image = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, size, size])
    width, cells = 5 + classes, sum((size // stride) ** 2 for stride in (8, 16, 32))
    nodes, constants, infos = [], [numpy_helper.from_array(np.array([1, width, -1]), "rows")], []
    for stride in (8, 16, 32):
        weights = np.zeros((width, 3, stride, stride), np.float32)
        weights[4:6] = 1 / (3 * stride * stride * 255)
        constants.append(numpy_helper.from_array(weights, f"weights{stride}"))
        nodes.append(
            helper.make_node(
                "Conv", ["images", f"weights{stride}"], [f"map{stride}"], strides=[stride, stride]
            )
        )
        nodes.append(helper.make_node("Reshape", [f"map{stride}", "rows"], [f"rows{stride}"]))
        shape = [1, width, size // stride, size // stride]
        infos.append(helper.make_tensor_value_info(f"map{stride}", TensorProto.FLOAT, shape))
    nodes.append(helper.make_node("Concat", ["rows8", "rows16", "rows32"], ["all"], axis=2))
    nodes.append(helper.make_node("Transpose", ["all"], ["output"], perm=[0, 2, 1]))
    output = helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, cells, width])
    graph = helper.make_graph(
        nodes,
        "convolutional",
        [image],
        [output],
        constants,
        value_info=infos if declares_inner_shapes else [],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def yolox_rows(*objects: tuple[int, Sequence[float]], classes: int = 2) -> Any:
    """Return the output of a YOLOX for SIZE, shape (1, 84, 5 + classes). `objects`: cell, and the values of its row."""
    rows = np.zeros((1, 84, 5 + classes), np.float32)
    for cell, values in objects:
        rows[0, cell] = values
    return rows


# In cell 9, column 1 and row 1 of stride 8: center (12, 12), 16 x 24 pixels.
ONE_OBJECT = yolox_rows((9, (0.5, 0.5, np.log(2), np.log(3), 0.9, 0.1, 1.0)))
