import numpy as np
import pytest

from hwgen.codes import CODES
from hwgen.floatnet import FloatConv, FloatInput, FloatNetwork
from hwgen.quantize import quantize
from hwgen.quantize.gram import as_matrices
from hwgen.quantize.methods import rows as module
from hwgen.quantize.methods.gpfq import rounding
from hwgen.quantize.methods.plain import plain
from hwgen.quantize.methods.quadratic import Quadratic
from hwgen.quantize.methods.rows import Rows, coded_on_rows, is_wide

from .problems import LAYERS, problem, real

ALL = 1 << 20


def both(kind, code="e2m1"):
    """The same error by moments and by all rows, plain levels and their scales."""
    asked = problem(kind, CODES[code])
    coded = plain(asked)
    levels = as_matrices(CODES[code].decode(coded.codes), asked.layer.groups).astype(np.int64)
    return (
        asked,
        Quadratic.of(asked),
        Rows.of(asked, ALL),
        levels,
        coded.weight_scale.reshape(asked.layer.groups, 1, -1),
    )


@pytest.mark.parametrize("kind", LAYERS)
def test_all_rows_say_what_the_moments_say(kind):
    _, quadratic, rows, levels, scale = both(kind)
    weights = [levels * scale, 0.5 * levels * scale, rows.weight]
    one, other = ([judge.error(weight) for weight in weights] for judge in (quadratic, rows))
    for index in (1, 2):
        assert one[index] - one[0] == pytest.approx(other[index] - other[0], rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("code", ["pot3", "e2m1", "pot3-nozero"])
def test_descent_and_walk_are_those_on_the_moments(kind, code):
    asked, quadratic, rows, levels, scale = both(kind, code)
    book = CODES[code]
    assert (quadratic.descend(levels, scale, book, 2) == rows.descend(levels, scale, book, 2)).all()
    assert (rounding(asked, book)(scale) == rows.follow(scale, book)).all()


def test_candidates_side_by_side_are_treated_like_one_by_one():
    _, _, rows, levels, scale = both("grouped")
    book, half = CODES["e2m1"], scale / 2
    together = np.concatenate([scale, half], axis=2)
    walks = [rows.follow(one, book) for one in (scale, half)]
    assert (rows.follow(together, book) == np.concatenate(walks, axis=2)).all()
    errors = [rows.error(levels * one) for one in (scale, half)]
    assert rows.error(np.tile(levels, (1, 1, 2)) * together) == pytest.approx(np.concatenate(errors, axis=1))


@pytest.mark.parametrize("kind", LAYERS)
def test_few_rows_still_gain(kind):
    asked = problem(kind, CODES["pot3"])
    quadratic = Quadratic.of(asked)
    rows = Rows.of(asked, 200)
    assert rows.quantized.shape[2] == 200
    module_values = 200 * asked.inputs * asked.layer.groups
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "VALUES", module_values)
        coded = coded_on_rows(asked, 3, 2)
    before, after = (quadratic.error(as_matrices(real(one), asked.layer.groups)).sum() for one in (plain(asked), coded))
    assert after < before


@pytest.mark.parametrize(
    ("method", "note"),
    [
        ("feedback", "path following on samples, because of many inputs"),
        ("gpfq", "path following on samples, because of many inputs"),
        ("auto", "auto took path following on samples, 13 scales, 3 rounds of descent, because of many inputs"),
        ("spfq", "plainly rounded, because of many inputs"),
    ],
)
def test_wide_layers_are_walked_on_samples(monkeypatch, method, note):
    monkeypatch.setattr(module, "MAX_MOMENTS", 80)
    rng = np.random.default_rng(0)
    weight = rng.normal(0, 1, (4, 1, 1, 9))
    model = FloatConv("dense", "x", weight, np.zeros(4), (1, 1, 9), np.zeros(9))
    network = FloatNetwork("n", (FloatInput("x", (1, 1, 9)),), (model,), ("dense",))
    pixels = (rng.integers(0, 256, (200, 1, 1, 3)) @ rng.integers(0, 2, (3, 9)) // 3).astype(np.uint8)
    plainly, walked = (quantize(network, pixels, code="pot3", method=name) for name in ("plain", method))
    assert np.array_equal(plainly.layers[0].codes, walked.layers[0].codes) == (method == "spfq")
    assert walked.notes == (f"dense: {note}.",)


def test_a_layer_is_wide_by_the_moments_of_all_its_groups():
    def layer(groups, inputs):
        shape = (1, 1, groups * inputs)
        weight = np.zeros((groups, 1, 1, inputs))
        return FloatConv("one", "x", weight, np.zeros(groups), shape, np.zeros(shape[2]), groups=groups)

    for groups, most in ((1, 4096), (4, 2048), (64, 512)):
        assert not is_wide(layer(groups, most))
        assert is_wide(layer(groups, most + 1))
