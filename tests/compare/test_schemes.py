"""Lists as text become schemes, and whatever is unknown in them is one sentence."""

import pytest

from hwgen.compare import Scheme, parse_schemes
from hwgen.compare.schemes import labels
from hwgen.errors import HwgenError


def codes(text):
    return [scheme.code for scheme in parse_schemes(text, "plain")]


def methods(text):
    return [scheme.method for scheme in parse_schemes("e2m1", text)]


def test_every_code_with_every_method_and_width():
    found = parse_schemes("e2m1,pot3", "plain,auto", "8,4")
    assert found[:4] == [Scheme("e2m1", way, bits) for way in ("plain", "auto") for bits in (8, 4)]
    assert [scheme.code for scheme in found] == ["e2m1"] * 4 + ["pot3"] * 4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("e2m1,pot4", ["e2m1", "pot4"]),
        (" e2m1 , POT4,, ", ["e2m1", "pot4"]),
        ("e2m1 pot4 e2m1,int4", ["e2m1", "pot4", "int4"]),
        ("0,1,-1,3", ["0,1,-1,3"]),
        ("e2m1,own 1,-1,nozero pot3", ["e2m1", "own", "1,-1,nozero", "pot3"]),
    ],
)
def test_codes(text, expected):
    assert codes(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain,feedback", ["plain", "feedback"]),
        ("plain feedback plain", ["plain", "feedback"]),
        ("plain,mmse:tensors=2,budget=5,feedback", ["plain", "mmse:tensors=2,budget=5", "feedback"]),
        ("mmse:tensors=2 mmse:tensors=3", ["mmse:tensors=2", "mmse:tensors=3"]),
        ("equalise + feedback,plain", ["equalise+feedback", "plain"]),
        ("mmse:tensors=2,budget=5+equalise,plain", ["mmse:tensors=2,budget=5+equalise", "plain"]),
    ],
)
def test_methods(text, expected):
    assert methods(text) == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("e9m9", "plain"), "code 'e9m9' is not known"),
        (("e2m1,pot44", "plain"), "code 'pot44' is not known"),
        (("e2m1", "plain,magic"), "no quantization method 'magic'"),
        (("e2m1", "plain:depth=3"), "method 'plain' has no option 'depth'"),
        (("e2m1", "mmse:tensors=many"), "must be a whole number, not 'many'"),
        (("e2m1", "plain", "9"), "activation bits must be 2 to 8, or several of them between commas, not '9'"),
        (("e2m1", "plain", "8,x"), "not 'x'"),
        ((" , ", "plain"), "there are no codes to compare"),
        (("e2m1", ""), "there are no methods to compare"),
        (("e2m1", "plain", ","), "there are no activation bits to compare"),
    ],
)
def test_what_is_not_known(arguments, message):
    with pytest.raises(HwgenError, match=message):
        parse_schemes(*arguments)


def test_labels_say_what_differs():
    assert labels(parse_schemes("e2m1,pot3", "plain")) == ["e2m1", "pot3"]
    assert labels(parse_schemes("e2m1", "plain,auto")) == ["e2m1 plain", "e2m1 auto"]
    several = parse_schemes("e2m1,pot3", "plain,auto", "8,4")
    assert labels(several)[1] == "e2m1 plain, 4-bit activations"
    assert len(set(labels(several))) == len(several)
