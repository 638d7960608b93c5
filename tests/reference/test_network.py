import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from hwgen.codes import CODES
from hwgen.errors import HwgenError
from hwgen.interval import Interval
from hwgen.network import Network, Tensor
from hwgen.reference import quantize_input, run
from hwgen.reference.network import frames_per_chunk, layer_function


@pytest.fixture
def network(random_network):
    return random_network(0, CODES["e2m1"])


def data(network, count, seed=0):
    interval = network.input.interval
    return np.random.default_rng(seed).integers(interval.lo, interval.hi + 1, (count, *network.input.shape))


def test_every_tensor_by_name_inside_its_interval(network):
    results = run(network, data(network, 20), every=True)
    assert list(results) == [layer.output.name for layer in network.layers]
    for layer in network.layers:
        values = results[layer.output.name]
        assert values.shape == (20, *layer.output.shape)
        assert values.dtype == np.int32
        assert int(values.min()) in layer.output.interval
        assert int(values.max()) in layer.output.interval
    assert (run(network, data(network, 20)) == results[network.output.name]).all()


def test_layers_one_by_one_are_the_network(network):
    values = data(network, 3)
    results = run(network, values, every=True)
    for index, layer in enumerate(network.layers):
        values = layer_function(network, index)(values)
        assert (values == results[layer.output.name]).all()


def test_a_frame_does_not_depend_on_its_chunk(network):
    count = frames_per_chunk(network) + 3
    x = data(network, count)
    together = run(network, x)
    assert (together[-1:] == run(network, x[-1:])).all()
    assert (together[:5] == run(network, x[:5])).all()


def test_two_layers_may_read_the_same_tensor(network):
    """Sources go by name, not by position: a second reader of the input gives what it gives alone."""
    first = network.layers[0]
    again = replace(first, name="again", output=replace(first.output, name="again"))
    branched = Network("branched", network.input, (first, network.layers[1], again))
    results = run(branched, data(network, 2), every=True)
    assert (results["again"] == results[first.output.name]).all()


def test_no_frames_give_no_frames(network):
    assert run(network, data(network, 0)).shape == (0, *network.output.shape)


@pytest.mark.parametrize(
    "spoil",
    [lambda x: x.astype(float), lambda x: x[..., :1], lambda x: x[0], lambda x: x * 0 + 64, lambda x: x * 0 - 1],
)
def test_wrong_input_is_refused(network, spoil):
    with pytest.raises(ValueError, match="x must"):
        run(network, spoil(data(network, 2)))


def with_input(network, interval, scale):
    return replace(network, input=Tensor("input", network.input.shape, interval, scale))


def test_pixels_pass_unchanged(network):
    pixels = np.random.default_rng(0).integers(0, 256, (4, *network.input.shape)).astype(np.uint8)
    assert (quantize_input(with_input(network, Interval(0, 255), 1.0), pixels) == pixels).all()


def test_real_input_rounds_half_up_and_saturates(network):
    x = np.zeros((1, *network.input.shape))
    x.flat[:7] = [0.25, -0.25, 0.75, -0.75, 1e300, -1e300, 0.2499]
    result = quantize_input(with_input(network, Interval(-8, 7), 0.5), x)
    assert result.ravel()[:7].tolist() == [1, 0, 2, -1, 7, -8, 0]
    assert result.dtype == np.int32


def test_integers_saturate_without_wrapping(network):
    x = np.full((1, *network.input.shape), (1 << 63) + 5, np.uint64)
    assert (quantize_input(with_input(network, Interval(0, 255), 1.0), x) == 255).all()


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (np.zeros((2, 3, 3, 1)), "shape"),
        (np.zeros((7, 8, 2)), "shape"),
        (np.full((1, 7, 8, 2), np.nan), "finite"),
        (np.zeros((1, 7, 8, 2), "U1"), "numbers"),
    ],
)
def test_wrong_data_is_one_sentence(network, x, text):
    with pytest.raises(HwgenError, match=text):
        quantize_input(network, x)


def test_the_reference_knows_nothing_of_hardware():
    program = "import sys, hwgen.reference; sys.exit(any(name.split('.')[0] == 'amaranth' for name in sys.modules))"
    subprocess.run([sys.executable, "-c", program], check=True)
