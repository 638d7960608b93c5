"""Damaged and malicious model files, each from a seed: bytes, tensors, edges, attributes, sizes, paths, bombs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from .mutant_models import MODELS, tflite
from .tflite_models import pack, schema

__all__ = ["MUTANTS", "mutant"]

MUTANTS = 500

HUGE = (1 << 31, 1 << 40, 1 << 62, (1 << 63) - 1, -1, -(1 << 62), 0)

Rng = np.random.Generator


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
