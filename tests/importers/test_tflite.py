"""TFLite models, float and int8, compute what LiteRT computes; damaged files are one sentence."""

import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from hwgen.errors import HwgenError
from hwgen.floatnet import Fixed, FloatConv, FloatPool, FloatRemap, Layout
from hwgen.importers import load_model
from hwgen.importers.files import read_model
from hwgen.interval import Interval
from hwgen.lower import evaluate, lower, problems
from hwgen.quantize import quantize
from hwgen.reference import quantize_input, run

from .tflite_models import Operator, Tensor, build, constant, litert, with_float_weights

RNG = np.random.default_rng(23)

RELU, RELU6 = 1, 3
SAME, VALID = 0, 1
WEIGHT = constant(RNG.normal(size=(4, 1, 1, 4)))
BIAS = constant(RNG.normal(size=4))
MAP = (1, 7, 6, 4)
POOL = {"filterWidth": 3, "filterHeight": 3, "strideW": 2, "strideH": 2}


def _weights(*shape):
    return constant(RNG.normal(size=shape))


def _conv(code="CONV_2D", kind="Conv2D", weight=(5, 3, 2, 4), output=(1, 4, 6, 5), **options):
    channels = weight[3] if code == "DEPTHWISE_CONV_2D" else weight[0]
    fields = {"strideW": 1, "strideH": 2, "padding": SAME, "fusedActivationFunction": RELU, **options}
    tensors = [Tensor(MAP), _weights(*weight), _weights(channels), Tensor(output)]
    return tensors, [Operator(code, [0, 1, 2], [3], kind, fields)]


def _one(code, output=MAP, kind="", **options):
    return [Tensor(MAP), Tensor(output)], [Operator(code, [0], [1], kind, options)]


def _two(code, other, output=MAP, kind="", **options):
    return [Tensor(MAP), other, Tensor(output)], [Operator(code, [0, 1], [2], kind, options)]


def _slice(begin, end, strides, output, **masks):
    tensors = [Tensor(MAP), *(constant(part, "int32") for part in (begin, end, strides)), Tensor(output)]
    return tensors, [Operator("STRIDED_SLICE", [0, 1, 2, 3], [4], "StridedSlice", masks)]


def _transpose_conv(padding, output, stride=2):
    tensors = [constant(output, "int32"), _weights(3, 3, 3, 4), Tensor(MAP), Tensor(output)]
    options = {"strideW": stride, "strideH": stride, "padding": padding}
    return tensors, [Operator("TRANSPOSE_CONV", [0, 1, 2], [3], "TransposeConv", options)]


def _dense(shape, keep, output):
    tensors = [Tensor(MAP), _weights(*shape), _weights(shape[0]), Tensor(output)]
    options = {"keepNumDims": keep, "fusedActivationFunction": RELU6}
    return tensors, [Operator("FULLY_CONNECTED", [0, 1, 2], [3], "FullyConnected", options)]


def _resize(size, **options):
    other = constant(size, "int32")
    return _two("RESIZE_NEAREST_NEIGHBOR", other, (1, *size, 4), "ResizeNearestNeighbor", **options)


def _residual():
    """Two branches and a channel concatenation of one of them with the sum."""
    conv = {"strideW": 1, "strideH": 1, "padding": SAME}
    tensors = [Tensor(MAP), _weights(4, 3, 3, 4), Tensor(MAP), Tensor(MAP), _weights(4), Tensor((1, 7, 6, 8))]
    return tensors, [
        Operator("CONV_2D", [0, 1, 4], [2], "Conv2D", conv),
        Operator("ADD", [2, 0], [3], "Add", {"fusedActivationFunction": RELU}),
        Operator("CONCATENATION", [3, 2], [5], "Concatenation", {"axis": -1}),
    ]


