"""QONNX quantizers and ONNX's QDQ form: weights equal to the last bit, codes taken, formats put on tensors."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from qonnx.custom_op.general.bipolar_quant import binary_quant
from qonnx.custom_op.general.floatquant import float_quant
from qonnx.custom_op.general.intquant import int_quant

from hwgen.codes import CODES
from hwgen.errors import HwgenError
from hwgen.floatnet import Fixed, FloatConv, FloatPool, FloatTable
from hwgen.importers import load_model
from hwgen.importers.quantizers import DOMAINS
from hwgen.interval import Interval
from hwgen.lower import evaluate, lower, problems
from hwgen.quantize import quantize

RNG = np.random.default_rng(41)
KERNEL = RNG.normal(size=(6, 4, 3, 3)).astype(np.float32)
SHAPE = (1, 4, 8, 8)

CONV = helper.make_node("Conv", ["x", "w"], ["y"], name="conv", pads=[1] * 4)
INT = {"scale": 0.05, "zero": 0.0, "bits": 4.0}


def _quant(source, target, kind="Quant", domain=DOMAINS[0], **attributes):
    """A quantizer whose parameters are initializers called scale, zero, bits or exponent, mantissa, bias, largest."""
    names = {
        "BipolarQuant": ["scale"],
        "FloatQuant": ["scale", "exponent", "mantissa", "bias", "largest"],
    }.get(kind, ["scale", "zero", "bits"])
    if kind in ("Quant", "IntQuant"):
        attributes = {"signed": 1, "narrow": 0, "rounding_mode": "ROUND", **attributes}
    return helper.make_node(kind, [source, *names], [target], name=f"{target}_quant", domain=domain, **attributes)


def _saved(tmp_path, nodes, weights, shape=SHAPE, domains=(), opset=13):
    arrays = {name: np.array(value, np.asarray(value).dtype) for name, value in weights.items()}
    tensors = [
        numpy_helper.from_array(array.astype(np.float32) if array.dtype == np.float64 else array, name)
        for name, array in arrays.items()
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, size) for name, size in (("x", shape), ("y", None))]
    ends[1].type.tensor_type.shape.dim.add()
    graph = helper.make_graph(nodes, "graph", ends[:1], ends[1:], tensors)
    found = {node.domain for node in nodes} - {""}
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in (*domains, *found))]
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)
    return path


def _weight(tmp_path, node, parameters):
    """The weight and its levels after the quantizer ``node`` of ``v``."""
    graph = load_model(_saved(tmp_path, [node, CONV], {"v": KERNEL, **parameters}))
    assert [one.operator for one in graph.nodes] == ["Conv"]
    return graph.constants["w"], graph.levels.get("w")


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("kind", ["Quant", "IntQuant"])
@pytest.mark.parametrize("mode", ["ROUND", "CEIL", "FLOOR", "UP", "DOWN", "HALF_UP", "HALF_DOWN", "HALF_EVEN"])
def test_integer_weights_are_those_of_the_qonnx_package(tmp_path, domain, kind, mode):
    for signed, narrow, bits, zero in ((1, 0, 4, 0), (1, 1, 3, 0), (0, 0, 4, 5), (0, 1, 8, 100), (1, 0, 1, 0)):
        scale = RNG.uniform(0.01, 0.3, (6, 1, 1, 1)).astype(np.float32)
        node = _quant("v", "w", kind, domain, signed=signed, narrow=narrow, rounding_mode=mode)
        weight, levels = _weight(tmp_path, node, {"scale": scale, "zero": np.float32(zero), "bits": np.float32(bits)})
        expected = int_quant(KERNEL, scale, np.float32(zero), np.float32(bits), signed, narrow, mode)
        np.testing.assert_array_equal(weight, expected.astype(np.float32))
        factor = np.rint(np.abs(weight / scale).max() / np.abs(levels).max())
        np.testing.assert_array_equal((levels * factor * scale).astype(np.float32), weight)


def test_bipolar_weights_are_those_of_the_qonnx_package(tmp_path):
    scale = np.float32(0.3)
    weight, levels = _weight(tmp_path, _quant("v", "w", "BipolarQuant"), {"scale": scale})
    np.testing.assert_array_equal(weight, binary_quant(KERNEL, scale))
    np.testing.assert_array_equal(levels, np.where(KERNEL >= 0, 1, -1))


@pytest.mark.parametrize("mode", ["ROUND", "FLOOR", "CEIL"])
@pytest.mark.parametrize(
    ("exponent", "mantissa", "bias"), [(2, 1, 1), (3, 0, 3), (4, 0, 7), (2, 0, 1), (3, 1, 3), (2, 2, 1), (4, 3, 7)]
)
def test_floating_point_weights_are_those_of_the_qonnx_package(tmp_path, mode, exponent, mantissa, bias):
    largest = (2 - 2.0**-mantissa) * 2.0 ** (2**exponent - 1 - bias)
    for limit in (largest, largest / 2):
        names = {"scale": 0.37, "exponent": exponent, "mantissa": mantissa, "bias": bias, "largest": limit}
        parameters = {name: np.float32(value) for name, value in names.items()}
        flags = {"has_inf": 0, "has_nan": 0, "has_subnormal": 1, "saturation": 1}
        weight, levels = _weight(tmp_path, _quant("v", "w", "FloatQuant", rounding_mode=mode, **flags), parameters)
        *form, most = parameters.values()
        expected = float_quant(KERNEL.copy(), *form, True, most, rounding_mode=mode)
        np.testing.assert_array_equal(weight, expected.astype(np.float32))
        unit = weight[levels != 0] / levels[levels != 0]
        np.testing.assert_allclose(unit, unit[0], rtol=1e-6)


@pytest.mark.parametrize(
    ("code", "exponent", "mantissa"), [("e2m1", 2, 1), ("pot3", 2, 0), ("pot4", 3, 0), ("pot5", 4, 0)]
)
def test_floating_point_codes_reach_the_hardware_unchanged(tmp_path, code, exponent, mantissa):
    """From a FloatQuant to the codes of the integer network: the same levels, none quantized again."""
    book = CODES[code]
    parameters = {"scale": 2.0**-3, "exponent": exponent, "mantissa": mantissa, "bias": 1, "largest": 1e9}
    float_node = _quant("v", "w", "FloatQuant", has_inf=0, has_nan=0, has_subnormal=1, saturation=1)
    nodes = [
        _quant("x", "q"),
        float_node,
        helper.make_node("Conv", ["q", "w"], ["c"], name="conv", pads=[1] * 4),
        helper.make_node("Relu", ["c"], ["y"], name="relu"),
    ]
    numbers = {name: np.float32(value) for name, value in parameters.items()}
    del numbers["scale"]
    kernel = KERNEL.copy()
    kernel.reshape(6, -1)[:, 0] = 1e9  # every channel has the largest code
    weights = {"v": kernel, **numbers, "scale": np.float32(2.0**-3), "zero": np.float32(0), "bits": np.float32(8)}
    graph = load_model(_saved(tmp_path, nodes, weights))
    network = lower(graph)
    (conv,) = (layer for layer in network.layers if isinstance(layer, FloatConv))
    x = RNG.normal(0, 3, (32, 8, 8, 4)).astype(np.float32)
    (layer,) = quantize(network, x, code="own").layers
    assert layer.codebook.name == code
    levels = layer.codebook.decode(layer.codes)
    np.testing.assert_array_equal(levels, conv.coded.levels)
    unit = graph.constants["w"].transpose(0, 2, 3, 1) / np.where(levels == 0, 1, levels)
    np.testing.assert_array_equal(unit[levels != 0], unit[levels != 0][0])
    assert set(np.unique(np.abs(levels))) == {abs(level) for level in book.levels} or code == "pot5"


def test_levels_follow_reshapes_and_transposes(tmp_path):
    nodes = [
        _quant("v", "a"),
        helper.make_node("Transpose", ["a"], ["b"], perm=[3, 0, 2, 1]),
        helper.make_node("Transpose", ["b"], ["c"], perm=[1, 3, 2, 0]),
        helper.make_node("Reshape", ["c", "s"], ["w"]),
        CONV,
    ]
    graph = load_model(_saved(tmp_path, nodes, {"v": KERNEL, "s": np.array([6, 4, 3, -1]), **INT}))
    np.testing.assert_array_equal(graph.levels["w"], np.clip(np.rint(KERNEL / np.float32(0.05)), -8, 7))


def test_codes_survive_a_batch_normalisation_behind_them(tmp_path):
    """It scales whole output channels, one of them by a negative factor."""
    names = ("gain", "shift", "mean", "variance")
    nodes = [
        _quant("v", "w"),
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1] * 4),
        helper.make_node("BatchNormalization", ["c", *names], ["y"]),
    ]
    gain = RNG.uniform(0.5, 2, 6)
    gain[2] = -1.5
    weights = {"v": KERNEL, **INT, "gain": gain, **{name: np.ones(6) for name in names[1:]}}
    (conv,) = lower(load_model(_saved(tmp_path, nodes, weights))).layers
    sign = np.sign(gain)[:, None, None, None].astype(int)
    levels = np.clip(np.rint(KERNEL / np.float32(0.05)), -8, 7).transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(conv.coded.levels, sign * levels)
    np.testing.assert_allclose(conv.coded.levels * conv.coded.scale[:, None, None, None], conv.weight, rtol=1e-5)


def test_codes_of_a_dense_layer_behind_a_flatten(tmp_path):
    matrix = RNG.normal(size=(4 * 8 * 8, 5))
    nodes = [_quant("v", "w"), helper.make_node("Flatten", ["x"], ["f"]), helper.make_node("MatMul", ["f", "w"], ["y"])]
    (dense,) = lower(load_model(_saved(tmp_path, nodes, {"v": matrix, **INT}))).layers
    np.testing.assert_allclose(dense.coded.levels * dense.coded.scale[:, None, None, None], dense.weight, rtol=1e-6)
    assert np.abs(dense.coded.levels).max() == 8


# Data


def test_formats_of_data(tmp_path):
    """On the input, on a convolution with its Relu, and through a maximum."""
    nodes = [
        _quant("x", "q"),
        helper.make_node("Conv", ["q", "v"], ["c"], name="conv"),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("MaxPool", ["r"], ["p"], name="pool", kernel_shape=[2, 2]),
        _quant("p", "y", signed=0, narrow=1),
    ]
    network = lower(load_model(_saved(tmp_path, nodes, {"v": KERNEL, **INT})))
    scale = float(np.float32(0.05))
    assert network.input.fixed == Fixed(scale, Interval(-8, 7))
    conv, pool = network.layers
    assert (conv.fixed, conv.clip[0]) == (Fixed(scale, Interval(0, 14)), 0)
    assert isinstance(pool, FloatPool)
    x = RNG.normal(0, 1, (3, 8, 8, 4)).astype(np.float32)
    values = evaluate(network, x) / np.float32(scale)
    np.testing.assert_allclose(values, np.rint(values), atol=1e-4)
    assert (values.min() >= 0, values.max() <= 14.001) == (True, True)


def test_zero_points_shift_the_interval(tmp_path):
    nodes = [_quant("x", "q", signed=0), helper.make_node("Conv", ["q", "v"], ["y"])]
    network = lower(load_model(_saved(tmp_path, nodes, {"v": KERNEL, "scale": 0.25, "zero": 3.0, "bits": 4.0})))
    assert network.input.fixed == Fixed(0.25, Interval(-3, 12))


def test_a_scaling_in_front_of_a_quantizer(tmp_path):
    """It belongs to the layer that took the scaling."""
    nodes = [
        helper.make_node("Mul", ["x", "half"], ["m"]),
        helper.make_node("Sub", ["m", "two"], ["s"]),
        helper.make_node("Conv", ["s", "v"], ["c"], name="conv"),
        helper.make_node("Div", ["c", "half"], ["d"]),
        _quant("d", "y"),
    ]
    weights = {"v": KERNEL, "half": 0.5, "two": 2.0, "scale": 0.25, "zero": 0.0, "bits": 4.0}
    (conv,) = lower(load_model(_saved(tmp_path, nodes, weights))).layers
    assert conv.fixed == Fixed(0.25, Interval(-8, 7))


def test_two_readers_of_which_one_is_quantized(tmp_path):
    """The tensor itself stays as it is; the quantized one is a table's."""
    nodes = [
        helper.make_node("Conv", ["x", "v"], ["c"], name="conv"),
        _quant("c", "q"),
        helper.make_node("Sub", ["q", "c"], ["y"], name="error"),
    ]
    network = lower(load_model(_saved(tmp_path, nodes, {"v": KERNEL, **INT})))
    conv, table, _ = network.layers
    assert (conv.fixed, isinstance(table, FloatTable)) == (None, True)
    assert table.fixed == Fixed(float(np.float32(0.05)), Interval(-8, 7))
    every = evaluate(network, RNG.normal(0, 0.1, (2, 8, 8, 4)), every=True)
    inside = np.abs(every["conv"]) < 0.3
    assert np.abs(every["error"])[inside].max() <= 0.0251


