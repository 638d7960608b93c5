from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgen.codes import CODES, codebook
from hwgen.errors import HwgenError
from hwgen.floatnet import PoolKind
from hwgen.interval import Interval
from hwgen.lower import evaluate
from hwgen.network import Conv
from hwgen.quantize import quantize
from hwgen.reference import dequantized, quantize_input, run


def frames(count, seed=0):
    return np.random.default_rng(seed).normal(0.3, 1, (count, 8, 9, 2))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.sampled_from(sorted(CODES)), st.integers(2, 8))
def test_float_twin_and_integer_reference_are_the_same_function(float_network, seed, code, bits):
    network = quantize(float_network(seed), frames(30, seed), code=code, act_bits=bits)
    x = quantize_input(network, frames(30, seed + 1))
    integers, twin = run(network, x, every=True), dequantized(network, x, every=True)
    for name, values in integers.items():
        assert (values == twin[name]).all(), name
    for layer in network.layers:
        if isinstance(layer, Conv):
            rule, ratio = layer.requant, layer.output.scale / network.tensor(layer.source).scale
            assert (layer.weight_scale == ratio * rule.mul / 2.0**rule.shift).all()


def test_fine_codes_reproduce_the_float_network(float_network):
    model = float_network(3)
    x = frames(200)
    signal = evaluate(model, x)
    errors = []
    for code in ("ternary", "pot3", "e2m1", "e2m2"):
        network = quantize(model, x, code=code)
        values = network.output.scale * run(network, quantize_input(network, x))
        errors.append(float(np.square(values - signal).sum() / np.square(signal).sum()))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.01


def test_more_activation_bits_are_better(float_network):
    model, x, errors = float_network(5), frames(200), []
    signal = evaluate(model, x)
    for bits in (2, 4, 8):
        network = quantize(model, x, code="e2m2", act_bits=bits)
        values = network.output.scale * run(network, quantize_input(network, x))
        errors.append(float(np.square(values - signal).sum()))
    assert errors == sorted(errors, reverse=True)


def test_intervals_follow_the_structure(float_network):
    """Unsigned after a ReLU, signed without one, the pool as its input, 16 signed bits at the end."""
    rectified, free = (quantize(float_network(seed), frames(50), act_bits=4) for seed in (1, 2))
    assert [layer.output.interval for layer in rectified.layers] == [Interval(0, 15)] * 4 + [Interval(-32768, 32767)]
    assert [layer.output.interval for layer in free.layers[2:4]] == [Interval(-8, 7)] * 2
    assert rectified.layers[1].output.scale == rectified.layers[0].output.scale
    assert rectified.layers[1].kind is PoolKind.MAX
    peak = np.abs(evaluate(float_network(1), frames(50))).max()
    assert rectified.output.scale == pytest.approx(2 * peak / 2**15)


def test_pixels_need_no_input_scale(float_network):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 8, 9, 2)).astype(np.uint8)
    network = quantize(float_network(1), pixels)
    assert (network.input.interval, network.input.scale) == (Interval(0, 255), 1.0)
    assert (quantize_input(network, pixels) == pixels).all()


def test_the_result_is_reproducible_and_progress_arrives(float_network):
    calls = []
    results = [
        quantize(float_network(1), frames(40), progress=lambda *call: calls.append(call)),
        quantize(float_network(1), frames(40), code=codebook("e2m1")),
    ]
    for one, two in zip(results[0].layers, results[1].layers, strict=True):
        if isinstance(one, Conv):
            assert (one.codes == two.codes).all()
            assert (one.requant.add == two.requant.add).all()
    done, total, texts = zip(*calls, strict=True)
    assert list(done) == sorted(done)
    assert set(total) == {done[-1]}
    assert any("conv1" in text for text in texts)


def test_name_notes_and_normalization_travel_along(float_network):
    model = replace(float_network(1), notes=("Softmax left out",))
    network = quantize(model, frames(10))
    assert (network.name, network.notes, network.normalization) == (model.name, model.notes, model.normalization)


def test_a_layer_called_input_is_no_conflict(float_network):
    model = float_network(1)
    model = replace(model, layers=(replace(model.layers[0], name="input"), *model.layers[1:]))
    network = quantize(model, frames(10))
    assert network.layers[0].source == network.input.name != "input"


def test_a_dead_layer_still_quantizes(float_network):
    model = float_network(1)
    dead = replace(model.layers[0], weight=model.layers[0].weight * 0, bias=np.full(5, -1.0))
    model = replace(model, layers=(dead, *model.layers[1:]))
    network = quantize(model, frames(10))
    values = run(network, quantize_input(network, frames(10)), every=True)
    assert not values["conv1"].any()


@pytest.mark.parametrize(
    ("x", "options", "text"),
    [
        (np.zeros((4, 8, 9, 1)), {}, "shape"),
        (np.zeros((0, 8, 9, 2)), {}, "shape"),
        (np.full((1, 8, 9, 2), np.inf), {}, "finite"),
        (np.zeros((1, 8, 9, 2)), {"act_bits": 9}, "2 to 8"),
        (np.zeros((1, 8, 9, 2)), {"act_bits": 1}, "2 to 8"),
        (np.zeros((1, 8, 9, 2)), {"code": "e9m9"}, "not known"),
        (np.zeros((1, 8, 9, 2)), {"code": "0,1,99999"}, "at most 65536"),
    ],
)
def test_what_a_user_can_get_wrong_is_one_sentence(float_network, x, options, text):
    with pytest.raises(HwgenError, match=text):
        quantize(float_network(1), x, **options)
