"""What quantization promises, on real networks and real data; ``make slow`` and ``benchmarks/accuracy.py`` ask more.

MNIST: calibrate on 1,000 images, judge on 10,000. Networks with branches: weights of 8 bits, whose rounding hardly
counts, so that whatever is lost is lost in additions, pools and remaps.
"""

import numpy as np
import pytest

from hwgen.codes import explicit
from hwgen.evaluate import evaluate as judge
from hwgen.floatnet import Normalization
from hwgen.importers import load_model
from hwgen.lower import evaluate, lower
from hwgen.quantize import quantize
from hwgen.reference import dequantized, quantize_input, run

MODELS = {
    "mnist8_cntk": Normalization(),
    "burn_mnist": Normalization(scale=(1 / 255,), mean=(0.1307,), std=(0.3081,)),
}


@pytest.fixture(scope="module", params=sorted(MODELS))
def model(request, real_data):
    return lower(load_model(real_data / "mnist" / f"{request.param}.onnx"), MODELS[request.param])


@pytest.fixture(scope="module")
def float_accuracy(model, mnist):
    logits = evaluate(model, mnist[0].transpose(0, 2, 3, 1)).reshape(-1, 10)
    return (logits.argmax(axis=1) == mnist[1]).mean()


@pytest.mark.parametrize(("code", "points"), [("e2m1", 0.1), ("pot3", 0.3)])
def test_accuracy_beside_float(model, float_accuracy, mnist, code, points):
    images, labels = mnist[0].transpose(0, 2, 3, 1), mnist[1]
    network = quantize(model, images[:500], code=code)
    logits = run(network, quantize_input(network, images)).reshape(-1, 10)
    assert float_accuracy > 0.985
    assert (logits.argmax(axis=1) == labels).mean() >= float_accuracy - points / 100


@pytest.mark.parametrize("code", ["e2m1", "pot5"])
def test_float_twin_equals_the_reference_on_every_layer(model, mnist, code):
    images = mnist[0].transpose(0, 2, 3, 1)
    network = quantize(model, images[:200], code=code, method="plain")
    x = quantize_input(network, images[-60:])
    assert (x == images[-60:]).all()
    integers, twin = run(network, x, every=True), dequantized(network, x, every=True)
    for name, values in integers.items():
        assert np.array_equal(values, twin[name]), name


RGB = Normalization((1 / 255,), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
INTEGERS = explicit(range(-127, 128))


def cifar(real_data, name, step):
    with np.load(real_data / "cifar10" / name) as data:
        return data["x"][::step], data["y"][::step]


@pytest.mark.parametrize(
    ("name", "normalization", "accuracy"),
    [("mlperf-tiny/resnet8", Normalization(), 0.75), ("resnet20/resnet20-12fca82f", RGB, 0.79)],
)
def test_eight_bit_weights_cost_a_residual_network_nothing(real_data, name, normalization, accuracy):
    model = lower(load_model(real_data / f"{name}.onnx"), normalization)
    calibration, _ = cifar(real_data, "cifar10_jpeg_train_first200perclass.npz", 8)
    images, labels = cifar(real_data, "cifar10_jpeg_test_first500perclass.npz", 10)
    network = quantize(model, calibration, code=INTEGERS, method="plain")
    result = judge(model, network, images, labels)
    assert result["float_accuracy"] > accuracy
    assert result["accuracy"] >= result["float_accuracy"] - 0.01
    assert result["layers"][-1]["sqnr_db"] > 28


def test_a_depthwise_network_in_eight_and_in_four_bits(real_data):
    model = lower(load_model(real_data / "mlperf-tiny" / "kws.onnx"))
    with np.load(real_data / "mlperf-tiny" / "kws_gsc_mfcc_even500.npz") as data:
        x = ((data["x_int8"].astype(np.float32) - data["offset"]) * data["scale"]).reshape(-1, 49, 10, 1)
        labels = data["y"]
    for code, method, points in ((INTEGERS, "plain", 0.01), ("e2m1", "auto", 0.01)):
        result = judge(model, quantize(model, x[::2], code=code, method=method), x, labels)
        assert result["float_accuracy"] == 0.92
        assert result["accuracy"] >= 0.92 - points