def test_a_clamp_behind_a_quantizer_is_the_layers(tmp_path):
    nodes = [helper.make_node("Conv", ["x", "v"], ["c"]), _quant("c", "q"), helper.make_node("Relu", ["q"], ["y"])]
    (conv,) = lower(load_model(_saved(tmp_path, nodes, {"v": KERNEL, **INT}))).layers
    assert conv.clip[0] == 0
    assert conv.fixed is not None


def test_signs(tmp_path):
    nodes = [helper.make_node("Conv", ["x", "v"], ["c"], name="conv"), _quant("c", "y", "BipolarQuant")]
    network = lower(load_model(_saved(tmp_path, nodes, {"v": KERNEL, "scale": 0.5})))
    every = evaluate(network, RNG.normal(size=(2, 8, 8, 4)), every=True)
    (sign,) = (every[name] for name in every if name != "conv")
    np.testing.assert_array_equal(sign, np.where(every["conv"] >= 0, 0.5, -0.5))
    assert network.layers[-1].fixed == Fixed(0.5, Interval(-1, 1))


@pytest.mark.parametrize(
    ("node", "change", "reason"),
    [
        (_quant("x", "q", rounding_mode="FLOOR"), {}, "rounding_mode=FLOOR is supported for weights only"),
        (_quant("x", "q"), {"bits": 16.0}, "its format has 16 bits, but data may have at most 8"),
        (_quant("x", "q"), {"bits": 64.0}, "data of 64 bits is not supported"),
        (_quant("x", "q"), {"bits": 7.5}, "its bit width must be a whole number, not 7.5"),
        (_quant("x", "q"), {"zero": 0.5}, "its zero point must be a whole number"),
        (_quant("x", "q"), {"scale": 0.0}, "its scale must be above zero"),
        (_quant("x", "q"), {"scale": np.arange(1.0, 5).reshape(1, 4, 1, 1)}, "its scale has 4 values"),
        (_quant("x", "q", "FloatQuant"), {}, "floating-point formats are supported for weights only"),
        (helper.make_node("Trunc", ["x", "scale"], ["q"], domain=DOMAINS[0]), {}, "it is not supported, only Quant"),
    ],
)
def test_formats_that_no_tensor_can_have(tmp_path, node, change, reason):
    weights = {"v": KERNEL, **INT, "exponent": 2.0, "mantissa": 1.0, "bias": 1.0, "largest": 6.0, **change}
    nodes = [node, helper.make_node("Conv", ["q", "v"], ["y"])]
    graph = load_model(_saved(tmp_path, nodes, weights))
    (sentence, *_) = problems(graph)
    assert reason in sentence


