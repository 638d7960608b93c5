"""Weights in codes without zero: what a weight, a channel and a layer of zeros become."""

import numpy as np
import pytest

from hwgen.codes import CODES
from hwgen.quantize.coded import RECOGNIZED, book_of, exponent_in
from hwgen.quantize.requant import MAX_SHIFT
from hwgen.quantize.scales import code_weights

ZERO_FREE = sorted(name for name, book in CODES.items() if book.zero_free)
RATIO = 0.1


def least(book):
    return int(np.abs(book.sorted_levels).min())


def noise_power(weight, coded, book):
    """The mean squared error of each channel."""
    error = coded.weight_scale[:, None, None, None] * book.decode(coded.codes) - weight
    return np.square(error).mean(axis=(1, 2, 3))


@pytest.mark.parametrize("name", ZERO_FREE)
def test_a_weight_of_zero_becomes_the_negative_one_of_the_smallest_levels(name):
    book, weight = CODES[name], np.random.default_rng(0).normal(0, 1, (3, 3, 3, 4))
    weight[:, 1, 1] = 0
    levels = book.decode(code_weights(weight, book, RATIO).codes)
    assert (levels[:, 1, 1] == -least(book)).all()
    assert (np.sign(levels) == np.where(weight > 0, 1, -1)).all()


@pytest.mark.parametrize("name", ZERO_FREE)
def test_a_channel_of_zeros_gets_the_smallest_scale_and_the_layer_makes_room_for_it(name):
    book, rng = CODES[name], np.random.default_rng(1)
    weight = rng.normal(0, 1, (8, 3, 3, 4))
    weight[0] = 0
    coded, without = code_weights(weight, book, RATIO), code_weights(weight[1:], book, RATIO)
    assert coded.weight_scale[0] == coded.weight_scale.min()
    noise, alone = noise_power(weight, coded, book), noise_power(weight[1:], without, book)
    # What is left of it counts for nothing beside the noise of the other channels, which lose nothing by it.
    assert noise[0] < 0.1 * noise[1:].min()
    assert noise[1:].sum() <= 1.02 * alone.sum()


@pytest.mark.parametrize("name", ZERO_FREE)
def test_a_layer_of_zeros_moves_no_output(name):
    """The largest input on 10,000 taps: a small part of an output unit."""
    book = CODES[name]
    coded = code_weights(np.zeros((3, 1, 1, 4)), book, RATIO)
    assert coded.shift == MAX_SHIFT
    assert (np.abs(book.decode(coded.codes)) == least(book)).all()
    assert 10_000 * 255 * least(book) * int(coded.mul.max()) / 2**coded.shift < 0.05


@pytest.mark.parametrize("name", ZERO_FREE)
def test_levels_with_a_zero_are_in_no_code_without(name):
    book = CODES[name]
    levels = np.array(book.levels)
    assert exponent_in(book, levels) == 0
    assert exponent_in(book, 2 * levels) is not None
    assert exponent_in(book, np.append(levels, 0)) is None
    assert exponent_in(book, np.zeros(3, np.int64)) is None


def test_a_models_own_levels_are_looked_for_in_codes_with_zero():
    """A layer of a model may lack a zero by chance; its weights may have to be rounded anew."""
    assert not any(CODES[name].zero_free for name in RECOGNIZED)
    assert book_of(np.array([1, -1])).name == "ternary"
    assert book_of(np.array([1, -2, 4, -8])).name == "e2m1"
