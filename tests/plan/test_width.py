"""The cost of changing lanes, against what nextpnr packs (8-bit lanes; ``rtl.width.Gearbox`` alone)."""

import pytest

from hwgen.plan.cost import Cost
from hwgen.plan.width import gearbox_cost

PACKED = [
    ("ice40", 1, 8, 133),
    ("ice40", 8, 1, 78),
    ("ice40", 6, 4, 257),
    ("ice40", 4, 6, 274),
    ("ice40", 16, 1, 142),
    ("ecp5", 1, 8, 18),
]
"""Family, lanes in and out, logic cells. Going down alone on ECP5 says little: without a design around it that is
slower, synthesis trades LUTs for speed."""


@pytest.mark.parametrize(("family", "i_lanes", "o_lanes", "packed"), PACKED)
def test_near_what_is_packed(family, i_lanes, o_lanes, packed):
    predicted = gearbox_cost(family, 8, i_lanes, o_lanes)
    assert predicted.bram == 0
    assert abs(predicted.lut - packed) <= max(0.1 * packed, 8)


@pytest.mark.parametrize("family", ["ice40", "ecp5"])
def test_matching_lanes_are_free(family):
    assert gearbox_cost(family, 8, 6, 6) == Cost(0, 0)
    assert 0 < gearbox_cost(family, 8, 2, 6).lut < gearbox_cost(family, 8, 4, 6).lut
