"""The published figures of ``benchmarks/place_and_route.py``: the page is made of them, and complete."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def benchmark():
    """The script as a module."""
    path = Path(__file__).parents[2] / "benchmarks" / "place_and_route.py"
    spec = importlib.util.spec_from_file_location("place_and_route_benchmark", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(scope="module")
def result(benchmark):
    return json.loads((benchmark.RESULTS / "place_and_route.json").read_text())


def test_the_page_is_made_of_the_figures(benchmark, result):
    assert (benchmark.RESULTS / "place_and_route.md").read_text() == benchmark.table(result)


def test_every_row_is_a_setting(benchmark, result):
    names = [setting.name for setting in benchmark.SETTINGS]
    assert set(result["rows"]) <= set(names)
    assert all(run["mhz"] > 0 and run["seconds"] > 0 for runs in result["rows"].values() for run in runs)


def test_ratios_are_to_the_default(benchmark):
    run = {"mhz": 100.0, "lut": 10, "ff": 20, "seconds": 40}
    rows = {"default": [run, run | {"mhz": 110.0}, run | {"mhz": 90.0}], "other": [run | {"mhz": 125.0, "seconds": 60}]}
    page = benchmark.table({"versions": {"yosys": "1"}, "rows": rows})
    assert "| default | 3 | 100.0 | 90.0 to 110.0 | 1.000 | 10 | 20 | 1.00 |" in page
    assert "| other | 1 | 125.0 | 125.0 to 125.0 | 1.250 | 10 | 20 | 1.50 |" in page