@pytest.mark.parametrize(
    ("node", "change", "reason"),
    [
        (_quant("v", "w"), {"scale": np.ones((6, 4, 3, 3, 2))}, "its parameters do not fit its input"),
        (_quant("v", "w"), {"scale": np.ones((5, 1, 1, 1))}, "its parameters do not fit its input"),
        (_quant("v", "w"), {"bits": 40.0}, "40 bits are not supported, only 1 to 32"),
        (_quant("v", "w", rounding_mode="SIDEWAYS"), {}, "rounding_mode=SIDEWAYS is not known, choose one of ROUND"),
        (_quant("v", "w", "FloatQuant", saturation=0), {}, "saturation=0 is not supported"),
        (_quant("v", "w", "FloatQuant"), {"exponent": 40.0}, "no format has 40 exponent and 1 mantissa bits"),
        (helper.make_node("Quant", ["v", "scale"], ["w"], domain=DOMAINS[0]), {}, "it must have 4 inputs"),
    ],
)
def test_weights_that_make_no_sense(tmp_path, node, change, reason):
    weights = {"v": KERNEL, **INT, "exponent": 2.0, "mantissa": 1.0, "bias": 1.0, "largest": 6.0, **change}
    with pytest.raises(HwgenError) as error:
        load_model(_saved(tmp_path, [node, CONV], weights))
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


