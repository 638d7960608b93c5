"""The float evaluation: layers, batches, types; its arithmetic is measured against ONNX Runtime in the other files."""

from math import inf

import numpy as np
import pytest

from hwgen.floatnet import FloatConv, FloatInput, FloatNetwork, FloatPool, PoolKind
from hwgen.lower import evaluate

RNG = np.random.default_rng(10)


def _network(size=(6, 5, 3)):
    conv = FloatConv(
        "conv",
        "x",
        RNG.normal(size=(4, 3, 2, size[2])),
        RNG.normal(size=4),
        size,
        RNG.normal(size=size[2]),
        stride=(2, 1),
        pads=(1, 0, 2, 1),
        clip=(-0.5, 1.5),
    )
    pool = FloatPool("pool", "conv", PoolKind.AVERAGE, (2, 2), conv.output_shape, pads=(1, 0, 0, 1), clip=(0.0, inf))
    return FloatNetwork("n", (FloatInput("x", size),), (conv, pool), ("pool",))


@pytest.mark.parametrize("size", [(6, 5, 3), (6, 5, 16), (3, 2, 1)])
def test_equals_the_definition(size):
    """Written out as loops from the docstrings of FloatConv and FloatPool."""
    network = _network(size)
    conv, pool = network.layers
    x = RNG.normal(size=(2, *size))
    outputs = evaluate(network, x, every=True)
    assert list(outputs) == ["conv", "pool"]
    for frame in range(2):
        for index in np.ndindex(conv.output_shape):
            total = conv.bias[index[2]]
            for dy, dx, c in np.ndindex(3, 2, size[2]):
                y, z = index[0] * 2 + dy - 1, index[1] + dx
                inside = 0 <= y < size[0] and 0 <= z < size[1]
                total += conv.weight[index[2], dy, dx, c] * (x[frame, y, z, c] if inside else conv.pad_value[c])
            assert outputs["conv"][(frame, *index)] == pytest.approx(min(max(total, -0.5), 1.5))
        for index in np.ndindex(pool.output_shape):
            total = 0.0
            for dy, dx in np.ndindex(2, 2):
                y, z = index[0] + dy - 1, index[1] + dx
                if 0 <= y < conv.output_shape[0] and 0 <= z < conv.output_shape[1]:
                    total += outputs["conv"][frame, y, z, index[2]]
            assert outputs["pool"][(frame, *index)] == pytest.approx(max(total / 4, 0))


def test_batches_do_not_matter(monkeypatch):
    network = _network()
    x = RNG.normal(size=(23, 6, 5, 3))
    whole = evaluate(network, x)
    monkeypatch.setitem(evaluate.__globals__, "_BATCH_VALUES", 1000)
    np.testing.assert_allclose(evaluate(network, x), whole, rtol=1e-12)


@pytest.mark.parametrize(
    ("given", "computed"), [(np.uint8, np.float32), (np.float32, np.float32), (np.float64, np.float64)]
)
def test_types(given, computed):
    x = np.arange(90).reshape(1, 6, 5, 3).astype(given)
    before = x.copy()
    assert evaluate(_network(), x).dtype == computed
    np.testing.assert_array_equal(x, before)


def test_no_frames_give_no_outputs():
    assert evaluate(_network(), np.zeros((0, 6, 5, 3))).shape == (0, *_network().layers[-1].output_shape)


@pytest.mark.parametrize("shape", [(6, 5, 3), (1, 3, 6, 5), (1, 90)])
def test_a_wrong_shape_is_a_programming_error(shape):
    with pytest.raises(ValueError, match=r"^x must have shape \(N, 6, 5, 3\), not \("):
        evaluate(_network(), np.zeros(shape))
