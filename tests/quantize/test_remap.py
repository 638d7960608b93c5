import numpy as np
import pytest

from hwgen.floatnet import FloatRemap
from hwgen.interval import Interval
from hwgen.network import Tensor
from hwgen.quantize.notes import remarks
from hwgen.quantize.remap import quantize_remap
from hwgen.reference.remap import remap

SOURCE = Tensor("x", (2, 2, 1), Interval(0, 40), 0.5)


def pad(fill):
    """One column more at the right."""
    columns, zero = np.array([0, 1, -1]), np.zeros(2, int)
    return FloatRemap("pad", "x", SOURCE.shape, np.arange(2), zero, columns, zero[:1], fill)


@pytest.mark.parametrize(("fill", "integer"), [(0.0, 0), (1.2, 2), (1.25, 3), (20.2, 40)])
def test_the_fill_is_in_units_of_the_source(fill, integer):
    layer = quantize_remap(pad(fill), SOURCE)
    x = np.arange(4).reshape(1, 2, 2, 1)
    assert remap(layer, x).reshape(2, 3).tolist() == [[0, 1, integer], [2, 3, integer]]
    assert (layer.output.interval, layer.output.scale) == (SOURCE.interval, SOURCE.scale)
    assert remarks([(pad(fill), layer)]) == ()


def test_a_fill_that_the_source_cannot_hold_is_the_nearest_value_and_remarked():
    model = pad(-3.0)
    layer = quantize_remap(model, SOURCE)
    assert layer.fill == 0
    assert remarks([(model, layer)]) == (
        "pad: the fill value lies outside the values of the tensor that is filled and becomes the nearest of them.",
    )
