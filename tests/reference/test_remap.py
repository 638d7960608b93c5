import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgen.reference.remap import remap

from .. import networks
from ..fuzz.recipe import build_layer

SOURCE = networks.tensor((3, 4, 4))
X = np.arange(2 * 48).reshape(2, 3, 4, 4)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 1 << 32), st.tuples(*[st.integers(1, 5)] * 3))
def test_equals_the_definition(seed, shape):
    layer = build_layer(seed, {"name": "r", "kind": "remap", "outputs": shape}, [SOURCE])
    out = remap(layer, X)
    for n, y, x, c in np.ndindex(out.shape):
        parts = [int(layer.rows[y]), int(layer.columns[x]), int(layer.channels[c])]
        if -1 in parts:
            assert out[n, y, x, c] == layer.fill
        else:
            assert out[n, y, x, c] == X[n, parts[0]].reshape(-1)[layer.row_offset[y] + parts[1] + parts[2]]


def test_crop_with_a_step():
    out = remap(networks.crop(SOURCE, range(1, 3), range(0, 4, 2), [3, 0]), X)
    assert (out == X[:, 1:3, ::2][..., [3, 0]]).all()


def test_padding():
    out = remap(networks.crop(SOURCE, range(-1, 4), range(-2, 4)), X)
    assert (out == np.pad(X, ((0, 0), (1, 1), (2, 0), (0, 0)))).all()


def test_nearest_resize():
    assert (remap(networks.upsample(SOURCE, 2), X) == X.repeat(2, axis=1).repeat(2, axis=2)).all()


def test_depth_to_space():
    out = remap(networks.depth_to_space(SOURCE, 2), X)
    assert out.shape == (2, 6, 8, 1)
    assert (out[..., 0] == X.reshape(2, 3, 4, 2, 2).transpose(0, 1, 3, 2, 4).reshape(2, 6, 8)).all()


def test_reals_and_a_real_fill():
    out = remap(networks.crop(SOURCE, range(-1, 1), range(4)), X / 4, fill=0.25)
    assert (out[:, 0] == 0.25).all()
    assert (out[:, 1] == X[:, 0] / 4).all()
