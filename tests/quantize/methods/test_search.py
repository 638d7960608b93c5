import numpy as np
import pytest

from hwgen.codes import CODES
from hwgen.network import MANTISSAS
from hwgen.quantize.gram import as_matrices
from hwgen.quantize.methods import search
from hwgen.quantize.methods.feedback import rounding
from hwgen.quantize.methods.plain import plain
from hwgen.quantize.methods.quadratic import Quadratic
from hwgen.quantize.methods.search import neighbours, searched
from hwgen.quantize.requant import KMAX

from .problems import LAYERS, problem, real


def errors(asked, *coded):
    quadratic = Quadratic.of(asked)
    return [quadratic.error(as_matrices(real(one), asked.layer.groups)) for one in coded]


def solved(asked, scales=6, passes=3):
    start, quadratic = plain(asked), Quadratic.of(asked)
    return searched(asked, start, quadratic, rounding(quadratic, start.codebook), scales, passes)


def test_neighbours_are_the_next_factors_of_the_grid():
    assert neighbours(np.array([9, 16]), 2).T.tolist() == [[8, 8, 9, 10, 12], [14, 15, 16, 18, 20]]
    last = MANTISSAS[-1] << KMAX
    assert neighbours(np.array([last]), 1).ravel().tolist() == [MANTISSAS[-2] << KMAX, last, last]


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("code", ["pot3", "e2m1", "int4", "pot3-nozero"])
def test_more_work_is_never_worse_in_any_channel(kind, code):
    asked = problem(kind, CODES[code])
    steps = [plain(asked), solved(asked, 0, 0), solved(asked, 0, 3), solved(asked, 4, 3)]
    first, *rest = errors(asked, *steps)
    assert all((error <= first + 1e-9 * abs(first)).all() for error in rest)
    assert rest[-1].sum() < rest[0].sum()
    assert (rest[-1] <= rest[1] + 1e-9 * abs(rest[1])).all()


@pytest.mark.parametrize("kind", LAYERS)
def test_scales_stay_on_the_grid(kind):
    coded = solved(problem(kind, CODES["e2m1"]))
    assert coded.weight_scale == pytest.approx(coded.mul / 2.0**coded.shift, rel=1e-15)
    assert (coded.mul < 1 << KMAX + 4).all()
    assert {int(m) >> int(m).bit_length() - 4 for m in coded.mul} <= set(MANTISSAS)


def test_batches_change_nothing(monkeypatch):
    asked = problem("grouped", CODES["e2m1"])
    together = solved(asked)
    monkeypatch.setattr(search, "VALUES", 1)
    assert (solved(asked).codes == together.codes).all()
