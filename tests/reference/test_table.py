import numpy as np

from hwgen.interval import Interval
from hwgen.network import Table, Tensor
from hwgen.reference.table import table

INTERVAL = Interval(-2, 1)
X = np.array([[[[-2, 1], [0, -1]]]])


def layer(values):
    return Table("table", "x", np.array(values), Tensor("table", (1, 2, 2), Interval(0, 99), 1.0))


def test_one_row_for_all_channels():
    out = table(layer([[10, 11, 12, 13]]), INTERVAL, X)
    assert out.tolist() == [[[[10, 13], [12, 11]]]]
    assert out.dtype == np.int32


def test_one_row_per_channel():
    assert table(layer([[10, 11, 12, 13], [20, 21, 22, 23]]), INTERVAL, X).tolist() == [[[[10, 23], [12, 21]]]]
