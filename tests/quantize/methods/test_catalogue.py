import numpy as np
import pytest

from hwgen.codes import CODES
from hwgen.errors import HwgenError
from hwgen.quantize import quantize
from hwgen.quantize.methods import DEFAULT_METHOD, METHODS, method_of
from hwgen.quantize.methods.feedback import Feedback
from hwgen.quantize.methods.gpfq import SPFQ


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_a_name_defaults_and_a_text(name):
    recipe = method_of(name)
    assert (recipe.text, [method.name for method in recipe.methods]) == (name, [name])
    assert METHODS[name].__doc__


def test_options():
    assert method_of("feedback:scales=2,passes=1").methods == (Feedback(scales=2, passes=1),)
    assert method_of(" spfq:seed=7 ").methods == (SPFQ(seed=7),)
    assert method_of("feedback").methods == (Feedback(),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("best", "there is no quantization method 'best'; choose one of auto, plain, "),
        ("plain:scales=1", "method 'plain' has no option 'scales'; its options are rounding"),
        ("feedback:speed=1", "method 'feedback' has no option 'speed'; its options are scales, passes"),
        ("feedback:scales=many", "option 'scales' of method 'feedback' must be a whole number, not 'many'"),
        ("auto:seconds=soon", "option 'seconds' of method 'auto' must be a number, not 'soon'"),
        ("", "there is no quantization method ''"),
    ],
)
def test_a_wrong_text_is_one_sentence(text, message):
    with pytest.raises(HwgenError) as caught:
        method_of(text)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_weights_are_rounded_in_one_way(float_network):
    recipe = method_of("plain+feedback")
    with pytest.raises(HwgenError, match=r"rounds weights in 2 ways"):
        recipe.coder(float_network(0), CODES["e2m1"])


def test_the_default_is_one_of_them():
    assert DEFAULT_METHOD in METHODS


def test_the_same_arguments_give_the_same_network(float_network):
    data = np.random.default_rng(0).integers(0, 256, (30, 8, 9, 2)).astype(np.uint8)
    one, two = (quantize(float_network(1), data) for _ in range(2))
    assert all(
        (a.codes == b.codes).all() and (a.requant.add == b.requant.add).all()
        for a, b in zip(one.layers, two.layers, strict=True)
        if hasattr(a, "codes")
    )
