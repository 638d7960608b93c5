from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from hwgen.codes import CODES
from hwgen.errors import HwgenError
from hwgen.floatnet import Fixed, FloatConv
from hwgen.interval import Interval
from hwgen.network import Conv
from hwgen.quantize import quantize
from hwgen.quantize.activations import collect
from hwgen.quantize.precision import BITS, CodeBudget, choose_bits, choose_codes, kibibytes

BOOKS = [CODES[name] for name in ("pot3", "e2m1", "e2m2")]


def pixels(count=40):
    return {"input": np.random.default_rng(0).integers(0, 256, (count, 8, 9, 2)).astype(np.uint8)}


def convs(network):
    return [layer for layer in network.layers if isinstance(layer, FloatConv)]


def spent(network, chosen):
    return sum(kibibytes(layer, chosen[layer.name]) for layer in convs(network))


@pytest.mark.parametrize("seed", range(3))
def test_codes_keep_to_the_budget_and_more_of_it_never_hurts(float_network, seed):
    network = float_network(seed)
    least, most = (sum(kibibytes(layer, book) for layer in convs(network)) for book in (BOOKS[0], BOOKS[-1]))
    before = None
    for share in (0, 0.3, 0.6, 1):
        budget = least + share * (most - least)
        chosen = choose_codes(network, pixels(), BOOKS, budget)
        assert spent(network, chosen) <= budget + 1e-9
        if share in (0, 1):
            assert {book.name for book in chosen.values()} == {BOOKS[-share].name if share else BOOKS[0].name}
        bits = sum(book.bits for book in chosen.values())
        assert before is None or bits >= before
        before = bits


def test_too_small_a_budget_is_one_sentence(float_network):
    with pytest.raises(HwgenError, match="too small"):
        choose_codes(float_network(0), pixels(), BOOKS, 0.01)


def test_the_layer_that_the_output_minds_gets_the_finer_code(float_network):
    """A layer whose output the next one multiplies by nearly nothing does not matter."""
    network = float_network(1)
    first, last = (convs(network)[i] for i in (0, -1))
    quiet = [replace(layer, weight=1e-4 * layer.weight) if layer is last else layer for layer in network.layers]
    size = kibibytes(first, BOOKS[1]) + sum(kibibytes(layer, BOOKS[0]) for layer in convs(network)[1:])
    # The last layer's own errors shrink along with its weights; what stays is that the first one's no longer count.
    loud = choose_codes(network, pixels(), BOOKS[:2], size)
    assert loud["conv1"] == BOOKS[1]
    assert spent(replace(network, layers=tuple(quiet)), loud) <= size + 1e-9


def test_the_prediction_ranks_choices_as_the_outputs_do(float_network):
    """Of all mixtures of two codes within the budget, the chosen one is among the best in output noise."""
    network, data = float_network(1), pixels(200)
    names = [layer.name for layer in convs(network)]
    sizes = {(layer.name, book.name): kibibytes(layer, book) for layer in convs(network) for book in BOOKS}
    budget = sum(sizes[name, "e2m1"] for name in names)

    def noise(books):
        from hwgen.evaluate import evaluate

        quantized = quantize(network, data, method="plain", layer_codes=books)
        return evaluate(network, quantized, data["input"], None)["layers"][-1]["sqnr_db"]

    mixtures = [
        dict(zip(names, books, strict=True))
        for books in product(BOOKS, repeat=len(names))
        if sum(sizes[name, book.name] for name, book in zip(names, books, strict=True)) <= budget
    ]
    chosen = choose_codes(network, data, BOOKS, budget)
    assert chosen in mixtures
    better = sum(noise(mixture) > noise(chosen) for mixture in mixtures)
    assert better <= len(mixtures) / 4


@pytest.mark.parametrize("mean", [4, 5, 6.5, 8])
def test_bits_keep_to_their_mean(float_network, mean):
    network, data = float_network(0), pixels()
    bits = choose_bits(network, data, collect(network, data), mean)
    assert set(bits.values()) <= set(BITS)
    assert "pool1" not in bits  # it only moves values
    assert "dense" not in bits  # it leaves the network
    if mean in (4, 8):
        assert set(bits.values()) == {mean}
    quantized = quantize(network, data, mean_act_bits=mean)
    for layer in quantized.layers:
        assert layer.name not in bits or layer.output.interval.bits <= bits[layer.name]
    assert quantized.tensor("pool1").interval == quantized.tensor("conv1").interval


@pytest.mark.parametrize("mean", [3.9, 8.1])
def test_a_mean_out_of_reach_is_one_sentence(float_network, mean):
    with pytest.raises(HwgenError, match=r"on average must be 4 to 8"):
        quantize(float_network(0), pixels(), mean_act_bits=mean)


def test_a_prescribed_format_has_no_choice(float_network):
    network = float_network(0)
    fixed = Fixed(0.5, Interval(-8, 7))
    layers = [replace(layer, fixed=fixed) if layer.name == "conv2" else layer for layer in network.layers]
    network = replace(network, layers=tuple(layers))
    assert "conv2" not in choose_bits(network, pixels(), collect(network, pixels()), 5)


def test_every_layer_gets_its_code(float_network):
    network, data = float_network(0), pixels()
    least = sum(kibibytes(layer, BOOKS[0]) for layer in convs(network))
    budget = CodeBudget(("pot3", "e2m1"), 1.2 * least)
    quantized = quantize(network, data, codes=budget, method="plain")
    chosen = choose_codes(network, data, BOOKS[:2], budget.budget)
    assert {layer.name: layer.codebook for layer in quantized.layers if isinstance(layer, Conv)} == chosen
    forced = quantize(network, data, codes=budget, layer_codes={"conv1": "int8"}, layer_bits={"conv1": 3})
    assert (forced.layers[0].codebook, forced.layers[0].output.interval.bits) == (CODES["int8"], 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer_codes": {"conv9": "pot3"}}, "there is no layer 'conv9'"),
        ({"layer_codes": {"pool1": "pot3"}}, "layer 'pool1' has no weights"),
        ({"layer_codes": {"conv1": "pot9"}}, "code 'pot9' is not known"),
        ({"layer_bits": {"conv9": 4}}, "there is no layer 'conv9'"),
        ({"layer_bits": {"conv1": 9}}, "activation bits must be 2 to 8, not 9"),
        ({"act_scale": "best"}, "chosen by mse or kl, not by 'best'"),
    ],
)
def test_wrong_wishes_are_one_sentence(float_network, options, message):
    with pytest.raises(HwgenError, match=message):
        quantize(float_network(0), pixels(), **options)


def test_scales_by_divergence_differ_from_those_by_squared_error(float_network):
    mse, kl = (quantize(float_network(0), pixels(), method="plain", act_scale=name) for name in ("mse", "kl"))
    assert any(a.output.scale != b.output.scale for a, b in zip(mse.layers, kl.layers, strict=True))
