"""A few dozen random networks and models; ``make fuzz`` runs any number."""

import json
from pathlib import Path

import pytest

from .check import Refused, check
from .grow import random_recipe
from .grow_models import random_model

CASES = sorted(Path(__file__).parent.joinpath("cases").glob("*.json"))
"""Recipes that failed once."""


@pytest.mark.parametrize("seed", range(40))
def test_hardware_equals_the_reference(seed):
    found = check(random_recipe(seed))
    assert found is None, f"{found.text}; to shrink it: python -m tests.fuzz --only network --count 1 --seed {seed}"


def test_float_path_equals_onnx_runtime():
    refused = []
    for seed in range(60):
        try:
            found = check(random_model(seed))
        except Refused as refusal:
            refused.append(str(refusal))
            continue
        assert found is None, f"{found.text}; to shrink it: python -m tests.fuzz --only model --count 1 --seed {seed}"
    assert len(refused) <= 6, refused


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_what_failed_once(path):
    found = check(json.loads(path.read_text()))
    assert found is None, found.text
