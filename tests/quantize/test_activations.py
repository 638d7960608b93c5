import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgen.expression import Apply, Operation, Variable
from hwgen.floatnet import Fixed, FloatInput, FloatNetwork, FloatTable
from hwgen.interval import Interval
from hwgen.lower import evaluate
from hwgen.quantize.activations import SAMPLE_VALUES, Samples, best_scale, calibrate, collect, input_range

SOURCE = FloatInput("x", (1, 1, 1))


def error(values, interval, scale):
    return float(((values - scale * np.clip(np.floor(values / scale + 0.5), interval.lo, interval.hi)) ** 2).sum())


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 1 << 32), st.integers(2, 8), st.booleans())
def test_never_worse_than_no_clipping_and_near_the_best_of_a_dense_grid(seed, bits, signed):
    rng = np.random.default_rng(seed)
    values = rng.standard_t(3, 2000) * 10 ** rng.uniform(-4, 4)
    values = values if signed else np.maximum(values, 0)
    interval = Interval.of_bits(bits, signed=signed)
    peak = float(np.abs(values).max())
    chosen = error(values, interval, best_scale(values, interval, peak))
    assert chosen <= error(values, interval, peak / interval.hi) * (1 + 1e-9)
    dense = min(error(values, interval, scale) for scale in peak / interval.hi * np.geomspace(1, 1 / 32, 3000))
    assert chosen <= 1.02 * dense


def test_a_dead_tensor_has_a_scale():
    assert best_scale(np.zeros(10), Interval(0, 255), 0.0) == 1.0


@pytest.mark.parametrize(
    ("x", "interval", "scale"),
    [
        (np.array([0, 7, 255], np.uint8), Interval(0, 255), 1.0),
        (np.array([0, 3], np.int8), Interval(-128, 127), 1.0),
        (np.array([0.0, 200.0]), Interval(0, 255), 1.0),
        (np.array([-5.0, 100.0], np.float32), Interval(-128, 127), 1.0),
        (np.array([False, True]), Interval(0, 255), 1.0),
    ],
)
def test_whole_numbers_of_eight_bits_pass_as_they_are(x, interval, scale):
    assert input_range(SOURCE, x) == (interval, scale)


@pytest.mark.parametrize(("lo", "signed"), [(0.0, False), (-1.0, True)])
def test_real_input_is_calibrated(lo, signed):
    x = np.random.default_rng(0).uniform(lo, 1, 10_000)
    interval, scale = input_range(SOURCE, x)
    assert interval == Interval.of_bits(8, signed=signed)
    assert scale == pytest.approx(1 / interval.hi, rel=0.02)


def test_whole_numbers_that_do_not_fit_are_calibrated():
    interval, scale = input_range(SOURCE, np.arange(0, 5000, 7))
    assert interval == Interval(0, 255)
    assert 10 < scale < 25


def test_collect_sees_every_extreme_and_bounds_its_memory(float_network):
    network = float_network(1)
    x = np.random.default_rng(0).normal(0, 1, (3000, 8, 9, 2))
    seen = []
    samples = collect(network, {"input": x}, seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 3000
    for name, output in evaluate(network, x, every=True).items():
        assert (samples[name].lo, samples[name].hi) == (output.min(), output.max())
        assert samples[name].values.size <= SAMPLE_VALUES + len(seen)
        assert np.isin(samples[name].values[:1000], output).all()


def test_signedness_is_a_matter_of_structure_not_of_samples():
    samples = Samples(np.array([0.0, 1.0]), 0.0, 1.0)
    assert calibrate(samples, 4, signed=True)[0] == Interval(-8, 7)
    assert calibrate(samples, 4, signed=False)[0] == Interval(0, 15)


def test_a_format_that_the_model_prescribes_is_not_calibrated():
    source = FloatInput("x", (1, 1, 1), fixed=Fixed(0.25, Interval(-8, 7)))
    assert input_range(source, np.array([0.0, 200.0])) == (Interval(-8, 7), 0.25)


def test_values_that_are_no_numbers_are_left_out(float_network):
    """A logarithm of zero and of negative numbers."""
    log = Apply(Operation.LOG, (Variable(),))
    tables = (FloatTable("some", "x", (1, 1, 1), log), FloatTable("none", "x", (1, 1, 1), _negated(log)))
    network = FloatNetwork("net", (FloatInput("x", (1, 1, 1)),), tables, ("some", "none"))
    samples = collect(network, {"x": np.array([-1.0, 0.0, 1.0, np.e]).reshape(4, 1, 1, 1)})
    assert (samples["some"].lo, samples["some"].hi) == (0, 1)
    assert samples["some"].values.tolist() == [0, 1]
    assert (samples["none"].lo, samples["none"].hi, samples["none"].values.tolist()) == (0, 0, [0])


def _negated(log):
    """The logarithm of ``-abs(x)``: defined nowhere, infinite at 0."""
    magnitude = Apply(Operation.ABS, (Variable(),))
    return Apply(log.operation, (Apply(Operation.NEG, (magnitude,)),))
