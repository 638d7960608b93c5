"""The operators of random ONNX models: what every kind of entry of a recipe becomes, as exporters write it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import gcd, prod
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .models import Model

__all__ = ["ACTIVATIONS", "BUILDERS"]


def _weights(rng: np.random.Generator, shape: Sequence[int], fan_in: int) -> np.ndarray:
    """Weights that keep the magnitude of what they are multiplied with."""
    return rng.normal(0, 1 / max(fan_in, 1) ** 0.5, shape)


def _window(entry: Mapping[str, Any], shape: tuple[int, ...]) -> dict[str, Any]:
    """Attributes of a window; a kernel that is larger than the padded map is cut."""
    pads, dilation = list(entry["pads"]), entry.get("dilation", [1, 1])
    if entry.get("auto_pad"):
        pads = [0] * 4 if entry["auto_pad"] == "VALID" else list(entry["kernel"] * 2)
    room = [shape[axis + 2] + pads[axis] + pads[axis + 2] for axis in range(2)]
    kernel = [min(entry["kernel"][axis], (room[axis] - 1) // dilation[axis] + 1) for axis in range(2)]
    attributes = {"kernel_shape": kernel, "strides": entry["stride"]}
    if "dilation" in entry:
        attributes["dilations"] = dilation
    if entry.get("auto_pad"):
        return attributes | {"auto_pad": entry["auto_pad"]}
    # A pool may not be padded by its whole kernel, which a shrunk one may otherwise be.
    spans = [dilation[axis] * (kernel[axis] - 1) + 1 for axis in range(2)]
    return attributes | {"pads": [min(pad, spans[axis % 2] - 1) for axis, pad in enumerate(pads)]}


def _conv(model, rng, entry, x):
    """``groups`` 0: depthwise."""
    inputs = model.shapes[x][1]
    outputs = entry["outputs"] if entry["groups"] else inputs
    groups = gcd(entry["groups"], inputs, outputs) if entry["groups"] else inputs
    window = _window(entry, model.shapes[x])
    kernel = window["kernel_shape"]
    weight = _weights(rng, (outputs, inputs // groups, *kernel), inputs // groups * prod(kernel))
    bias = [model.constant(rng.normal(0, 0.5, outputs))] if entry["bias"] else []
    return model.node("Conv", x, model.constant(weight), *bias, group=groups, **window)


def _conv_transpose(model, rng, entry, x):
    inputs = model.shapes[x][1]
    groups = gcd(entry["groups"], inputs, entry["outputs"]) if entry["groups"] else 1
    fan_in = inputs // groups * prod(entry["kernel"]) // prod(entry["stride"])
    weight = _weights(rng, (inputs, entry["outputs"] // groups, *entry["kernel"]), fan_in)
    bias = [model.constant(rng.normal(0, 0.5, entry["outputs"]))] if entry["bias"] else []
    return model.node(
        "ConvTranspose",
        x,
        model.constant(weight),
        *bias,
        group=groups,
        kernel_shape=entry["kernel"],
        strides=entry["stride"],
        pads=[min(pad, size - 1) for pad, size in zip(entry["pads"], entry["kernel"] * 2, strict=True)],
        output_padding=[min(extra, step - 1) for extra, step in zip(entry["extra"], entry["stride"], strict=True)],
    )


def _pool_window(entry: Mapping[str, Any], shape: tuple[int, ...]) -> dict[str, Any]:
    """Attributes of a pool's window.

    ONNX Runtime wants less padding than taps. And it does not agree with ONNX on a last window, rounded up, that would
    begin beyond the map: ``ceil_mode`` is left out there.
    """
    window = _window(entry, shape)
    kernel, stride = window["kernel_shape"], window["strides"]
    if entry.get("auto_pad"):
        return window
    pads = window["pads"] = [min(pad, kernel[axis % 2] - 1) for axis, pad in enumerate(window["pads"])]
    dilation = window.get("dilations", [1, 1])
    spans = [dilation[axis] * (kernel[axis] - 1) + 1 for axis in range(2)]
    rooms = [shape[axis + 2] + pads[axis] + pads[axis + 2] - spans[axis] for axis in range(2)]
    if min(rooms) < 0:
        raise ValueError(f"{entry['name']}: its window does not fit the map")
    starts = [-(-rooms[axis] // stride[axis]) * stride[axis] for axis in range(2)]
    inside = all(starts[axis] < shape[axis + 2] + pads[axis] for axis in range(2))
    return window | {"ceil_mode": entry["ceil"] if inside else 0}


def _max_pool(model, rng, entry, x):
    return model.node("MaxPool", x, **_pool_window(entry, model.shapes[x]))


def _average_pool(model, rng, entry, x):
    return model.node(
        "AveragePool", x, count_include_pad=entry["count_padding"], **_pool_window(entry, model.shapes[x])
    )


def _global_pool(model, rng, entry, x):
    if entry["how"].startswith("Reduce"):
        return model.node(entry["how"], x, model.constant([2, 3]), keepdims=1)
    return model.node(entry["how"], x)


def _batch_norm(model, rng, entry, x):
    channels = model.shapes[x][1]
    mean, shift = rng.normal(0, 0.5, (2, channels))
    gain, variance = rng.uniform(0.5, 1.5, (2, channels))
    parts = [model.constant(part) for part in (gain, shift, mean, variance)]
    return model.node("BatchNormalization", x, *parts, epsilon=1e-3)


def _silu(model, x):
    return model.node("Mul", x, model.node("Sigmoid", x))


def _gelu(model, x):
    """As PyTorch exports it for older operator sets."""
    inner = model.node("Erf", model.node("Div", x, model.constant(2**0.5)))
    return model.node("Mul", model.node("Mul", x, model.node("Add", inner, model.constant(1.0))), model.constant(0.5))


ACTIVATIONS: dict[str, Callable[[Model, str], str]] = {
    "relu": lambda model, x: model.node("Relu", x),
    "relu6": lambda model, x: model.node("Clip", x, model.constant(0.0), model.constant(6.0)),
    "hard_tanh": lambda model, x: model.node("Clip", x, model.constant(-1.0), model.constant(1.0)),
    "leaky_relu": lambda model, x: model.node("LeakyRelu", x, alpha=0.1),
    "elu": lambda model, x: model.node("Elu", x, alpha=1.0),
    "sigmoid": lambda model, x: model.node("Sigmoid", x),
    "tanh": lambda model, x: model.node("Tanh", x),
    "hard_sigmoid": lambda model, x: model.node("HardSigmoid", x, alpha=1 / 6, beta=0.5),
    "hard_swish": lambda model, x: model.node("HardSwish", x),
    "softplus": lambda model, x: model.node("Softplus", x),
    "silu": _silu,
    "gelu": _gelu,
    "gelu_node": lambda model, x: model.node("Gelu", x),
    "abs": lambda model, x: model.node("Abs", x),
    "negative": lambda model, x: model.node("Neg", x),
}


def _activation(model, rng, entry, x):
    if entry["how"] == "prelu":
        channels = model.shapes[x][1]
        slope = rng.uniform(-0.5, 0.5, (channels, *(1 for _ in model.shapes[x][2:])))
        return model.node("PRelu", x, model.constant(slope))
    return ACTIVATIONS[entry["how"]](model, x)


def _scale(model, rng, entry, x):
    """A constant, one for all or one per channel, on either side of an operator."""
    shape = model.shapes[x]
    value = rng.uniform(0.5, 2, (shape[1], *(1 for _ in shape[2:])) if entry["per_channel"] else ())
    operands = [x, model.constant(value * rng.choice([1, -1]))]
    return model.node(entry["how"], *(reversed(operands) if entry["swap"] and entry["how"] != "Div" else operands))


def _add(model, rng, entry, *sources):
    if len(sources) > 2:
        return model.node("Sum", *sources)
    return model.node(entry["how"], *sources)


def _concat(model, rng, entry, *sources):
    return model.node("Concat", *sources, axis=1)


def _pad(model, rng, entry, x):
    top, left, bottom, right = entry["pads"]
    amounts = model.constant([0, 0, top, left, 0, 0, bottom, right])
    return model.node("Pad", x, amounts, model.constant(entry["value"]), mode="constant")


def _slice(model, rng, entry, x):
    start, stop, step = entry["range"]
    parts = [model.constant([part]) for part in (start, stop, entry["axis"], step)]
    return model.node("Slice", x, *parts)


def _resize(model, rng, entry, x):
    scales = model.constant([1.0, 1.0, float(entry["factor"][0]), float(entry["factor"][1])])
    return model.node(
        "Resize",
        x,
        "",
        scales,
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )


def _depth_to_space(model, rng, entry, x):
    block = max(block for block in (1, 2) if model.shapes[x][1] % block**2 == 0)
    return model.node("DepthToSpace", x, blocksize=block, mode=entry["how"])


def _shuffle(model, rng, entry, x):
    """The channel shuffle of ShuffleNet."""
    _, channels, height, width = model.shapes[x]
    groups = gcd(entry["groups"], channels)
    apart = model.node("Reshape", x, model.constant([1, groups, channels // groups, height, width]))
    swapped = model.node("Transpose", apart, perm=[0, 2, 1, 3, 4])
    return model.node("Reshape", swapped, model.constant([1, channels, height, width]))


def _dense(model, rng, entry, x):
    """Flatten and a dense layer, as Gemm or as MatMul; of a vector without the Flatten."""
    flat = x if len(model.shapes[x]) == 2 else model.node(entry["flatten"], x, *_to_vector(model, entry, x))
    inputs, outputs = model.shapes[flat][1], entry["outputs"]
    weight, bias = _weights(rng, (inputs, outputs), inputs), rng.normal(0, 0.5, outputs)
    if entry["how"] == "Gemm":
        return model.node("Gemm", flat, model.constant(weight.T), model.constant(bias), transB=1)
    return model.node("Add", model.node("MatMul", flat, model.constant(weight)), model.constant(bias))


def _to_vector(model, entry, x):
    return [model.constant([1, -1])] if entry["flatten"] == "Reshape" else []


def _flatten(model, rng, entry, x):
    return model.node("Flatten", x)


def _unflatten(model, rng, entry, x):
    """A vector, or anything else, as a map of one pixel."""
    return model.node("Reshape", x, model.constant([1, prod(model.shapes[x]), 1, 1]))


def _nhwc(model, rng, entry, x):
    """There and back, with a bias between, as TensorFlow's converters leave it."""
    there = model.node("Transpose", x, perm=[0, 2, 3, 1])
    biased = model.node("Add", there, model.constant(rng.normal(0, 0.5, model.shapes[there][3])))
    return model.node("Transpose", biased, perm=[0, 3, 1, 2])


def _identity(model, rng, entry, x):
    return model.node(entry["how"], x)


BUILDERS: dict[str, Callable[..., str]] = {
    "conv": _conv,
    "conv_transpose": _conv_transpose,
    "max_pool": _max_pool,
    "average_pool": _average_pool,
    "global_pool": _global_pool,
    "batch_norm": _batch_norm,
    "activation": _activation,
    "scale": _scale,
    "add": _add,
    "concat": _concat,
    "pad": _pad,
    "slice": _slice,
    "resize": _resize,
    "depth_to_space": _depth_to_space,
    "shuffle": _shuffle,
    "dense": _dense,
    "flatten": _flatten,
    "unflatten": _unflatten,
    "nhwc": _nhwc,
    "identity": _identity,
}
"""Each takes the model, random numbers, the entry and its sources, and returns the tensor that it makes."""
