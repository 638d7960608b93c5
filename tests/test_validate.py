"""A network that does not fit together cannot be made; the sentence names the layer."""

import dataclasses
import re

import numpy as np
import pytest

from hwgen.floatnet import Layout, PoolKind
from hwgen.interval import Interval
from hwgen.network import Network, Rescale

from .networks import add, concat, conv, pool, remap, table, tensor

NIBBLE = Interval(0, 15)

SOURCE = tensor((4, 4, 2), NIBBLE)


def graph():
    """One layer of each kind, each legal, by name."""
    rng = np.random.default_rng(0)
    layers = [
        conv(rng, SOURCE, 4, (3, 3), pads=(1, 1, 1, 1), groups=2, output=NIBBLE, name="conv"),
        table(rng, SOURCE, output=NIBBLE, name="table"),
        add(rng, [SOURCE, SOURCE], output=NIBBLE, name="add"),
    ]
    layers += [
        concat(rng, [layers[1].output, layers[2].output], output=Interval(0, 7), name="concat"),
        pool(rng, layers[0].output, PoolKind.MAX, (2, 2), (2, 2), name="max"),
        pool(rng, layers[0].output, PoolKind.AVERAGE, (2, 2), (1, 1), pads=(1, 0, 0, 0), count_inside=True, name="avg"),
    ]
    layers.append(remap(layers[3].output, [0, 0, 2], [0, 4], [0, 1, 2], name="remap"))
    return {layer.name: layer for layer in layers}


def built(layers, changes=()):
    options = {
        "name": "net",
        "inputs": (SOURCE,),
        "layers": tuple(layers.values()),
        "outputs": ("max", "avg", "remap"),
    }
    return Network(**options | dict(changes))


def test_the_graph_is_legal():
    assert built(graph()).outputs == ("max", "avg", "remap")


WRONG_NETWORKS = {
    "no layers": ({"layers": ()}, "must have at least one layer"),
    "no inputs": ({"inputs": ()}, "must have at least one input and one output"),
    "no outputs": ({"outputs": ()}, "must have at least one input and one output"),
    "layouts": ({"layouts": (Layout.CHANNEL_LAST,) * 2}, "there must be 1 layouts, not 2"),
    "unknown output": ({"outputs": ("max", "none")}, "output 'none' must be a tensor of the network"),
    "tensor without a reader": ({"outputs": ("max", "remap")}, "avg: nothing reads this tensor"),
    "input without a reader": (
        {"inputs": (SOURCE, tensor((1, 1, 1), name="idle"))},
        "idle: nothing reads this tensor",
    ),
    "two inputs of one name": ({"inputs": (SOURCE, SOURCE)}, "x: tensor name 'x' must not be in use before"),
    "unknown source": (
        {"inputs": (tensor((4, 4, 2), NIBBLE, "y"),)},
        "conv: its source 'x' must be an input or an earlier layer",
    ),
}


@pytest.mark.parametrize("case", WRONG_NETWORKS)
def test_refuses_a_network(case):
    changes, message = WRONG_NETWORKS[case]
    with pytest.raises(ValueError, match=re.escape(message)):
        built(graph(), changes)


def requant(**changes):
    """A change of a layer's requantization."""
    return lambda layer: {"requant": dataclasses.replace(layer.requant, **changes)}


def output(**changes):
    """A change of a layer's output tensor."""
    return lambda layer: {"output": dataclasses.replace(layer.output, **changes)}


def fields(**changes):
    return lambda layer: changes


ONE = np.ones(1, np.int64)