CASES = {
    "conv": _conv(),
    "conv valid relu6": _conv(padding=VALID, fusedActivationFunction=RELU6, output=(1, 3, 5, 5)),
    "conv dilated": _conv(strideH=1, dilationHFactor=2, dilationWFactor=3, output=(1, 7, 6, 5)),
    "conv grouped": _conv(weight=(6, 3, 2, 2), output=(1, 4, 6, 6)),
    "depthwise": _conv(
        "DEPTHWISE_CONV_2D", "DepthwiseConv2D", (1, 3, 3, 4), (1, 4, 3, 4), depthMultiplier=1, strideW=2
    ),
    "depthwise twice": _conv(
        "DEPTHWISE_CONV_2D", "DepthwiseConv2D", (1, 3, 3, 8), (1, 4, 3, 8), depthMultiplier=2, strideW=2
    ),
    "transpose conv same": _transpose_conv(SAME, (1, 14, 12, 3)),
    "transpose conv valid": _transpose_conv(VALID, (1, 15, 13, 3)),
    "transpose conv odd": _transpose_conv(SAME, (1, 13, 11, 3)),
    "dense": _dense((3, 168), False, (1, 3)),
    "dense of each pixel": _dense((3, 4), True, (1, 7, 6, 3)),
    "average pool same": _one("AVERAGE_POOL_2D", (1, 4, 3, 4), "Pool2D", padding=SAME, **POOL),
    "average pool valid": _one("AVERAGE_POOL_2D", (1, 3, 2, 4), "Pool2D", padding=VALID, **POOL),
    "max pool same": _one("MAX_POOL_2D", (1, 4, 3, 4), "Pool2D", padding=SAME, fusedActivationFunction=RELU, **POOL),
    "mean": _two("MEAN", constant([1, 2], "int32"), (1, 4), "Reducer"),
    "mean that keeps axes": _two("MEAN", constant([1, 2], "int32"), (1, 1, 1, 4), "Reducer", keepDims=True),
    "reduce max": _two("REDUCE_MAX", constant([1, 2], "int32"), (1, 4), "Reducer"),
    "add": _two("ADD", _weights(4), kind="Add", fusedActivationFunction=RELU),
    "sub": _two("SUB", _weights(1), kind="Sub"),
    "mul": _two("MUL", _weights(1, 1, 1, 4), kind="Mul"),
    "div": _two("DIV", constant(np.full(4, 3.0)), kind="Div"),
    "minimum": _two("MINIMUM", constant(0.25)),
    "prelu": _two("PRELU", _weights(1, 1, 4)),
    "pad": _two("PAD", constant([[0, 0], [1, 2], [3, 0], [0, 1]], "int32"), (1, 10, 9, 5)),
    "residual": _residual(),
    "strided slice": _slice([0, 1, 0, 0], [1, 7, 6, 4], [1, 2, 1, 1], (1, 3, 6, 4), endMask=9),
    "strided slice of the rest": _slice([0, 9, 1, 2], [0, 7, 4, 9], [1, 3, 2, 1], (1, 3, 2, 2), beginMask=2, endMask=9),
    "slice": (
        [Tensor(MAP), constant([0, 2, 0, 1], "int32"), constant([1, 3, -1, 2], "int32"), Tensor((1, 3, 6, 2))],
        [Operator("SLICE", [0, 1, 2], [3])],
    ),
    "split": (
        [constant(3, "int32"), Tensor(MAP), Tensor((1, 7, 6, 2)), Tensor((1, 7, 6, 2)), Tensor((1, 7, 6, 2))],
        [Operator("SPLIT", [0, 1], [2, 3], "Split", {"numSplits": 2}), Operator("SUB", [2, 3], [4], "Sub")],
    ),
    "resize": _resize((14, 12)),
    "resize half pixels": _resize((14, 12), halfPixelCenters=True),
    "resize uneven": _resize((10, 8)),
    "resize aligned": _resize((13, 11), alignCorners=True),
    "depth to space": _one("DEPTH_TO_SPACE", (1, 14, 12, 1), "DepthToSpace", blockSize=2),
    "reshape": _two("RESHAPE", constant([-1, 168], "int32"), (1, 168), "Reshape"),
    "reshape by option": _one("RESHAPE", (1, 168), "Reshape", newShape=[1, 168]),
    "relu": _one("RELU"),
    "relu6": _one("RELU6"),
    "relu to 1": _one("RELU_N1_TO_1"),
    "leaky relu": _one("LEAKY_RELU", kind="LeakyRelu", alpha=0.1),
    "elu": _one("ELU"),
    "sigmoid": _one("LOGISTIC"),
    "tanh": _one("TANH"),
    "hard swish": _one("HARD_SWISH"),
    "gelu": _one("GELU", kind="Gelu"),
    "exp": _one("EXP"),
    "abs": _one("ABS"),
}


