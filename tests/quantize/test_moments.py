import numpy as np
import pytest

from hwgen.quantize.moments import FLOOR, mean_patch, variance_patch
from hwgen.reference.window import padded, patches


@pytest.mark.parametrize("dtype", [np.int32, np.float32, np.float64])
@pytest.mark.parametrize(
    ("kernel", "stride", "pads"),
    [((3, 2), (1, 2), (1, 0, 2, 1)), ((1, 1), (1, 1), (0, 0, 0, 0)), ((5, 6), (1, 1), (0, 0, 0, 0))],
)
def test_equal_the_moments_of_all_patches(dtype, kernel, stride, pads):
    x = np.random.default_rng(0).integers(-50, 50, (7, 5, 6, 3)).astype(dtype)
    value = np.array([3, -2, 0])
    rows = patches(padded(x.astype(np.float64), pads, value), kernel, stride)
    mean = mean_patch(x, kernel, stride, pads, value)
    assert mean.shape == (*kernel, 3)
    assert mean.ravel() == pytest.approx(rows.mean(axis=0))
    expected = rows.var(axis=0)
    assert variance_patch(x, kernel, stride, pads, value).ravel() == pytest.approx(expected + FLOOR * expected.mean())


def test_positions_that_never_move_keep_a_little_importance():
    x = np.random.default_rng(0).normal(0, 1, (20, 2, 2, 1))
    x[:, 0, 0] = 5
    variance = variance_patch(x, (2, 2), (1, 1), (0, 0, 0, 0), np.zeros(1))
    assert 0 < variance[0, 0, 0] < 0.01 * variance.max()


def test_a_constant_input_has_equal_importance_everywhere():
    assert (variance_patch(np.ones((4, 2, 2, 3)), (1, 1), (1, 1), (0, 0, 0, 0), np.zeros(3)) == 1).all()
