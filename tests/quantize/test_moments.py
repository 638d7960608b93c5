import numpy as np
import pytest

from hwgen.floatnet import FloatConv
from hwgen.quantize.moments import FLOOR, mean_patch, variance_patch
from hwgen.reference.window import padded, patches


def conv(kernel, shape, groups=1, outputs=2, **rest):
    weight = np.zeros((outputs, *kernel, shape[2] // groups))
    return FloatConv("conv", "x", weight, np.zeros(outputs), shape, np.zeros(shape[2]), groups=groups, **rest)


@pytest.mark.parametrize("dtype", [np.int32, np.float32, np.float64])
@pytest.mark.parametrize(
    ("kernel", "stride", "pads", "dilation"),
    [
        ((3, 2), (1, 2), (1, 0, 2, 1), (1, 1)),
        ((1, 1), (1, 1), (0, 0, 0, 0), (1, 1)),
        ((5, 6), (1, 1), (0, 0, 0, 0), (1, 1)),
        ((2, 3), (1, 2), (2, 1, 0, 1), (3, 2)),
    ],
)
def test_equal_the_moments_of_all_patches(dtype, kernel, stride, pads, dilation):
    x = np.random.default_rng(0).integers(-50, 50, (7, 5, 6, 3)).astype(dtype)
    value = np.array([3, -2, 0])
    layer = conv(kernel, (5, 6, 3), stride=stride, pads=pads, dilation=dilation)
    rows = patches(padded(x.astype(np.float64), pads, value), kernel, stride, dilation)
    mean = mean_patch(layer, x, value)
    assert mean.shape == (2, *kernel, 3)
    expected = rows.var(axis=0)
    variance = variance_patch(layer, x, value)
    for output in range(2):
        assert mean[output].ravel() == pytest.approx(rows.mean(axis=0))
        assert variance[output].ravel() == pytest.approx(expected + FLOOR * expected.mean())


@pytest.mark.parametrize(("groups", "outputs"), [(6, 6), (3, 6), (2, 4), (6, 12)])
def test_an_output_channel_sees_the_inputs_of_its_group(groups, outputs):
    x = np.random.default_rng(0).normal(0, 1, (9, 4, 4, 6)) * np.arange(1, 7)
    value = np.arange(6.0)
    layer, whole = (conv((2, 2), (4, 4, 6), g, outputs, pads=(1, 0, 0, 1)) for g in (groups, 1))
    for moment in (mean_patch, variance_patch):
        found, every = moment(layer, x, value), moment(whole, x, value)[0]
        width = 6 // groups
        for output in range(outputs):
            first = output // (outputs // groups) * width
            assert (found[output] == every[..., first : first + width]).all()


def test_positions_that_never_move_keep_a_little_importance():
    x = np.random.default_rng(0).normal(0, 1, (20, 2, 2, 1))
    x[:, 0, 0] = 5
    variance = variance_patch(conv((2, 2), (2, 2, 1)), x, np.zeros(1))
    assert 0 < variance[0, 0, 0, 0] < 0.01 * variance.max()


def test_a_constant_input_has_equal_importance_everywhere():
    assert (variance_patch(conv((1, 1), (2, 2, 3)), np.ones((4, 2, 2, 3)), np.zeros(3)) == 1).all()
