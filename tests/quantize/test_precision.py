from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from hwgen.codes import CODES
from hwgen.errors import HwgenError
from hwgen.floatnet import Coded, Fixed, FloatAdd, FloatConv, FloatInput, FloatNetwork
from hwgen.interval import Interval
from hwgen.network import Conv
from hwgen.quantize import quantize
from hwgen.quantize.activations import collect
from hwgen.quantize.precision import BITS, CodeBudget, choosable, choose_bits, choose_codes, reads_of

from .conftest import random_conv

BOOKS = [CODES[name] for name in ("pot3", "e2m1", "e2m2")]


def pixels(count=40):
    return {"input": np.random.default_rng(0).integers(0, 256, (count, 8, 9, 2)).astype(np.uint8)}


def kib(layer, book):
    return layer.weight.size * book.bits / 8192


def stored(network):
    """KiB of the weights of a quantized network."""
    return sum(layer.codes.size * layer.codebook.bits for layer in network.layers if isinstance(layer, Conv)) / 8192


def convs(network):
    return [layer for layer in network.layers if isinstance(layer, FloatConv)]


def spent(network, chosen):
    return sum(kib(layer, chosen[layer.name]) for layer in convs(network))


@pytest.mark.parametrize("seed", range(3))
def test_codes_keep_to_the_budget_and_more_of_it_never_hurts(float_network, seed):
    network = float_network(seed)
    least, most = (sum(kib(layer, book) for layer in convs(network)) for book in (BOOKS[0], BOOKS[-1]))
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
    with pytest.raises(HwgenError, match="too small a budget"):
        choose_codes(float_network(0), pixels(), BOOKS, 0.01)


def test_the_layer_that_the_output_minds_gets_the_finer_code(float_network):
    """Two layers of one size side by side, of which the sum takes nearly nothing of one: the other gets the bits."""
    rng = np.random.default_rng(0)
    shape = (8, 9, 2)
    pair = [random_conv(rng, name, "input", shape, 4, (3, 3), pads=(1,) * 4) for name in ("one", "two")]
    for factors, finer in (((1.0, 1e-3), "one"), ((1e-3, 1.0), "two")):
        total = FloatAdd("sum", ("one", "two"), factors, np.zeros(4), (8, 9, 4))
        network = FloatNetwork("n", (FloatInput("input", shape),), (*pair, total), ("sum",))
        chosen = choose_codes(network, pixels(), BOOKS[:2], kib(pair[0], BOOKS[0]) + kib(pair[1], BOOKS[1]))
        assert [name for name, book in chosen.items() if book == BOOKS[1]] == [finer]


def test_the_prediction_ranks_choices_as_the_outputs_do(float_network):
    """Of all mixtures of two codes within the budget, the chosen one is among the best in output noise."""
    network, data = float_network(1), pixels(200)
    names = [layer.name for layer in convs(network)]
    sizes = {(layer.name, book.name): kib(layer, book) for layer in convs(network) for book in BOOKS}
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


def test_every_layer_gets_its_code_and_forced_ones_count(float_network):
    network, data = float_network(0), pixels()
    least = sum(kib(layer, BOOKS[0]) for layer in convs(network))
    budget = CodeBudget(("pot3", "e2m1"), 2.0 * least)
    quantized = quantize(network, data, codes=budget, method="plain")
    chosen = choose_codes(network, data, BOOKS[:2], budget.budget)
    assert {layer.name: layer.codebook for layer in quantized.layers if isinstance(layer, Conv)} == chosen
    forced = quantize(network, data, codes=budget, layer_codes={"conv1": "int8"}, layer_bits={"conv1": 3})
    assert (forced.layers[0].codebook, forced.layers[0].output.interval.bits) == (CODES["int8"], 3)
    assert stored(forced) <= budget.budget


def with_codes(network, name, bits=4):
    """The layer ``name`` holds codes of the model's own."""
    (layer,) = (layer for layer in network.layers if layer.name == name)
    levels = np.rint(layer.weight / np.abs(layer.weight).max() * (2 ** (bits - 1) - 1)).astype(np.int64)
    coded = Coded(levels, np.ones(len(levels)))
    layers = [
        replace(layer, weight=levels.astype(float), coded=coded) if layer.name == name else layer
        for layer in network.layers
    ]
    return replace(network, layers=tuple(layers))