def _saved(tmp_path, data):
    path = tmp_path / "model.tflite"
    path.write_bytes(data)
    return path


def _input(model, shape, count=4):
    """The place of the input tensor, the only one that nothing makes, and data for it."""
    tensors, operators = model
    made = {index for operator in operators for index in operator.outputs}
    (place,) = (i for i, tensor in enumerate(tensors) if i not in made and tensor.data is None)
    return place, np.random.default_rng(1).normal(0, 2, (count, *shape)).astype(np.float32)


def _behind_a_convolution(model):
    """The model with a 1x1 convolution in front, which settles that its input is a map of four channels."""
    tensors, operators = model
    place, _ = _input(model, ())
    count = len(tensors)
    first = Operator("CONV_2D", [count, count + 1, count + 2], [place], "Conv2D", {"strideW": 1, "strideH": 1})
    return build([*tensors, Tensor(MAP), WEIGHT, BIAS], [first, *operators], (count,), (count - 1,))


def _flat(values):
    return values.reshape(len(values), -1)


@pytest.mark.parametrize("case", CASES)
def test_operators(tmp_path, case):
    _, x = _input(CASES[case], MAP[1:])
    data = _behind_a_convolution(CASES[case])
    network = lower(load_model(_saved(tmp_path, data)))
    assert network.input_shape == MAP[1:]
    expected = litert(data, x)
    np.testing.assert_allclose(_flat(evaluate(network, x)), _flat(expected), atol=1e-5 * np.ptp(expected), rtol=1e-5)


def test_transposes_around_convolutions_cost_nothing(tmp_path):
    tensors = [Tensor(MAP), _weights(5, 3, 3, 4), Tensor((1, 7, 6, 5)), Tensor((1, 4, 3, 5)), Tensor((1, 60))]
    tensors.insert(4, constant([1, 60], "int32"))
    tensors.append(_weights(5))
    operators = [
        Operator("CONV_2D", [0, 1, 6], [2], "Conv2D", {"strideW": 1, "strideH": 1, "padding": SAME}),
        Operator("MAX_POOL_2D", [2], [3], "Pool2D", {**POOL, "padding": SAME}),
        Operator("RESHAPE", [3, 4], [5], "Reshape"),
    ]
    network = lower(load_model(_saved(tmp_path, build(tensors, operators, outputs=(5,)))))
    assert [type(layer) for layer in network.layers] == [FloatConv, FloatPool]
    assert network.input.layout is Layout.CHANNEL_LAST


def test_shapes_that_the_model_computes(tmp_path):
    """As Keras writes a Flatten: the batch out of the shape, packed with the rest."""
    ints = [constant(value, "int32") for value in ([0], [1], [1], -1)]
    tensors = [Tensor(MAP), Tensor((4,), "int32"), *ints, Tensor((), "int32"), Tensor((2,), "int32"), Tensor((1, 168))]
    operators = [
        Operator("SHAPE", [0], [1], "Shape", {"outType": 2}),
        Operator("STRIDED_SLICE", [1, 2, 3, 4], [6], "StridedSlice", {"shrinkAxisMask": 1}),
        Operator("PACK", [6, 5], [7], "Pack", {"valuesCount": 2}),
        Operator("RESHAPE", [0, 7], [8], "Reshape"),
    ]
    tensors += [_weights(3, 168), _weights(3), Tensor((1, 3))]
    operators.append(Operator("FULLY_CONNECTED", [8, 9, 10], [11], "FullyConnected"))
    data = _behind_a_convolution((tensors, operators))
    x = RNG.normal(size=(3, *MAP[1:])).astype(np.float32)
    network = lower(load_model(_saved(tmp_path, data)))
    assert [type(layer) for layer in network.layers] == [FloatConv, FloatConv]
    np.testing.assert_allclose(_flat(evaluate(network, x)), litert(data, x), rtol=1e-4, atol=1e-4)


