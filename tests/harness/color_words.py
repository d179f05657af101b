"""A search model that really maps images and words to vectors, in some kilobytes: it knows colors.

The network of images averages the pixels; that of texts adds the vectors of its words. An image that is mostly red is
therefore most similar to texts with the word “red”, whatever else they contain.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WORDS = {
    "red": (1, -1, -1), "green": (-1, 1, -1), "blue": (-1, -1, 1), "yellow": (1, 1, -1), "white": (1, 1, 1),
    "black": (-1, -1, -1), "빨간": (1, -1, -1),
}  # fmt: skip
ORDINARY = ("a", "car", "at", "the", "gate", "person")
SIZE_PX = 32
VECTOR = 8
"""Numbers of a vector: three for the colors, and others that depend on nothing."""


def image_network(
    *, vector: int = VECTOR, size_px: int | str = SIZE_PX, output: str = "image_embeds"
) -> bytes:
    weights = np.zeros((3, vector), np.float32)
    weights[:, :3] = np.eye(3)
    bias = np.zeros(vector, np.float32)
    bias[3:] = 0.05
    nodes = [
        helper.make_node("ReduceMean", ["pixel_values"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["mean", "weights"], ["colors"]),
        helper.make_node("Add", ["colors", "bias"], [output]),
    ]
    image = helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, ["n", 3, size_px, size_px])
    return _network(nodes, image, (output, ["n", vector]), {"weights": weights, "bias": bias})


def text_network(*, vector: int = VECTOR, with_mask: bool = True) -> bytes:
    table = np.zeros((len(vocabulary()), vector), np.float32)
    for word, number in vocabulary().items():
        table[number, :3] = WORDS.get(word, (0, 0, 0))
        table[number, 3:] = 0.01
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["vectors"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["column"]),
        helper.make_node("Mul", ["vectors", "column"], ["counted"]),
        helper.make_node("ReduceSum", ["counted", "middle"], ["text_embeds"], keepdims=0),
    ]
    names = ("input_ids", "attention_mask")
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "tokens"]) for name in names]
    constants: dict[str, Any] = {"table": table, "last": np.array([2]), "middle": np.array([1])}
    return _network(nodes, inputs, ("text_embeds", ["n", vector]), constants)


def vocabulary() -> dict[str, int]:
    return {word: number for number, word in enumerate(("[UNK]", *WORDS, *ORDINARY))}


def tokenizer() -> bytes:
    model = {"type": "WordLevel", "vocab": vocabulary(), "unk_token": "[UNK]"}
    values: dict[str, Any] = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
        "pre_tokenizer": {"type": "Whitespace"}, "post_processor": None, "decoder": None, "model": model,
    }  # fmt: skip
    return json.dumps(values).encode()


def write_files(directory: Path) -> tuple[Path, Path, Path]:
    """Write the network of images, that of texts and the tokenizer, as an author publishes them."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = directory / "vision_model.onnx", directory / "text_model.onnx", directory / "tokenizer.json"
    for path, content in zip(paths, (image_network(), text_network(), tokenizer()), strict=True):
        path.write_bytes(content)
    return paths


def _network(nodes: Any, inputs: Any, output: tuple[str, list[Any]], constants: dict[str, Any]) -> bytes:
    name, shape = output
    graph = helper.make_graph(
        nodes,
        "colors",
        inputs if isinstance(inputs, list) else [inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content
