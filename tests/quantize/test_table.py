from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from hwgen.expression import Apply, Constant, Operation, Variable
from hwgen.floatnet import FloatTable
from hwgen.interval import Interval
from hwgen.network import Tensor
from hwgen.quantize.formats import Format
from hwgen.quantize.table import quantize_table

SOURCE = Tensor("x", (2, 2, 3), Interval(-128, 127), 0.1)
BYTE, SIGNED = Interval(0, 255), Interval(-128, 127)


def table(function, target, source=SOURCE):
    return quantize_table(FloatTable("table", "x", source.shape, function), source, target)


def unary(operation):
    return Apply(operation, (Variable(),))


def test_every_value_is_the_rounded_function():
    found = table(unary(Operation.SIGMOID), Format(BYTE, 1 / 255))
    x = 0.1 * np.arange(-128, 128)
    assert found.values.tolist() == [np.floor(expit(x) * 255 + 0.5).tolist()]
    assert found.output.interval == BYTE
    assert found.output.scale == 1 / 255


def test_ties_round_up():
    values = table(Variable(), Format(SIGNED, 0.5), replace(SOURCE, scale=0.25)).values[0]
    assert values[128 - 3 : 128 + 4].tolist() == [-1, -1, 0, 0, 1, 1, 2]


def test_the_interval_is_that_of_the_values():
    silu = Apply(Operation.MUL, (Variable(), unary(Operation.SIGMOID)))
    found = table(silu, Format(SIGNED, 0.1))
    assert found.output.interval == Interval(-3, 127)


def test_values_saturate():
    found = table(unary(Operation.EXP), Format(BYTE, 0.01))
    assert found.values.max() == 255


def test_a_constant_per_channel_makes_a_row_per_channel():
    slope = Constant(np.array([0.1, 0.1, 0.5]))
    leaky = Apply(Operation.MAX, (Variable(), Apply(Operation.MUL, (Variable(), slope))))
    found = table(leaky, Format(SIGNED, 0.1))
    assert found.values.shape == (3, 256)
    assert found.values[:, 0].tolist() == [-13, -13, -64]
    same = Apply(Operation.MUL, (Variable(), Constant(np.full(3, 0.5))))
    assert table(same, Format(SIGNED, 0.1)).values.shape == (1, 256)


def test_outside_its_domain_a_function_has_the_nearest_value():
    found = table(unary(Operation.LOG), Format(SIGNED, 0.05))
    assert found.values[0, 128] == -128  # the logarithm of zero is minus infinity
    assert (found.values[0, :128] == -128).all()
    assert found.values[0, 129] == np.floor(np.log(0.1) / 0.05 + 0.5)
    root = table(unary(Operation.SQRT), Format(BYTE, 0.1)).values[0]
    assert not root[:129].any()
    gap = Apply(Operation.SQRT, (Apply(Operation.SUB, (unary(Operation.ABS), Constant(np.array(1.0)))),))
    between = table(gap, Format(BYTE, 0.1)).values[0, 128 - 12 : 128 + 13]
    assert (between == between[::-1]).all()
    assert not between[2:-2].any()
    assert between[0] == 4


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_infinity_is_clipped_and_nothing_defined_is_zero(sign):
    inverse = Apply(Operation.DIV, (Constant(np.array(sign)), unary(Operation.ABS)))
    assert table(inverse, Format(SIGNED, 0.1)).values[0, 128] == (127 if sign > 0 else -128)
    nothing = Apply(Operation.LOG, (Constant(np.array(-1.0)),))
    assert not table(nothing, Format(SIGNED, 0.1)).values.any()
