import numpy as np
import pytest

from hwgen.codes import CODES
from hwgen.floatnet import FloatConv, FloatInput, FloatNetwork
from hwgen.quantize import quantize
from hwgen.quantize.gram import as_matrices
from hwgen.quantize.methods import METHODS
from hwgen.quantize.methods.auto import EFFORTS, Auto, Effort, code, plan_efforts
from hwgen.quantize.methods.quadratic import Quadratic

from .problems import LAYERS, problem, real


def conv(name, outputs, inputs):
    weight = np.random.default_rng(0).normal(0, 1, (outputs, 1, 1, inputs))
    return FloatConv(name, "x", weight, np.zeros(outputs), (1, 1, inputs), np.zeros(inputs))


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("name", ["plain", "feedback", "gpfq"])
def test_it_is_at_least_as_good_as_any_of_its_parts(kind, name):
    asked = problem(kind, CODES["pot3"])
    quadratic = Quadratic.of(asked)
    coded = METHODS[name]().coder(None, None)(asked), code(asked, EFFORTS[0])
    errors = [quadratic.error(as_matrices(real(one), asked.layer.groups)) for one in coded]
    # The greedy walk starts around the scales that error feedback found, so that it sees others than it would alone.
    assert errors[1].sum() <= errors[0].sum() + (0.02 * abs(errors[0].sum()) if name == "gpfq" else 1e-9)


def test_the_gain_is_that_of_the_output_noise():
    asked = problem("dense", CODES["pot3"])
    coded = code(asked, EFFORTS[0])
    quadratic = Quadratic.of(asked)
    least = quadratic.error(quadratic.target).sum()
    noise = [quadratic.error(as_matrices(real(one), 1)).sum() - least for one in (code(asked, EFFORTS[-1]), coded)]
    assert coded.gain_db == pytest.approx(10 * np.log10(noise[0] / noise[1]))
    assert coded.gain_db > 3


def test_small_layers_get_everything():
    layers = {name: conv(name, 4, 32) for name in ("a", "b")}
    assert set(plan_efforts(layers, 60).values()) == {EFFORTS[0]}


def test_the_largest_layer_gives_way_first():
    layers = {"small": conv("small", 4, 32), "large": conv("large", 512, 1024)}
    efforts = plan_efforts(layers, 10)
    assert efforts["small"] == EFFORTS[0]
    assert EFFORTS.index(efforts["large"]) > 0


def test_without_time_all_is_rounded_plainly():
    layers = {name: conv(name, 4, 32) for name in ("a", "b")}
    assert set(plan_efforts(layers, 0).values()) == {Effort(0, 0, 0)}


def test_without_time_plain_rounding_says_why():
    network = FloatNetwork("n", (FloatInput("x", (1, 1, 9)),), (conv("dense", 4, 9),), ("dense",))
    pixels = np.random.default_rng(0).integers(0, 256, (50, 1, 1, 9)).astype(np.uint8)
    plain, auto = (quantize(network, pixels, method=method) for method in ("plain", "auto:seconds=0"))
    assert np.array_equal(plain.layers[0].codes, auto.layers[0].codes)
    assert auto.notes == ("dense: auto took plain rounding, because of the time limit.",)


def test_what_it_chose_is_in_the_notes(float_network):
    data = np.random.default_rng(0).integers(0, 256, (30, 8, 9, 2)).astype(np.uint8)
    notes = quantize(float_network(0), data, method="auto").notes
    assert any("conv1, conv2, dense: auto took error feedback" in note and "dB less" in note for note in notes)


def test_a_time_limit_changes_nothing_but_the_effort():
    """A layer is coded as its effort says, whatever the limit was."""
    asked = problem("dense", CODES["pot3"])
    network = FloatNetwork("n", (FloatInput("input", (8, 9, 4)),), (asked.layer,), (asked.layer.name,))
    limits = {}
    for seconds in np.geomspace(1, 1e-6, 100).tolist():
        (effort,) = plan_efforts({asked.layer.name: asked.layer}, seconds).values()
        limits[effort] = seconds
    assert {EFFORTS[0], EFFORTS[-1]} < set(limits)
    for effort, seconds in limits.items():
        found, wanted = Auto(seconds).coder(network, CODES["pot3"])(asked), code(asked, effort)
        assert (found.codes == wanted.codes).all()
        assert found.note == wanted.note


def test_a_walk_is_prepared_only_where_it_is_taken(monkeypatch):
    """Each holds matrices as large as the moments."""
    monkeypatch.setattr("hwgen.quantize.methods.gpfq.rounding", lambda *_: pytest.fail("not needed"))
    assert "error feedback," in code(problem("dense", CODES["pot3"]), Effort(1, 2, 1)).note
    with pytest.raises(pytest.fail.Exception, match="not needed"):
        code(problem("dense", CODES["pot3"]), Effort(2, 2, 1))
