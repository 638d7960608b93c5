import numpy as np
import pytest

from hwgen.reference.window import padded, patches, positions


def test_padding_is_one_sided_where_asked_and_takes_one_value_per_channel():
    x = np.arange(2 * 2 * 2 * 2).reshape(2, 2, 2, 2)
    out = padded(x, (1, 0, 0, 2), np.array([7, 9]))
    assert out.shape == (2, 3, 4, 2)
    assert (out[:, 1:, :2] == x).all()
    assert (out[:, 0] == (7, 9)).all()
    assert (out[:, 1:, 2:] == (7, 9)).all()


def test_no_padding_copies_nothing_and_converts_when_asked():
    x = np.arange(8, dtype=np.int32).reshape(1, 2, 2, 2)
    assert padded(x, (0, 0, 0, 0), 5) is x
    assert padded(x, (0, 0, 0, 0), 5, np.float32).dtype == np.float32


@pytest.mark.parametrize("dilation", [(1, 1), (2, 1), (1, 2), (2, 3)])
@pytest.mark.parametrize(("kernel", "stride"), [((1, 1), (1, 1)), ((2, 3), (1, 2)), ((3, 2), (2, 1)), ((3, 3), (3, 3))])
def test_patches_and_positions_are_the_same_windows(kernel, stride, dilation):
    x = np.random.default_rng(0).integers(0, 100, (2, 9, 10, 3))
    rows = patches(x, kernel, stride, dilation)
    walk = np.stack(list(positions(x, kernel, stride, dilation)), axis=-2)  # (N, OH, OW, kh * kw, C)
    assert (rows.reshape(walk.shape) == walk).all()
    top = x[1, stride[0] :: dilation[0], stride[1] :: dilation[1]][: kernel[0], : kernel[1]]
    assert (walk[1, 1, 1] == top.reshape(-1, 3)).all()


def test_a_kernel_that_covers_the_map_is_not_copied():
    x = np.zeros((4, 5, 6, 3), np.float32)
    assert np.shares_memory(patches(x, (5, 6), (1, 1)), x)
