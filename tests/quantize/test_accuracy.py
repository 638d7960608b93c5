"""What the baseline promises, on real networks and real data: calibrate on 1,000 images, judge on 10,000."""

import numpy as np
import pytest

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


@pytest.mark.parametrize(("code", "points"), [("e2m1", 0.3), ("pot4", 0.5)])
def test_accuracy_beside_float(model, float_accuracy, mnist, code, points):
    images, labels = mnist[0].transpose(0, 2, 3, 1), mnist[1]
    network = quantize(model, images[:1000], code=code)
    logits = run(network, quantize_input(network, images)).reshape(-1, 10)
    assert float_accuracy > 0.985
    assert (logits.argmax(axis=1) == labels).mean() >= float_accuracy - points / 100


@pytest.mark.parametrize("code", ["e2m1", "pot5"])
def test_float_twin_equals_the_reference_on_every_layer(model, mnist, code):
    images = mnist[0].transpose(0, 2, 3, 1)
    network = quantize(model, images[:200], code=code)
    x = quantize_input(network, images[-60:])
    assert (x == images[-60:]).all()
    integers, twin = run(network, x, every=True), dequantized(network, x, every=True)
    for name, values in integers.items():
        assert np.array_equal(values, twin[name]), name