def _quantized_model():
    """int8: a convolution with a scale per channel, an addition, an average; uneven zero points."""
    levels = RNG.integers(-127, 128, (5, 3, 3, 4))
    scale = RNG.uniform(0.01, 0.02, 5).tolist()
    bias = RNG.integers(-500, 500, 5)
    tensors = [
        Tensor(MAP, "int8", scale=[0.05], zero=[-11]),
        constant(levels, "int8", scale=scale, zero=[0] * 5),
        constant(bias, "int32", scale=[s * 0.05 for s in scale], zero=[0] * 5),
        Tensor((1, 7, 6, 5), "int8", scale=[0.3], zero=[-40]),
        constant(RNG.integers(-127, 128, (1, 3, 3, 5)), "int8", scale=scale, zero=[0] * 5, axis=3),
        Tensor((1, 7, 6, 5), "int8", scale=[0.5], zero=[20]),
        Tensor((1, 7, 6, 5), "int8", scale=[0.6], zero=[3]),
        constant([1, 2], "int32"),
        Tensor((1, 5), "int8", scale=[0.07], zero=[1]),
        constant(bias, "int32", scale=[s * 0.3 for s in scale], zero=[0] * 5),
    ]
    window = {"strideW": 1, "strideH": 1, "padding": SAME}
    return tensors, [
        Operator("CONV_2D", [0, 1, 2], [3], "Conv2D", {**window, "fusedActivationFunction": RELU}),
        Operator("DEPTHWISE_CONV_2D", [3, 4, 9], [5], "DepthwiseConv2D", {**window, "depthMultiplier": 1}),
        Operator("ADD", [3, 5], [6], "Add"),
        Operator("MEAN", [6, 7], [8], "Reducer"),
    ]


def test_quantized_models_keep_their_formats_and_codes(tmp_path):
    tensors, operators = _quantized_model()
    data = build(tensors, operators, outputs=(8,))
    network = lower(load_model(_saved(tmp_path, data)))
    assert network.input.fixed == Fixed(float(np.float32(0.05)), Interval(-117, 138))
    assert [layer.fixed for layer in network.layers] == [
        Fixed(float(np.float32(scale)), Interval(-128 - zero, 127 - zero))
        for scale, zero in ((0.3, -40), (0.5, 20), (0.6, 3), (0.07, 1))
    ]
    first, second = network.layers[:2]
    np.testing.assert_array_equal(first.coded.levels, tensors[1].data)
    np.testing.assert_allclose(first.coded.scale, tensors[1].scale, rtol=1e-6)
    np.testing.assert_array_equal(second.coded.levels, tensors[4].data.transpose(3, 1, 2, 0))
    assert first.bias == pytest.approx(tensors[2].data * np.array(tensors[2].scale))
    # LiteRT's integer kernels round in other places: by a unit or two, seldom.
    x = RNG.normal(0, 3, (8, *MAP[1:])).astype(np.float32)
    difference = np.abs(_flat(evaluate(network, x)) - litert(data, x)) / 0.07
    assert difference.max() < 2.01
    assert np.mean(difference > 0.01) < 0.4


def test_weights_of_16_bit_floats(tmp_path):
    """Behind a DEQUANTIZE, as converters write them."""
    weight = constant(RNG.normal(size=(5, 3, 3, 4)), "float16")
    tensors = [Tensor(MAP), weight, Tensor(weight.shape), _weights(5), Tensor((1, 7, 6, 5))]
    operators = [
        Operator("DEQUANTIZE", [1], [2], "Dequantize"),
        Operator("CONV_2D", [0, 2, 3], [4], "Conv2D", {"strideW": 1, "strideH": 1, "padding": SAME}),
    ]
    data = build(tensors, operators)
    x = RNG.normal(size=(2, *MAP[1:])).astype(np.float32)
    actual = evaluate(lower(load_model(_saved(tmp_path, data))), x)
    np.testing.assert_allclose(actual, litert(data, x), rtol=1e-4, atol=1e-4)


