import numpy as np
import pytest

from hwgen.codes import CODES
from hwgen.quantize import quantize
from hwgen.quantize.gram import as_matrices
from hwgen.quantize.methods.gpfq import GPFQ, SPFQ, follow_path, stochastic
from hwgen.quantize.methods.plain import plain
from hwgen.quantize.methods.quadratic import Quadratic

from .problems import LAYERS, problem, real


def relative_errors(book, inputs, samples=64, seed=0):
    """Of eight neurons of ``inputs`` Gaussian weights on Gaussian samples: of path following and of plain rounding."""
    rng = np.random.default_rng(seed)
    x, weight = rng.normal(0, 1, (samples, inputs)), rng.normal(0, 1, (1, inputs, 8))
    scale = np.full((1, 1, 8), 3.0 / book.max_level)
    moments = (x.T @ x)[None]
    followed = follow_path(weight, moments, moments, scale, book) * scale
    rounded = book.nearest(weight / scale) * scale
    output = x @ weight[0]
    return [np.square(output - x @ each[0]).sum() / np.square(output).sum() for each in (followed, rounded)]


@pytest.mark.parametrize("code", ["pot4", "ternary", "e2m1", "pot3-nozero"])
def test_the_error_falls_as_one_over_the_number_of_weights(code):
    """The theorem: at a fixed number of samples the log-log slope is -1, while that of plain rounding is 0."""
    sizes = [128, 512, 2048]
    followed, rounded = np.array([relative_errors(CODES[code], inputs) for inputs in sizes]).T
    slopes = [np.polyfit(np.log(sizes), np.log(errors), 1)[0] for errors in (followed, rounded)]
    assert slopes[0] == pytest.approx(-1, abs=0.2)
    assert slopes[1] == pytest.approx(0, abs=0.15)
    assert followed[-1] < rounded[-1] / 20


def literally(weight, x, quantized, scale, book):
    """The definition, on the samples themselves, one neuron at a time."""
    levels = np.empty(weight.shape, np.int64)
    for neuron in range(weight.shape[1]):
        u = np.zeros(len(x))
        for t in range(len(weight)):
            u += weight[t, neuron] * x[:, t]
            best = quantized[:, t] @ u / (quantized[:, t] @ quantized[:, t])
            levels[t, neuron] = book.nearest(best / scale)
            u -= levels[t, neuron] * scale * quantized[:, t]
    return levels


@pytest.mark.parametrize("code", ["pot3", "e2m1", "int4"])
def test_moments_are_as_good_as_samples(code):
    rng = np.random.default_rng(1)
    x = rng.normal(0, 1, (50, 20))
    quantized, weight = x + rng.normal(0, 0.1, x.shape), rng.normal(0, 1, (20, 3))
    scale = np.full((1, 1, 3), 0.3)
    moments = [(quantized.T @ other)[None] for other in (quantized, x)]
    found = follow_path(weight[None], *moments, scale, CODES[code])
    assert (found[0] == literally(weight, x, quantized, 0.3, CODES[code])).all()


def test_stochastic_rounding_is_unbiased_between_neighbours():
    book, rng = CODES["pot4"], np.random.default_rng(0)
    values = np.array([-64.0, -50.0, -3.0, -0.25, 0.0, 0.7, 1.5, 33.0, 64.0])
    draws = np.stack([stochastic(values, book, rng) for _ in range(20_000)])
    low = [book.sorted_levels[book.sorted_levels <= value].max() for value in values]
    high = [book.sorted_levels[book.sorted_levels >= value].min() for value in values]
    assert ((draws == low) | (draws == high)).all()
    error = np.sqrt((values - low) * (high - values) / len(draws))
    assert (np.abs(draws.mean(axis=0) - values) <= 4 * error).all()


def test_values_beyond_the_levels_are_clipped():
    book, rng = CODES["pot3"], np.random.default_rng(0)
    assert stochastic(np.array([-9.0, 9.0]), book, rng).tolist() == [-4, 4]


def test_an_input_that_never_moves_is_rounded_on_its_own():
    moments = np.diag([1.0, 0.0, 2.0])[None]
    weight = np.array([[[0.9], [2.2], [-1.4]]])
    levels = follow_path(weight, moments, moments, np.ones((1, 1, 1)), CODES["pot3"])
    assert levels.ravel().tolist() == [1, 2, -1]


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("method", [GPFQ(), SPFQ(), GPFQ(scales=0, passes=2)])
def test_no_channel_is_worse_than_plain_rounding(kind, method):
    asked = problem(kind, CODES["pot3"])
    quadratic = Quadratic.of(asked)
    before, after = (
        quadratic.error(as_matrices(real(coded), asked.layer.groups))
        for coded in (plain(asked), method.coder(None, None)(asked))
    )
    assert (after <= before + 1e-9 * abs(before)).all()
    assert after.sum() < before.sum()


def test_the_seed_decides(float_network):
    data = np.random.default_rng(0).integers(0, 256, (30, 8, 9, 2)).astype(np.uint8)
    texts = ["spfq:scales=0", "spfq:scales=0", "spfq:scales=0,seed=1"]
    first, again, other = (quantize(float_network(0), data, code="pot3", method=text).layers for text in texts)
    convs = [index for index, layer in enumerate(first) if hasattr(layer, "codes")]
    assert all((first[i].codes == again[i].codes).all() for i in convs)
    assert any((first[i].codes != other[i].codes).any() for i in convs)
