"""The cost model's error on the measurements in ``benchmarks/results``, and that they are of this model."""

import importlib.util
import statistics
from pathlib import Path
from types import ModuleType

import pytest

from hwgen.plan.cost import COEFFICIENTS, SHELL, block_rams, layer_cost, lut_features

FILE = Path(__file__).parents[2] / "benchmarks" / "cost_model.py"

# What the fit reaches, rounded up: median and largest error of the LUTs.
LUT_ERROR = {"ecp5": (0.045, 0.19), "ice40": (0.03, 0.145)}
"""Median and largest relative error; the largest are those of engines of a few hundred LUTs."""


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("cost_model", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module", params=LUT_ERROR)
def measured(request, benchmark):
    """Family, and for every engine its measurement beside its layer, source and folding."""
    rows = benchmark.stored(request.param)["rows"]
    return request.param, [(row, *what) for row, (_, *what) in zip(rows, benchmark.cases(), strict=True)]


def test_luts_are_predicted(measured):
    family, rows = measured
    assert len(rows) > len(COEFFICIENTS[family])
    errors = [abs(layer_cost(*what, family).lut / row["lut"] - 1) for row, *what in rows]
    median, largest = LUT_ERROR[family]
    assert statistics.median(errors) <= median
    assert max(errors) <= largest


def test_block_rams_are_predicted(measured):
    """Never too few; on iCE40 the queue is counted even where it is so shallow that synthesis takes registers."""
    family, rows = measured
    for row, layer, source, folding in rows:
        spare = layer_cost(layer, source, folding, family).bram - row["bram"]
        queue = block_rams(family, folding.lanes * layer.output.interval.bits, 16) if family == "ice40" else 0
        assert spare in (0, queue), row["engine"]
    assert sum(row["bram"] == row["bram_predicted"] for row, *_ in rows) >= 0.9 * len(rows)


def test_the_table_shows_this_model(measured):
    """After new coefficients: ``benchmarks/cost_model.py --family ... --stored --write``."""
    family, rows = measured
    for row, *what in rows:
        cost = layer_cost(*what, family)
        assert (row["lut_predicted"], row["bram_predicted"]) == (cost.lut, cost.bram), row["engine"]


def test_every_coefficient_counts_something(measured):
    family, rows = measured
    assert {name for _, *what in rows for name in lut_features(*what)} == set(COEFFICIENTS[family])


def test_the_shell_is_the_measured_one(measured, benchmark):
    family, _ = measured
    assert benchmark.stored(family)["shell"] == vars(SHELL[family])