def test_onnx_runtime_takes_the_converted_model(tmp_path):
    tensors, operators = _quantized_model()
    data = build(tensors, operators, outputs=(8,))
    model = read_model(_saved(tmp_path, data))
    options = onnxruntime.SessionOptions()
    # Its optimizer moves the Transpose through QuantizeLinear and loses the zero point's type (release 1.31).
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    x = RNG.normal(0, 3, (1, *MAP[1:])).astype(np.float32)
    (actual,) = session.run(None, {session.get_inputs()[0].name: x})
    assert np.abs(actual - litert(data, x)).max() / 0.07 < 2.01


@pytest.mark.parametrize(("name", "scale"), [("resnet8", 255), ("kws", 20), ("vww", 1), ("ad01", 5)])
def test_real_float_models(real_data, tmp_path, name, scale):
    path = real_data / "mlperf-tiny" / f"{name}_float.tflite"
    data = path.read_bytes()
    if name == "kws":  # its weights are of 8 bits, which makes LiteRT round the data on the way
        data = with_float_weights(data)
    graph = load_model(path)
    network = lower(graph)
    x = np.random.default_rng(5).random((100, *graph.input_shape[1:])).astype(np.float32) * scale
    logits = _flat(evaluate(network, x.reshape(100, *network.input_shape)))
    expected = litert(data, x)
    if name != "ad01":
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        logits = powers / powers.sum(axis=1, keepdims=True)
    assert np.abs(logits - expected).max() <= 1e-3 * np.ptp(expected)
    assert not any(isinstance(layer, FloatRemap) for layer in network.layers)


def _labelled(real_data, name):
    """Real inputs of an int8 model, (N, H, W, C), and their labels."""
    if name == "resnet8":
        archive = np.load(real_data / "cifar10" / "cifar10_jpeg_test_first500perclass.npz")
        return archive["x"][::10].astype(np.float32), archive["y"][::10]
    archive = np.load(real_data / "mlperf-tiny" / "kws_gsc_mfcc_even500.npz")
    x = (archive["x_int8"].astype(np.float32) - archive["offset"]) * archive["scale"]
    return x.reshape(-1, 49, 10, 1), archive["y"]


@pytest.mark.parametrize("name", ["resnet8", "kws"])
def test_real_int8_models(real_data, name):
    x, y = _labelled(real_data, name)
    path = real_data / "mlperf-tiny" / f"{name}_int8.tflite"
    network = lower(load_model(path))
    actual = _flat(evaluate(network, x)).argmax(axis=1)
    expected = litert(path.read_bytes(), x).argmax(axis=1)
    assert abs(np.mean(actual == y) - np.mean(expected == y)) < 0.01
    assert np.mean(actual == expected) > 0.98
    assert all(layer.fixed is not None for layer in network.layers)
    assert all(layer.coded is not None for layer in network.layers if isinstance(layer, FloatConv))


@pytest.mark.parametrize("name", [pytest.param("resnet8", marks=pytest.mark.slow), "kws"])
def test_real_int8_models_as_integer_networks(real_data, name):
    """The model's own 8-bit codes and formats, on the grid of shift-and-add."""
    x, y = _labelled(real_data, name)
    path = real_data / "mlperf-tiny" / f"{name}_int8.tflite"
    network = quantize(lower(load_model(path)), x[::2][:128], code="own")
    actual = _flat(run(network, quantize_input(network, x))).argmax(axis=1)
    expected = litert(path.read_bytes(), x).argmax(axis=1)
    assert abs(np.mean(actual == y) - np.mean(expected == y)) < 0.01