def test_codes_of_the_model_count_and_give_way_only_to_a_wish(float_network):
    network, data = with_codes(float_network(0), "conv2"), pixels()
    least = sum(kib(layer, BOOKS[1 if layer.name == "conv2" else 0]) for layer in convs(network))
    quantized = quantize(network, data, codes=CodeBudget(("pot3", "e2m2"), least), method="plain")
    books = {layer.name: layer.codebook.name for layer in quantized.layers if isinstance(layer, Conv)}
    assert books == {"conv1": "pot3", "conv2": "int4", "dense": "pot3"}
    assert stored(quantized) <= least
    with pytest.raises(HwgenError, match="too small a budget"):
        quantize(network, data, codes=CodeBudget(("pot3", "e2m2"), 0.99 * least), method="plain")
    wished = quantize(network, data, layer_codes={"conv2": "pot3"}, method="plain")
    assert wished.layers[2].codebook == CODES["pot3"]


@pytest.mark.parametrize("method", ["fixing", "layering", "mmse:tensors=2", "shift"])
def test_a_method_with_codes_of_its_own_has_no_budget(float_network, method):
    with pytest.raises(HwgenError, match="makes codes of its own"):
        quantize(float_network(0), pixels(), codes=CodeBudget(("pot3",), 1.0), method=method)


@pytest.mark.parametrize("mean", [4.2, 5, 6.3, 7.5])
@pytest.mark.parametrize("seed", range(3))
def test_the_mean_holds_for_the_formats_that_tensors_get(float_graph, mean, seed):
    """Concatenations ask others for their format: those are one choice."""
    network = float_graph(seed)
    rng = np.random.default_rng(0)
    data = {"left": rng.normal(0, 1, (40, 8, 9, 2)), "right": rng.normal(0, 1, (40, 8, 9, 3))}
    quantized = quantize(network, data, mean_act_bits=mean, method="plain")
    groups = choosable(network)
    assert any(len(group) > 1 for group in groups) or seed
    reads = reads_of(network)
    names = [name for group in groups for name in group]
    bits = {name: quantized.tensor(name).interval.bits for name in names}
    # An interval that a clip narrows may have fewer bits than its tensor was given.
    assert sum(bits[name] * reads[name] for name in names) <= mean * sum(reads[name] for name in names)


def test_bits_of_a_shared_format_are_asked_for_where_they_are_chosen(float_graph):
    network = float_graph(0)
    rng = np.random.default_rng(0)
    data = {"left": rng.normal(0, 1, (40, 8, 9, 2)), "right": rng.normal(0, 1, (40, 8, 9, 3))}
    quantized = quantize(network, data, layer_bits={"merged": 5}, method="plain")
    assert quantized.tensor("merged").interval.bits == 5
    assert quantized.tensor("merged").scale == quantized.tensor("grouped").scale
    with pytest.raises(HwgenError, match=r"'grouped' cannot be chosen: they are those of 'merged'"):
        quantize(network, data, layer_bits={"grouped": 5}, method="plain")
    with pytest.raises(HwgenError, match=r"'logits' cannot be chosen: the network's outputs"):
        quantize(network, data, layer_bits={"logits": 5}, method="plain")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer_codes": {"conv9": "pot3"}}, "there is no layer 'conv9'"),
        ({"layer_codes": {"pool1": "pot3"}}, "layer 'pool1' has no weights"),
        ({"layer_codes": {"conv1": "pot9"}}, "code 'pot9' is not known"),
        ({"layer_bits": {"conv9": 4}}, "there is no layer 'conv9'"),
        ({"layer_bits": {"conv1": 9}}, "activation bits must be 2 to 8, not 9"),
        ({"layer_bits": {"pool1": 4}}, "'pool1' cannot be chosen: they are those of 'conv1'"),
        ({"codes": CodeBudget((), 1.0)}, "needs codes to choose from"),
        ({"act_scale": "best"}, "chosen by mse or kl, not by 'best'"),
    ],
)
def test_wrong_wishes_are_one_sentence(float_network, options, message):
    with pytest.raises(HwgenError, match=message):
        quantize(float_network(0), pixels(), **options)


def test_scales_by_divergence_differ_from_those_by_squared_error(float_network):
    mse, kl = (quantize(float_network(0), pixels(), method="plain", act_scale=name) for name in ("mse", "kl"))
    assert any(a.output.scale != b.output.scale for a, b in zip(mse.layers, kl.layers, strict=True))
