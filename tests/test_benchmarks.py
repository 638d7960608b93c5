"""The published accuracies: what is in ``benchmarks/results`` meets the goals in ``benchmarks/accuracy.py``."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def accuracy():
    """The script as a module; it imports ``tests.real_models`` from the root of the repository."""
    sys.path.insert(0, str(ROOT))
    try:
        spec = importlib.util.spec_from_file_location("accuracy_benchmark", ROOT / "benchmarks" / "accuracy.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(ROOT))
        sys.modules.pop("accuracy_benchmark", None)


@pytest.fixture(scope="module")
def rows(accuracy):
    return json.loads((accuracy.RESULTS / "accuracy.json").read_text())


def test_every_goal_was_measured_and_met(accuracy, rows):
    judged = {key: goal for key, row in rows.items() if (goal := accuracy.goal_of(row)) is not None}
    expected = {case.key for case in accuracy.cases(["goals"]) if case.method == "auto"}
    assert expected | {"resnet20 e2m1 auto act_bits=4"} == set(judged)
    assert all(met for _, met in judged.values()), {key: goal for key, goal in judged.items() if not goal[1]}


def test_the_page_is_made_of_the_figures(accuracy, rows):
    assert (accuracy.RESULTS / "accuracy.md").read_text() == accuracy.markdown(rows)


def test_calibration_never_sees_what_judges(accuracy, rows):
    assert all(row["calibration_samples"] <= accuracy.MAX_CALIBRATION for row in rows.values())


def test_a_missed_goal_is_seen(accuracy, rows):
    row = rows["resnet8 pot3 auto"]
    assert accuracy.goal_of({**row, "points": -3.1})[1] is False
    assert "**missed**" in accuracy.markdown({"resnet8 pot3 auto": {**row, "points": -3.1}})
