import numpy as np

from hwgen.interval import Interval
from hwgen.network import Concat, Rescale, Tensor
from hwgen.reference.concat import concat

SHAPES = ((1, 2, 1), (1, 2, 2))


def joined(*rescale):
    return Concat("concat", ("a", "b"), SHAPES, rescale, Tensor("concat", (1, 2, 3), Interval(-8, 15), 1.0))


def test_channels_follow_each_other():
    a, b = np.array([[[[1], [2]]]], np.uint8), np.array([[[[3, 4], [5, 6]]]], np.int64)
    out = concat(joined(None, None), a, b)
    assert out.tolist() == [[[[1, 3, 4], [2, 5, 6]]]]
    assert out.dtype == np.int32


def test_each_source_has_its_own_rescaling():
    a, b = np.array([[[[1], [-7]]]]), np.array([[[[3, -4], [5, 100]]]])
    # b becomes three quarters of itself: 2.25, -3, 3.75 and 75, which saturates.
    out = concat(joined(None, Rescale(3, 2, 2, -8, 15)), a, b)
    assert out.tolist() == [[[[1, 2, -3], [-7, 4, 15]]]]
