"""ONNX's own backend node tests, each wrapped into a model that hwgen's importer takes.

A case is a small model with inputs and the outputs that it must have. The first float inputs become the model's inputs,
with a batch axis of one in front that a Reshape takes away again; everything else becomes a constant.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from hwgen.floatnet import Layout
from hwgen.importers import load_model
from hwgen.lower import evaluate_tensors, lower

SEVERAL = frozenset({"Add", "Concat", "Mean", "Sub", "Sum"})
"""Operators that join different tensors: all their inputs vary."""


@dataclass(frozen=True)
class Case:
    """inputs: those that vary, by name, without the batch axis; output: what the first of the model's must be.

    tolerance: relative to the largest value of the output.
    """

    name: str
    tolerance: float
    model: onnx.ModelProto
    inputs: dict[str, np.ndarray]
    output: np.ndarray


@cache
def all_cases() -> dict[str, onnx.backend.test.case.TestCase]:
    """Every node test by name. Making them takes seconds, and divides by zero on purpose."""
    from onnx.backend.test.case.node import collect_testcases

    with np.errstate(all="ignore"):
        return {case.name: case for case in collect_testcases(None)}


def cases(operators: frozenset[str], shift: float) -> Iterator[Case]:
    """The cases whose nodes are all of ``operators``, or are constants of such a case.

    shift: added to every input inside the model, so that each operator also meets a pending scaling.
    """
    for name, case in sorted(all_cases().items()):
        kinds = {node.op_type for node in case.model.graph.node}
        if kinds - {"Constant"} <= operators and case.data_sets and case.data_sets[0][0]:
            found = wrapped(name, case, shift)
            if found is not None:
                yield found


def wrapped(name: str, case: onnx.backend.test.case.TestCase, shift: float) -> Case | None:
    """The case with its data as inputs; None where its first input is not a float tensor."""
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    graph = model.graph
    given, expected = case.data_sets[0]
    arrays = dict(zip([value.name for value in graph.input], map(as_array, given), strict=True))
    first = next(iter(arrays))
    if arrays[first] is None or as_array(expected[0]) is None or arrays[first].dtype.kind != "f":
        return None
    if shift and arrays[first].dtype == np.float16:
        return None  # too coarse for a shift
    operator = graph.node[-1].op_type
    data = [n for n, a in arrays.items() if n == first or (operator in SEVERAL and a is not None)]
    del graph.input[:]
    nodes = list(graph.node)
    del graph.node[:]
    inputs = {}
    for key, array in arrays.items():
        if key not in data:
            graph.initializer.append(numpy_helper.from_array(array, key))
            continue
        inputs[f"{key}_in"] = array - array.dtype.type(shift)
        shape = (1, *array.shape) if array.ndim < 4 else (1, -1, *array.shape[-2:])
        graph.input.append(
            helper.make_tensor_value_info(
                f"{key}_in", helper.np_dtype_to_tensor_dtype(array.dtype), np.empty(array.shape).reshape(shape).shape
            )
        )
        graph.initializer.append(numpy_helper.from_array(np.array(array.shape, np.int64), f"{key}_shape"))
        graph.initializer.append(
            numpy_helper.from_array(np.full(1 if array.ndim else (), shift, array.dtype), f"{key}_shift")
        )
        graph.node.append(helper.make_node("Reshape", [f"{key}_in", f"{key}_shape"], [f"{key}_placed"]))
        graph.node.append(helper.make_node("Add", [f"{key}_placed", f"{key}_shift"], [key]))
    graph.node.extend(nodes)
    del graph.output[1:]
    graph.name = name
    return Case(name, case.rtol, model, inputs, as_array(expected[0]))


def as_array(value: object) -> np.ndarray | None:
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    return value if isinstance(value, np.ndarray) else np.asarray(value) if np.isscalar(value) else None


def agrees(case: Case, folder: Path) -> bool:
    """Whether hwgen's float path makes the case's output, to the case's own tolerance.

    Raises :class:`~hwgen.errors.HwgenError` where hwgen refuses the model.
    """
    path = folder / "case.onnx"
    path.write_bytes(case.model.SerializeToString())
    graph = load_model(path)
    network = lower(graph)
    raw = {}
    for source, name in zip(network.inputs, graph.inputs, strict=True):
        height, width, channels = source.shape
        array = case.inputs[name].astype(np.float64)
        if source.layout is Layout.CHANNEL_FIRST:
            raw[source.name] = array.reshape(1, channels, height, width).transpose(0, 2, 3, 1)
        else:
            raw[source.name] = array.reshape(1, height, width, channels)
    actual = evaluate_tensors(network, raw, network.outputs)[network.outputs[0]]
    # The model's output lies channel-first, unless the model itself works channel-last.
    readings = (actual.transpose(0, 3, 1, 2).reshape(-1), actual.reshape(-1))
    expected = case.output.astype(np.float64).reshape(-1)
    finite = np.abs(expected[np.isfinite(expected)])
    tolerance = case.tolerance * float(finite.max(initial=1e-6))
    return any(np.allclose(reading, expected, rtol=0, atol=tolerance, equal_nan=True) for reading in readings)