# QDQ


def _qdq(source, target, scale, zero):
    return [
        helper.make_node("QuantizeLinear", [source, scale, zero], [f"{target}_q"], name=f"{target}_quantize"),
        helper.make_node("DequantizeLinear", [f"{target}_q", scale, zero], [target], name=f"{target}_dequantize"),
    ]


def _qdq_model(tmp_path, dtype=np.uint8, opset=13):
    codes = RNG.integers(-127, 128, KERNEL.shape).astype(np.int8)
    scales = RNG.uniform(0.001, 0.01, 6)
    nodes = [
        *_qdq("x", "a", "s1", "z1"),
        helper.make_node("DequantizeLinear", ["codes", "scales", "zeros"], ["w"], axis=0),
        helper.make_node("Conv", ["a", "w"], ["c"], name="conv", pads=[1] * 4),
        helper.make_node("Relu", ["c"], ["r"]),
        *_qdq("r", "b", "s2", "z2"),
        helper.make_node("MaxPool", ["b"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        *_qdq("p", "y", "s2", "z2"),
    ]
    weights = {
        "codes": codes,
        "scales": scales.astype(np.float32),
        "zeros": np.zeros(6, np.int8),
        "s1": np.float32(0.02),
        "z1": dtype(100),
        "s2": np.float32(0.031),
        "z2": dtype(7),
    }
    return _saved(tmp_path, nodes, weights, opset=opset), codes, scales


@pytest.mark.parametrize("opset", [13, 19, 21])
@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_qdq_models(tmp_path, dtype, opset):
    path, codes, scales = _qdq_model(tmp_path, dtype, opset)
    network = lower(load_model(path))
    lo = np.iinfo(dtype).min
    assert network.input.fixed == Fixed(float(np.float32(0.02)), Interval(lo - 100, lo + 155))
    conv, _ = network.layers
    assert conv.fixed == Fixed(float(np.float32(0.031)), Interval(lo - 7, lo + 248))
    np.testing.assert_array_equal(conv.coded.levels, codes.transpose(0, 2, 3, 1))
    np.testing.assert_allclose(conv.coded.scale, scales, rtol=1e-6)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    x = RNG.normal(size=(3, *SHAPE[1:])).astype(np.float32)
    expected = np.concatenate([session.run(None, {"x": frame[None]})[0] for frame in x]).transpose(0, 2, 3, 1)
    steps = np.abs(evaluate(network, x.transpose(0, 2, 3, 1)) - expected) / 0.031
    assert steps.max() < 1.01  # ONNX Runtime sums integers, and a tie may fall to the other side
    assert np.mean(steps > 0.01) < 0.01


def test_weights_that_are_quantized_in_the_model(tmp_path):
    """QuantizeLinear of a constant, as some exporters leave it."""
    nodes = [*_qdq("v", "w", "s", "z"), CONV]
    weights = {"v": KERNEL, "s": np.float32(0.03), "z": np.int8(0)}
    graph = load_model(_saved(tmp_path, nodes, weights))
    np.testing.assert_array_equal(graph.levels["w"], np.clip(np.rint(KERNEL / np.float32(0.03)), -128, 127))
    np.testing.assert_allclose(graph.constants["w"], graph.levels["w"] * 0.03, rtol=1e-6)


def test_movement_between_the_two_halves(tmp_path):
    quantize_node, dequantize_node = _qdq("c", "d", "s", "z")
    dequantize_node.input[0] = "t"
    nodes = [
        helper.make_node("Conv", ["x", "v"], ["c"]),
        quantize_node,
        helper.make_node("Reshape", [quantize_node.output[0], "shape"], ["t"]),
        dequantize_node,
        helper.make_node("MatMul", ["d", "m"], ["y"]),
    ]
    matrix = RNG.normal(size=(6 * 36, 3))
    weights = {"v": KERNEL, "s": np.float32(0.1), "z": np.int8(-5), "shape": np.array([1, -1]), "m": matrix}
    conv, _ = lower(load_model(_saved(tmp_path, nodes, weights))).layers
    assert conv.fixed == Fixed(float(np.float32(0.1)), Interval(-123, 132))


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        ([helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], name="n"),
          helper.make_node("DequantizeLinear", ["q", "s2", "z"], ["y"], name="m")],
         "its scale and zero point must be those of node 'n' (QuantizeLinear)"),
        ([helper.make_node("QuantizeLinear", ["x", "s", "wide"], ["q"], name="n"),
          helper.make_node("DequantizeLinear", ["q", "s", "wide"], ["y"], name="m")],
         "its format has 16 bits"),
        ([helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
          helper.make_node("QuantizeLinear", ["x", "s2", "z"], ["q2"], name="other"),
          helper.make_node("Concat", ["q", "q2"], ["c"], axis=1),
          helper.make_node("DequantizeLinear", ["c", "s", "z"], ["y"], name="m")],
         "its scale and zero point must be those of node 'other' (QuantizeLinear)"),
        ([helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], name="n"),
          helper.make_node("QLinearConv", ["q", "s", "z", "k", "s", "z", "s", "z"], ["c"], name="integers"),
          helper.make_node("DequantizeLinear", ["c", "s", "z"], ["y"])],
         "node 'integers' (QLinearConv): models of integer operators are not supported; export in the QDQ form"),
    ],
)  # fmt: skip
def test_qdq_models_that_cannot_be_built(tmp_path, nodes, reason):
    weights = {"s": np.float32(0.1), "s2": np.float32(0.2), "z": np.int8(3), "wide": np.int16(0)}
    weights["k"] = np.ones((2, 4, 3, 3), np.int8)
    graph = load_model(_saved(tmp_path, nodes, weights, opset=21))
    assert any(reason in sentence for sentence in problems(graph))
