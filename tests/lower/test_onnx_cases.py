"""ONNX's own node tests: every case of a supported operator either agrees or is refused in a sentence."""

import warnings
from collections import Counter

import pytest

from hwgen.errors import HwgenError
from hwgen.lower import OPERATORS, ending, quantizers

from .cases import agrees, cases

TESTED = frozenset(OPERATORS) - ending.OPERATORS.keys() - quantizers.OPERATORS.keys()
"""Operators at the end are left away, and quantizers hold codes where hwgen holds values: both have their own tests."""

BFLOAT16 = frozenset({"test_cast_FLOAT_to_BFLOAT16", "test_castlike_FLOAT_to_BFLOAT16_expanded"})
"""Rounded to 8 bits, which the float path does not do."""

AGREEING = {0.0: 265, 0.375: 314}
"""Cases that agree, at least, as they are and behind a pending offset (which makes of data movement a network)."""


@pytest.fixture(scope="module", params=[0.0, 0.375], ids=["plain", "shifted"])
def results(request, tmp_path_factory):
    """Of each case: True, False, or the sentence that refuses it."""
    folder = tmp_path_factory.mktemp("cases")
    found = {}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="onnx")
        listed = list(cases(TESTED, request.param))
    for case in listed:
        try:
            found[case.name] = agrees(case, folder)
        except HwgenError as error:
            found[case.name] = str(error)
    return request.param, found


def test_every_case_agrees_or_is_refused(results):
    shift, results = results
    wrong = [name for name, result in results.items() if result is False]
    assert set(wrong) <= BFLOAT16
    assert sum(result is True for result in results.values()) >= AGREEING[shift]


def test_refusals_have_a_reason_that_hwgen_knows(results):
    """The kinds of refusals, so that a new one is noticed."""
    _, results = results
    known = {
        "3d": "only maps (N, C, H, W) and (N, C, L) are supported",
        "batch": "a batch of",
        "nothing": "the model has no layer that computes something",
        "order": "the output is a rearranged map",
        "memory": "which needs a memory for the whole map",
        "pixels": "is not the same for every pixel",
        "product": "would need a multiplier",
        "joined": "it joins different tensors",
        "axis": "only the axis of channels",
        "axes": "are not supported, only height and width",
        "interpolation": "is not supported, only mode=nearest",
        "aspect": "only keep_aspect_ratio_policy=stretch",
        "type": "only casts to a float type",
        "input": "export the model with a f",
        "indices": "the indices, is not supported",
        "training": "training_mode=1 is not supported",
        "matrix": "must be one matrix",
        "operands": "it multiplies two tensors that depend on the input",
        "clip": "above its maximum",
        "empty": "is empty",
        "ended": "supported only at the end",
    }
    reasons = {name: result for name, result in results.items() if isinstance(result, str)}
    unknown = {name: reason for name, reason in reasons.items() if not any(part in reason for part in known.values())}
    assert unknown == {}
    counts = Counter(kind for reason in reasons.values() for kind, part in known.items() if part in reason)
    assert counts["product"] < 20
