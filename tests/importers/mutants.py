"""Damaged and malicious model files, each from a seed, and a worker that reads them under limits of time and memory.

``python -m tests.importers.mutants FOLDER FIRST STEP COUNT`` writes one JSON line for each mutant. The worker dies of a
mutant that takes longer than :data:`SECONDS` or more memory than :data:`MEMORY`.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from .tflite_models import Operator, Tensor, build, constant, pack, schema

MUTANTS = 500
SECONDS = 10
MEMORY = 2 << 30

LARGEST = 1 << 20
"""Values of a frame that are evaluated and quantized here: how long that takes is no matter of the importers."""

HUGE = (1 << 31, 1 << 40, 1 << 62, (1 << 63) - 1, -1, -(1 << 62), 0)

Rng = np.random.Generator

# Good models, to be spoiled


def _tensors(rng: Rng, **shapes: tuple[int, ...]) -> dict[str, np.ndarray]:
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def _model(nodes: list[onnx.NodeProto], weights: dict[str, np.ndarray], opset: int = 17) -> onnx.ModelProto:
    source = helper.make_tensor_value_info("x", TensorProto.FLOAT, ("N", 3, 8, 8))
    sink = helper.make_tensor_value_info("y", TensorProto.FLOAT, ("N", 5))
    tensors = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "graph", [source], [sink], tensors)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("qonnx.custom_op.general", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def _ending(source: str) -> list[onnx.NodeProto]:
    """A Flatten as PyTorch exports it, through a chain of shapes, and a dense layer."""
    return [
        helper.make_node("Shape", [source], ["shape"]),
        helper.make_node("Gather", ["shape", "zero"], ["batch"]),
        helper.make_node("Concat", ["batch", "rest"], ["target"], axis=0),
        helper.make_node("Reshape", [source, "target"], ["flat"]),
        helper.make_node("Gemm", ["flat", "dense", "bias"], ["y"], transB=1),
    ]


def _constants(features: int, rng: Rng) -> dict[str, np.ndarray]:
    weights = _tensors(rng, dense=(5, features), bias=(5,))
    return weights | {"zero": np.array([0]), "rest": np.array([-1])}


def plain(rng: Rng) -> onnx.ModelProto:
    """Convolution, normalisation, pools, a residual and a concatenation."""
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["c"], name="conv", pads=[1] * 4),
        helper.make_node("BatchNormalization", ["c", "g", "b", "m", "v"], ["n"], epsilon=1e-3),
        helper.make_node("Relu", ["n"], ["r"]),
        helper.make_node("Conv", ["r", "d"], ["e"], pads=[1] * 4, group=4),
        helper.make_node("Add", ["e", "r"], ["s"], name="residual"),
        helper.make_node("MaxPool", ["s"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("AveragePool", ["s"], ["a"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Concat", ["p", "a"], ["t"], axis=1),
        helper.make_node("Sigmoid", ["t"], ["u"]),
        *_ending("u"),
    ]
    weights = _tensors(rng, k=(4, 3, 3, 3), g=(4,), b=(4,), m=(4,), d=(4, 1, 3, 3)) | {"v": np.ones(4, np.float32)}
    return _model(nodes, weights | _constants(128, rng))


def moving(rng: Rng) -> onnx.ModelProto:
    """Slices, padding, resizing, transposed convolution."""
    nodes = [
        helper.make_node("Slice", ["x", "begin", "end", "axes"], ["c"], name="crop"),
        helper.make_node("Pad", ["c", "pads", "fill"], ["d"], name="pad"),
        helper.make_node("ConvTranspose", ["d", "k"], ["e"], name="up", strides=[2, 2]),
        helper.make_node("Resize", ["e", "", "scales"], ["f"], mode="nearest", nearest_mode="floor"),
        helper.make_node("GlobalAveragePool", ["f"], ["g"]),
        helper.make_node("Clip", ["g", "lo", "hi"], ["h"]),
        *_ending("h"),
    ]
    weights = _tensors(rng, k=(3, 4, 2, 2)) | {
        "begin": np.array([1, 1]),
        "end": np.array([7, 7]),
        "axes": np.array([2, 3]),
        "pads": np.array([0, 0, 1, 1, 0, 0, 2, 0]),
        "fill": np.array(0.5, np.float32),
        "scales": np.array([1, 1, 2, 2], np.float32),
        "lo": np.array(-1, np.float32),
        "hi": np.array(1, np.float32),
    }
    return _model(nodes, weights | _constants(4, rng))


def quantized(rng: Rng) -> onnx.ModelProto:
    """QDQ and QONNX nodes, on weights and data."""
    domain = "qonnx.custom_op.general"
    form = ["scale", "zeropt", "bits"]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "s", "z"], ["xd"]),
        helper.make_node("DequantizeLinear", ["codes", "ws", "wz"], ["w"], axis=0),
        helper.make_node("Conv", ["xd", "w"], ["c"]),
        helper.make_node("Quant", ["c", *form], ["q"], domain=domain, signed=1, narrow=0, rounding_mode="ROUND"),
        helper.make_node("FloatQuant", ["k", "scale", "e", "mant", "eb", "top"], ["kq"], domain=domain, saturation=1),
        helper.make_node("Conv", ["q", "kq"], ["d"]),
        helper.make_node("BipolarQuant", ["d", "scale"], ["f"], domain=domain),
        *_ending("f"),
    ]
    numbers = {"s": 0.05, "scale": 0.25, "zeropt": 0, "bits": 6, "e": 2, "mant": 1, "eb": 1, "top": 6}
    weights: dict[str, np.ndarray] = {name: np.array(value, np.float32) for name, value in numbers.items()}
    weights |= {"z": np.array(3, np.int8), "codes": rng.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8)}
    weights |= {"ws": rng.random(4).astype(np.float32) + 0.1, "wz": np.zeros(4, np.int8)}
    return _model(nodes, weights | _tensors(rng, k=(4, 4, 3, 3)) | _constants(64, rng))


MODELS = (plain, moving, quantized)


def tflite(rng: Rng) -> bytes:
    """int8, with a convolution, a pool, a reshape and a dense layer."""
    tensors = [
        Tensor((1, 8, 8, 3), "int8", scale=[0.05], zero=[3]),
        constant(rng.integers(-127, 128, (4, 3, 3, 3)), "int8", scale=[0.01] * 4, zero=[0] * 4),
        constant(rng.integers(-99, 99, 4), "int32", scale=[0.0005] * 4, zero=[0] * 4),
        Tensor((1, 8, 8, 4), "int8", scale=[0.06], zero=[-128]),
        Tensor((1, 4, 4, 4), "int8", scale=[0.06], zero=[-128]),
        constant([1, 64], "int32"),
        Tensor((1, 64), "int8", scale=[0.06], zero=[-128]),
        constant(rng.integers(-127, 128, (5, 64)), "int8", scale=[0.02], zero=[0]),
        constant(rng.normal(size=5), "float32"),
        Tensor((1, 5), "int8", scale=[0.1], zero=[0]),
    ]
    window = {"strideW": 1, "strideH": 1, "padding": 0}
    pool = {"strideW": 2, "strideH": 2, "filterWidth": 2, "filterHeight": 2, "padding": 1}
    operators = [
        Operator("CONV_2D", [0, 1, 2], [3], "Conv2D", {**window, "fusedActivationFunction": 1}),
        Operator("MAX_POOL_2D", [3], [4], "Pool2D", pool),
        Operator("RESHAPE", [4, 5], [6], "Reshape", {"newShape": [1, 64]}),
        Operator("FULLY_CONNECTED", [6, 7, 8], [9], "FullyConnected"),
    ]
    return build(tensors, operators)


# Ways to spoil them: each takes a model and a generator, and the folder that the file will lie in


def _flipped(data: bytes, rng: Rng) -> bytes:
    spoilt = bytearray(data)
    for _ in range(int(rng.integers(1, 9))):
        spoilt[rng.integers(len(spoilt))] ^= int(rng.integers(1, 256))
    return bytes(spoilt)


def _cut(data: bytes, rng: Rng) -> bytes:
    """Truncated, or a stretch of it gone or repeated."""
    start, end = sorted(rng.integers(0, len(data), 2).tolist())
    return (data[:end], data[:start] + data[end:], data[:end] + data[start:])[rng.integers(3)]


def _pick(entries, rng: Rng):
    return entries[int(rng.integers(len(entries)))]


def initializers_dropped(model: onnx.ModelProto, rng: Rng, folder: Path) -> None:
    for _ in range(int(rng.integers(1, 4))):
        model.graph.initializer.remove(_pick(model.graph.initializer, rng))


def wrong_ranks(model: onnx.ModelProto, rng: Rng, folder: Path) -> None:
    tensor = _pick(model.graph.initializer, rng)
    array = numpy_helper.to_array(tensor)
    shapes = [(array.size,), (1, *array.shape), (*array.shape, 1), array.shape[::-1], (0,), ()]
    shape = _pick(shapes, rng)
    values = np.resize(array, shape) if np.prod(shape) != array.size else array.reshape(shape)
    tensor.CopyFrom(numpy_helper.from_array(np.array(values, array.dtype), tensor.name))


def cycles(model: onnx.ModelProto, rng: Rng, folder: Path) -> None:
    nodes = model.graph.node
    reader = _pick(nodes, rng)
    reader.input[int(rng.integers(len(reader.input)))] = _pick(nodes, rng).output[0]


def huge_dimensions(model: onnx.ModelProto, rng: Rng, folder: Path) -> None:
    size = int(_pick(HUGE, rng))
    kind = int(rng.integers(4))
    if kind == 0:
        tensor = _pick(model.graph.initializer, rng)
        if tensor.dims:
            tensor.dims[int(rng.integers(len(tensor.dims)))] = size
    elif kind == 1:
        model.graph.input[0].type.tensor_type.shape.dim[int(rng.integers(1, 4))].dim_value = size
    elif kind == 2:
        node = _pick([node for node in model.graph.node if node.attribute], rng)
        attribute = _pick(node.attribute, rng)
        if attribute.ints:
            attribute.ints[int(rng.integers(len(attribute.ints)))] = size
        elif attribute.type == AttributeProto.INT:
            attribute.i = size
    else:
        integers = [t for t in model.graph.initializer if t.data_type == TensorProto.INT64]
        tensor = _pick(integers, rng)
        values = numpy_helper.to_array(tensor).copy()
        values.reshape(-1)[int(rng.integers(values.size))] = size
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def external_data(model: onnx.ModelProto, rng: Rng, folder: Path) -> None:
    (folder / "link.bin").unlink(missing_ok=True)
    (folder / "link.bin").symlink_to(folder.parent / "outside" / "secret.bin")
    (folder / "small.bin").write_bytes(b"\0" * 16)
    places = ["../outside/secret.bin", str(folder.parent / "outside" / "secret.bin"), "link.bin", "/etc/passwd"]
    places += ["/dev/zero", "small.bin", ".", "none.bin", "a\0b", "", "./x/../../outside/secret.bin", "\udc80"]
    tensor = _pick(model.graph.initializer, rng)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    place = _pick(places, rng)
    if place == "\udc80":  # the file name is no text
        tensor.external_data.add(key="location", value="small.bin")
        tensor.external_data.add(key="offset", value="-" + "9" * 5000)
    else:
        tensor.external_data.add(key="location", value=place)
        tensor.external_data.add(key="offset", value=str(_pick((0, -1, 1 << 62, "x"), rng)))
        tensor.external_data.add(key="length", value=str(_pick((0, 4, 1 << 62), rng)))


def nested_attributes(model: onnx.ModelProto, rng: Rng, folder: Path) -> bytes:
    """Graphs in the attributes of nodes in graphs: as deep as protocol buffers read, and far beyond."""
    kind, name = _pick((b"If", b"Loop", b"Scan"), rng), _pick((b"then_branch", b"body"), rng)
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["inner"])], "inner", [], []).SerializeToString()
    node = b""
    # Written byte by byte: the library does not make what it would not read.
    for _ in range(int(_pick((3, 20, 30, 33, 500, 5000), rng))):
        attribute = _field(1, name) + _field(6, graph) + b"\xa0\x01\x05"  # type: GRAPH
        node = _field(1, b"x") + _field(2, b"inner") + _field(4, kind) + _field(5, attribute)
        graph = _field(1, node) + _field(2, b"outer")
    if rng.random() < 0.5:
        model.graph.node[0].input[0] = "inner"
    # A message behind a message is merged into it: the node comes to the end of the model's.
    return model.SerializeToString() + _field(7, _field(1, node))


def _field(number: int, payload: bytes) -> bytes:
    """A length-delimited field of a protocol buffer."""
    size, length = b"", len(payload)
    while length > 127:
        size, length = size + bytes([length & 127 | 128]), length >> 7
    return bytes([number << 3 | 2]) + size + bytes([length]) + payload


def other_operators(model: onnx.ModelProto, rng: Rng, folder: Path) -> None:
    names = sorted({entry.name for entry in onnx.defs.get_all_schemas() if entry.domain == ""})
    for _ in range(int(rng.integers(1, 3))):
        _pick(model.graph.node, rng).op_type = _pick(names, rng)


def other_edges(model: onnx.ModelProto, rng: Rng, folder: Path) -> None:
    """Inputs swapped, missing, empty or too many; nodes twice or gone."""
    node = _pick(model.graph.node, rng)
    kind = int(rng.integers(6))
    if kind == 0:
        model.graph.node.remove(node)
    elif kind == 1:
        model.graph.node.append(node)
    elif kind == 2 and len(node.input) > 1:
        node.input[0], node.input[1] = node.input[1], node.input[0]
    elif kind == 3:
        del node.input[int(rng.integers(len(node.input))) :]
    elif kind == 4:
        node.input[int(rng.integers(len(node.input)))] = _pick(("", "x", "nothing"), rng)
    else:
        node.input.extend(["x"] * 40)


def attribute_kinds(model: onnx.ModelProto, rng: Rng, folder: Path) -> None:
    node = _pick([node for node in model.graph.node if node.attribute], rng)
    attribute = _pick(node.attribute, rng)
    name = attribute.name
    values = (1.5, float("nan"), b"\xff\xfe", [1, 2, 3], [-1] * 4, [0] * 4, 7, "text", [0.5], [1] * 1000)
    attribute.CopyFrom(helper.make_attribute(name, _pick(values, rng)))


def strange_numbers(model: onnx.ModelProto, rng: Rng, folder: Path) -> None:
    floats = [t for t in model.graph.initializer if t.data_type == TensorProto.FLOAT]
    tensor = _pick(floats, rng)
    values = numpy_helper.to_array(tensor).copy()
    values.reshape(-1)[: int(rng.integers(1, values.size + 1))] = _pick((np.nan, np.inf, -3e38, 1e-45, 0.0), rng)
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def other_types(model: onnx.ModelProto, rng: Rng, folder: Path) -> None:
    kind = int(rng.integers(4))
    if kind == 0:
        _pick(model.graph.initializer, rng).data_type = int(rng.integers(-1, 40))
    elif kind == 1:
        model.graph.input[0].type.tensor_type.elem_type = int(rng.integers(-1, 40))
    elif kind == 2:
        model.opset_import[0].version = int(_pick((0, 6, 7, 13, 22, 1 << 40, -3), rng))
    else:
        _pick(model.graph.node, rng).domain = _pick(("ai.onnx.ml", "nowhere", "com.microsoft", "onnx.brevitas"), rng)


def bombs(model: onnx.ModelProto, rng: Rng, folder: Path) -> None:
    """Little that asks for much: doublings, broadcasts, fills, chains of thousands of nodes."""
    nodes = model.graph.node
    kind = int(rng.integers(7))
    chain = []
    name = "x"
    if kind in (0, 1, 2):
        for index in range(40):
            inputs = [name, name]
            made = (
                helper.make_node("Concat", inputs, [f"b{index}"], axis=1),
                helper.make_node("Mul", inputs, [f"b{index}"]),
                helper.make_node("Add", inputs, [f"b{index}"]),
            )[kind]
            chain.append(made)
            name = f"b{index}"
    elif kind == 3:
        for index in range(3000):
            chain.append(helper.make_node(_pick(("Relu", "Identity", "Tanh"), rng), [name], [f"b{index}"]))
            name = f"b{index}"
    elif kind == 4:
        shape = numpy_helper.from_array(np.array([1 << 20, 1 << 20, 1, 1]), "bomb")
        model.graph.initializer.append(shape)
        chain.append(helper.make_node(_pick(("Expand", "Tile"), rng), ["x", "bomb"], ["b"]))
        name = "b"
    elif kind == 5:
        shape = numpy_helper.from_array(np.array([1 << 16, 1 << 16]), "bomb")
        model.graph.initializer.append(shape)
        chain += [helper.make_node("ConstantOfShape", ["bomb"], ["f"]), helper.make_node("Add", ["x", "f"], ["b"])]
        name = "b"
    else:
        ones = [numpy_helper.from_array(np.ones(size, np.float32), name) for name, size in _WIDE]
        model.graph.initializer.extend(ones)
        chain += [helper.make_node("Mul", ["tall", "wide"], ["f"]), helper.make_node("Add", ["x", "f"], ["b"])]
        name = "b"
    nodes[0].input[0] = name
    for node in reversed(chain):
        nodes.insert(0, node)


_WIDE = (("tall", (1, 1, 20000, 1)), ("wide", (1, 1, 1, 20000)))

CHANGES = (
    initializers_dropped,
    wrong_ranks,
    cycles,
    huge_dimensions,
    external_data,
    nested_attributes,
    other_operators,
    other_edges,
    attribute_kinds,
    strange_numbers,
    other_types,
    bombs,
)


def tflite_fields(data: bytes, rng: Rng) -> bytes:
    """A field of the flatbuffer with another value: indices, shapes, types, options, formats."""
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    graph = model.subgraphs[0]
    tensor, operator = _pick(graph.tensors, rng), _pick(graph.operators, rng)
    number = int(_pick((0, 1, -1, 2, 7, 99, 1 << 20, (1 << 31) - 1, -(1 << 31)), rng))
    kind = int(rng.integers(9))
    if kind == 0:
        tensor.shape = [number if rng.random() < 0.5 else size for size in tensor.shape]
    elif kind == 1:
        tensor.type = int(rng.integers(0, 20))
    elif kind == 2:
        tensor.buffer = abs(number) % 20
    elif kind == 3:
        operator.inputs = [number if rng.random() < 0.5 else index for index in operator.inputs]
    elif kind == 4:
        operator.outputs = [number]
    elif kind == 5:
        options = operator.builtinOptions
        if options is not None:
            name = _pick([name for name, value in vars(options).items() if type(value) is int] or ["x"], rng)
            if hasattr(options, name):
                small = name in ("padding", "fusedActivationFunction", "quantizedBiasType", "weightsFormat")
                setattr(options, name, number % 100 if small else number)
    elif kind == 6:
        _pick(model.operatorCodes, rng).builtinCode = int(rng.integers(0, 200))
    elif kind == 7 and tensor.quantization is not None:
        tensor.quantization.scale = [_pick((0.0, np.nan, -1.0, 1e30, 1e-40), rng)] * int(rng.integers(1, 5))
    else:
        graph.inputs = [int(rng.integers(0, 10))]
    return pack(model)


def mutant(index: int, folder: Path) -> Path:
    """Writes mutant ``index`` into ``folder``."""
    rng = np.random.default_rng([77, index])
    if index % 5 == 4:
        data = tflite(rng)
        spoilt = (_flipped, _cut, tflite_fields, tflite_fields)[index // 5 % 4](data, rng)
        path = folder / "model.tflite"
    else:
        model = MODELS[index % len(MODELS)](rng)
        place = index % (len(CHANGES) + 3)
        changed = CHANGES[place](model, rng, folder) if place < len(CHANGES) else None
        spoilt = changed or model.SerializeToString()
        if place >= len(CHANGES):
            spoilt = (_flipped if place > len(CHANGES) else _cut)(spoilt, rng)
        path = folder / "model.onnx"
    path.write_bytes(spoilt)
    return path


# The worker


def attempt(path: Path) -> str:
    """What becomes of the model: "built", or the sentence that refuses it. Anything else that is raised is a defect."""
    from hwgen.errors import HwgenError
    from hwgen.importers import load_model
    from hwgen.lower import evaluate_tensors, lower, problems
    from hwgen.quantize import quantize

    try:
        graph = load_model(path)
        found = problems(graph)
        network = lower(graph)
        assert not found, "problems, but the model was lowered"
        if sum(math.prod(tensor.output_shape) for tensor in (*network.inputs, *network.layers)) > LARGEST:
            return "built, but too large to run here"
        x = {one.name: np.random.default_rng(0).normal(0, 1, (2, *one.shape)) for one in network.inputs}
        evaluate_tensors(network, x, network.outputs)
        quantize(network, x)
    except HwgenError as error:
        sentence = str(error)
        assert sentence, "an error without a reason"
        assert "\n" not in sentence.removeprefix(str(path)), "an error of several lines"
        return sentence
    return "built"


def _watch(folder: Path, opened: list[str]) -> Callable[[str, tuple[object, ...]], None]:
    """An audit hook that notes every file opened in the folder beside the models', and devices and accounts."""
    forbidden = (str(folder.parent / "outside"), "/etc/passwd", "/dev/zero")

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and arguments and str(arguments[0]).startswith(forbidden):
            opened.append(str(arguments[0]))

    return hook


def main() -> None:
    import resource
    import signal

    folder, (first, step, count) = Path(sys.argv[1]), map(int, sys.argv[2:])
    (folder.parent / "outside").mkdir(exist_ok=True)
    (folder.parent / "outside" / "secret.bin").write_bytes(b"\0" * 4096)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    opened: list[str] = []
    sys.addaudithook(_watch(folder, opened))
    warnings.simplefilter("ignore")
    for index in range(first, min(first + step * count, MUTANTS), step):
        path = mutant(index, folder)
        signal.alarm(SECONDS)  # the signal's own action ends the process, whatever code it is in
        started = time.monotonic()
        opened.clear()
        try:
            outcome = attempt(path)
            defect = None
        except BaseException:
            outcome, defect = "", traceback.format_exc(limit=-6)
        signal.alarm(0)
        if opened:
            defect = f"opened {opened}"
        line = {"index": index, "outcome": outcome, "defect": defect, "seconds": time.monotonic() - started}
        os.write(1, (json.dumps(line) + "\n").encode())


if __name__ == "__main__":
    main()