def test_unknown_operators_are_named_in_the_table(tmp_path):
    data = build([Tensor(MAP), Tensor(MAP)], [Operator("CUMSUM", [0], [1])])
    graph = load_model(_saved(tmp_path, data))
    (sentence,) = problems(graph)
    assert "CUMSUM" in sentence
    assert "is not supported" in sentence


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (([Tensor((1, 0x7FFF, 0x7FFF, 4)), Tensor(MAP)], [Operator("RELU", [0], [1])]), "is too large: more than"),
        (([Tensor(MAP, "int32"), Tensor(MAP)], [Operator("RELU", [0], [1])]), "is int32; export it as float or quant"),
        (([Tensor(MAP), Tensor(MAP)], [Operator("ADD", [0], [1])]), "an input is missing; export the model again"),
        (([Tensor(MAP), Tensor(MAP)], [Operator("RELU", [1], [1])]), "made by no operator before it"),
        (([Tensor(MAP), Tensor(MAP), Tensor(MAP)], [Operator("RELU", [0], [1])]), "'t2' is made by no operator"),
        (([Tensor(MAP), Tensor(MAP)], [Operator("RELU", [0], [0])]), "its output is a constant or made twice"),
        (([Tensor((2, 7, 6, 4)), Tensor((2, 7, 6, 4))], [Operator("RELU", [0], [1])]), "has a batch of 2"),
        (_conv(padding=7), "its padding 7 is not known"),
        (_conv(fusedActivationFunction=5), "its fused activation 5 is not supported"),
        (_conv(strideH=0), "must be at least 1"),
        (_conv(weight=(5, 3, 2, 3)), "does not fit its input"),
        (_one("SOFTMAX", kind="Softmax", beta=-1.0), "its beta must be above zero"),
        (_slice([0, 0], [1, 2], [1, 1], MAP, ellipsisMask=1), "ellipsis"),
        (
            (
                [Tensor(MAP, "int8", scale=[0.1, 0.2, 0.3, 0.4], zero=[0] * 4, axis=3), Tensor(MAP)],
                [Operator("RELU", [0], [1])],
            ),
            "has 4 scales, only weights may",
        ),
        (([Tensor(MAP, "int8", scale=[0.1], zero=[1000]), Tensor(MAP)], [Operator("RELU", [0], [1])]), "zero point"),
        (([Tensor(MAP, "int8", scale=[0.1] * 3, zero=[0] * 3), Tensor(MAP)], [Operator("RELU", [0], [1])]), "damaged"),
    ],
)
def test_models_that_make_no_sense(tmp_path, model, reason):
    path = _saved(tmp_path, build(*model))
    with pytest.raises(HwgenError) as error:
        lower(load_model(path))
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


def test_every_damaged_byte_is_refused_or_read(tmp_path, capfd):
    tensors, operators = _quantized_model()
    whole = build(tensors, operators, outputs=(8,))
    reasons = set()
    for index in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[index] ^= (0xFF, 0x01, 0x80)[index % 3]
        try:
            problems(load_model(_saved(tmp_path, bytes(damaged))))
        except HwgenError as error:
            reasons.add(str(error).split(": ", 1)[1])
    assert len(reasons) > 5
    assert all(reason and "\n" not in reason for reason in reasons)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("content", [b"\0\0\0\0TFL3", b"\xff" * 64, b"\x1c\0\0\0TFL3" + bytes(100)])
def test_files_that_are_not_tflite(tmp_path, content):
    with pytest.raises(HwgenError, match=r"model\.tflite: the TFLite model (is damaged|has no graph)"):
        load_model(_saved(tmp_path, content))


def test_truncations_are_refused(tmp_path):
    whole = build(*_quantized_model(), outputs=(8,))
    for size in range(8, len(whole), 97):
        with pytest.raises(HwgenError):
            lower(load_model(_saved(tmp_path, whole[:size])))


def test_the_parser_is_an_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tflite", None)
    with pytest.raises(HwgenError, match=r"pip install 'hwgen\[tflite\]'"):
        load_model(_saved(tmp_path, build(*CASES["relu"])))


def test_int4_weights(tmp_path):
    """Two to a byte, the first in the low half."""
    from hwgen.importers.tflite.schema import read_schema

    from .tflite_models import schema

    data = build([Tensor((1, 3)), constant([0x21, 0xF8, 0x07], "uint8", scale=[0.5], zero=[0])], [])
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    tensor = model.subgraphs[0].tensors[1]
    tensor.type, tensor.shape = schema.TensorType.INT4, [5]
    from .tflite_models import pack

    np.testing.assert_array_equal(read_schema(pack(model)).tensors[1].data, [1, 2, -8, -1, 7])


def test_paths_name_the_file(tmp_path):
    with pytest.raises(HwgenError, match="does not exist"):
        load_model(Path(tmp_path / "none.tflite"))