WRONG_LAYERS = {
    "input shape": ("conv", fields(input_shape=(4, 5, 2)), "input shape must be (4, 4, 2), not (4, 5, 2)"),
    "output shape": ("conv", output(shape=(3, 4, 4)), "output shape must be (4, 4, 4), not (3, 4, 4)"),
    "output's name": ("conv", output(name="other"), "its output must have the layer's name, not 'other'"),
    "conv's interval": ("conv", output(interval=Interval(0, 7)), "output interval must be Interval(lo=0, hi=15)"),
    "groups of the inputs": ("conv", fields(groups=4), "4 groups do not fit 2 to 4 channels"),
    "codes of all inputs": ("conv", fields(groups=1), "1 groups do not fit 2 to 4 channels"),
    "dilation": ("conv", fields(dilation=(2, 1)), "output shape must be (2, 4, 4), not (4, 4, 4)"),
    "padding values": ("conv", fields(pad_value=np.zeros(3, np.int64)), "it must have 2 padding values and 4 weight"),
    "weight scales": ("conv", fields(weight_scale=np.ones(2)), "it must have 2 padding values and 4 weight scales"),
    "channels of a requantization": ("conv", requant(mul=8 * ONE, add=ONE), "requantization must have 4 channels"),
    "requantized maximum": ("max", lambda layer: {"requant": graph()["avg"].requant}, "an average, and only that"),
    "average without": ("avg", fields(requant=None), "an average, and only that, must have a requantization"),
    "maximum's interval": ("max", output(interval=Interval(0, 7)), "output interval must be Interval(lo=0, hi=15)"),
    "rows of divisors": ("avg", fields(divisors=((1, 2), (1, 2, 2))), "divisors must be one for each of 4 rows and 3"),
    "no divisors": ("avg", fields(divisors=None), "requantization must have 4 channels"),
    "more divisors": (
        "avg",
        fields(divisors=((1, 2, 3, 3), (1, 1, 1))),
        "requantization must have 3 channels",
    ),
    "one addend": ("add", fields(sources=("x",), mul=(1,)), "it must add two or more tensors of one shape"),
    "addends of two shapes": ("add", fields(sources=("x", "conv")), "it must add two or more tensors of one shape"),
    "factor for each addend": ("add", fields(mul=(1, 1, 1)), "with a factor for each"),
    "factor of zero": ("add", fields(mul=(1, 0)), "mul must be sums of at most 4 powers of two, not (1, 0)"),
    "too fine a factor": ("add", fields(mul=(1, -341)), "mul must be sums of at most 4 powers of two, not (1, -341)"),
    "biases of an addition": ("add", fields(add=ONE), "it must have 2 biases"),
    "shift of an addition": ("add", fields(shift=-1), "shift >= 0"),
    "addition's interval": ("add", fields(hi=14), "output interval must be Interval(lo=0, hi=14)"),
    "shapes of a concatenation": ("concat", fields(input_shapes=((4, 4, 2),) * 3), "its maps must be"),
    "rescalings": ("concat", fields(rescale=(None,)), "there must be 2 rescalings, not 1"),
    "concatenation's interval": (
        "concat",
        fields(rescale=(None, Rescale(1, 0, 0, -3, 3))),
        "output interval must be Interval(lo=-3, hi=15)",
    ),
    "rows of a table": ("table", fields(values=np.zeros((3, 16), np.int64)), "its table must be 1 or 2 rows of 16"),
    "size of a table": ("table", fields(values=np.zeros((1, 15), np.int64)), "its table must be 1 or 2 rows of 16"),
    "values of a table": ("table", fields(values=np.full((1, 16), 16)), "its table must hold values of"),
    "offsets": ("remap", fields(row_offset=np.zeros(2, np.int64)), "an offset for every row"),
    "no channels": ("remap", fields(channels=np.zeros(0, np.int64)), "it must have rows, columns and channels"),
    "rows that decrease": ("remap", fields(rows=np.array([0, 2, 1])), "its rows must not decrease and lie below 4"),
    "row past the end": ("remap", fields(rows=np.array([0, 2, 4])), "its rows must not decrease and lie below 4"),
    "less than -1": ("remap", fields(columns=np.array([0, -2])), "its rows, columns and channels must be -1 or more"),
    "column past the end": ("remap", fields(columns=np.array([0, 14])), "must lie inside a row of 16 values"),
    "negative offset": ("remap", fields(row_offset=np.array([0, -1, 0])), "must lie inside a row of 16 values"),
    "fill": ("remap", fields(fill=8), "fill must lie in Interval(lo=0, hi=7), not 8"),
}


@pytest.mark.parametrize("case", WRONG_LAYERS)
def test_refuses_a_layer(case):
    name, change, message = WRONG_LAYERS[case]
    layers = graph()
    layers[name] = dataclasses.replace(layers[name], **change(layers[name]))
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        built(layers)
    assert str(error.value).startswith(f"{name}: ")


def test_empty_rows_may_lie_between_others():
    layers = graph()
    layers["remap"] = dataclasses.replace(layers["remap"], rows=np.array([1, -1, 1]))
    assert built(layers).tensor("remap").shape == (3, 2, 3)
