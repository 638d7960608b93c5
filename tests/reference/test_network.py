import subprocess
import sys
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from hwgen.errors import HwgenError
from hwgen.floatnet import PoolKind
from hwgen.interval import Interval
from hwgen.network import Network
from hwgen.reference import dequantized, quantize_input, run
from hwgen.reference.network import layer_function
from hwgen.reference.walk import frames_per_chunk

from .. import networks
from ..fuzz.grow import random_network

INTERVAL = Interval(0, 63)


@pytest.fixture
def network():
    """A residual block and a pool: the input is read twice, the sum once by each of two layers."""
    rng = np.random.default_rng(0)
    source = networks.tensor((7, 8, 2), INTERVAL, "input")
    a = networks.conv(rng, source, 2, (3, 3), pads=(1, 1, 1, 1), output=INTERVAL, name="a")
    b = networks.add(rng, [a.output, source], name="b")
    c = networks.pool(rng, b.output, PoolKind.AVERAGE, (7, 8), (1, 1), name="c")
    d = networks.concat(rng, [c.output, c.output], name="d")
    return networks.network(a, b, c, d, source=source)


@pytest.fixture
def branched():
    """Two inputs and two outputs, one of which another layer reads too."""
    rng = np.random.default_rng(1)
    left, right = networks.tensor((4, 4, 2), name="left"), networks.tensor((4, 4, 2), INTERVAL, name="right")
    total = networks.add(rng, [left, right], name="total")
    table = networks.table(rng, total.output, name="table")
    return networks.network(total, table, source=[left, right], outputs=["table", "total"])


def data(network, count, seed=0):
    return networks.input_frames(np.random.default_rng(seed), network, count)


@pytest.mark.parametrize("seed", range(20))
def test_every_tensor_by_name_inside_its_interval(seed):
    network = random_network(seed)
    x = data(network, 5)
    results = run(network, x, every=True)
    assert list(results) == [layer.name for layer in network.layers]
    for layer in network.layers:
        values = results[layer.name]
        assert values.shape == (5, *layer.output.shape)
        assert values.dtype == np.int32
        assert layer.output.interval.lo <= values.min() <= values.max() <= layer.output.interval.hi
    outputs = run(network, x)
    for name in network.outputs:
        assert ((outputs if len(network.outputs) > 1 else {name: outputs})[name] == results[name]).all()


@pytest.mark.parametrize("seed", range(20))
def test_layers_one_by_one_are_the_network(seed):
    network = random_network(seed)
    x = data(network, 3)
    results = run(network, x, every=True)
    values = dict(x) if isinstance(x, dict) else {network.input.name: x}
    for layer in network.layers:
        function = layer_function(layer, [network.tensor(name).interval for name in layer.sources])
        values[layer.name] = function(*(values[name] for name in layer.sources))
        assert (values[layer.name] == results[layer.name]).all()


def test_a_frame_does_not_depend_on_its_chunk(network):
    count = frames_per_chunk(network) + 3
    x = data(network, count)
    together = run(network, x)
    assert (together[-1:] == run(network, x[-1:])).all()
    assert (together[:5] == run(network, x[:5])).all()


@pytest.mark.parametrize("twin", [run, dequantized])
def test_several_inputs_and_outputs_go_by_name(branched, twin):
    x = data(branched, 3)
    outputs = twin(branched, x)
    assert list(outputs) == ["table", "total"]
    backwards = twin(branched, dict(reversed(x.items())))
    assert all((outputs[name] == backwards[name]).all() for name in outputs)
    total, table = branched.layers
    assert (outputs["total"] == layer_function(total, [])(x["left"], x["right"])).all()
    assert (outputs["table"] == table.values[0][outputs["total"]]).all()


def test_a_single_input_may_go_by_name_too(network):
    x = data(network, 2)
    assert (run(network, {"input": x}) == run(network, x)).all()
    assert (quantize_input(network, {"input": x})["input"] == quantize_input(network, x)).all()


def test_an_input_may_be_an_output():
    source = networks.tensor((2, 2, 1), name="input")
    table = networks.table(np.random.default_rng(0), source)
    network = networks.network(table, source=source, outputs=["table", "input"])
    x = data(network, 3).astype(np.uint8)
    outputs = run(network, x)
    assert (outputs["input"] == x).all()
    assert outputs["input"].dtype == np.int32


def test_memory_does_not_grow_with_the_number_of_layers():
    """A tensor is freed after its last reader: a chain four times as long needs no more."""

    def peak(length):
        source = last = networks.tensor((64, 64, 8))
        layers = []
        for index in range(length):
            layers.append(networks.crop(last, range(64), range(64), name=f"l{index}"))
            last = layers[-1].output
        network = networks.network(*layers, source=source)
        x = data(network, 4)
        tracemalloc.start()
        run(network, x)
        try:
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(20) < 1.2 * peak(5)


def test_no_frames_give_no_frames(network):
    assert run(network, data(network, 0)).shape == (0, *network.output.shape)


@pytest.mark.parametrize(
    "spoil",
    [lambda x: x.astype(float), lambda x: x[..., :1], lambda x: x[0], lambda x: x * 0 + 64, lambda x: x * 0 - 1],
)
def test_wrong_input_is_refused(network, spoil):
    with pytest.raises(ValueError, match="x must"):
        run(network, spoil(data(network, 2)))


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda x: x["left"], "dict of one array for each of the inputs left, right"),
        (lambda x: {"left": x["left"]}, "must be given for the inputs left, right, not for left"),
        (lambda x: x | {"third": x["left"]}, "must be given for the inputs left, right, not for left, right, third"),
        (lambda x: {}, "not for none"),
        (lambda x: x | {"right": x["right"][:1]}, "as many frames for each input, not 2 and 1"),
    ],
)
def test_inputs_that_are_not_the_networks_are_refused(branched, spoil, text):
    with pytest.raises(ValueError, match=text):
        run(branched, spoil(data(branched, 2)))


def with_input(network, interval, scale):
    """Only the input of ``network``, with another interval and scale, and a layer that moves nothing."""
    source = networks.tensor(network.input.shape, interval, "input", scale)
    return Network("net", (source,), (networks.crop(source, range(7), range(8)),), ("crop",))


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


def test_each_input_has_its_own_unit(branched):
    left, right = (replace(source, scale=scale) for source, scale in zip(branched.inputs, (0.5, 2.0), strict=True))
    network = replace(branched, inputs=(left, right))
    result = quantize_input(network, {name: np.full((1, 4, 4, 2), 8.0) for name in ("left", "right")})
    assert {name: np.unique(values).tolist() for name, values in result.items()} == {"left": [16], "right": [4]}


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (np.zeros((2, 3, 3, 1)), "shape"),
        (np.zeros((7, 8, 2)), "shape"),
        (np.full((1, 7, 8, 2), np.nan), "finite"),
        (np.zeros((1, 7, 8, 2), "U1"), "numbers"),
        ({"other": np.zeros((1, 7, 8, 2))}, "must be given for the inputs input, not for other"),
    ],
)
def test_wrong_data_is_one_sentence(network, x, text):
    with pytest.raises(HwgenError, match=text):
        quantize_input(network, x)


def test_the_reference_knows_nothing_of_hardware():
    program = "import sys, hwgen.reference; sys.exit(any(name.split('.')[0] == 'amaranth' for name in sys.modules))"
    subprocess.run([sys.executable, "-c", program], check=True)
