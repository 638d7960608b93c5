"""Every option of every method: its lowest value is fine, what lies outside its range is refused in one sentence."""

from dataclasses import fields
from math import inf, nextafter

import numpy as np
import pytest

from hwgen.errors import HwgenError
from hwgen.quantize.methods import METHODS, Method, method_of
from hwgen.quantize.methods.method import Choice, Range

OPTIONS = [(kind, option) for kind in METHODS.values() for option in fields(kind)]
NUMBERS = [(kind, option) for kind, option in OPTIONS if isinstance(option.metadata.get("values"), Range)]
WORDS = [(kind, option) for kind, option in OPTIONS if isinstance(option.metadata.get("values"), Choice)]


def named(value):
    return value.__name__ if isinstance(value, type) else value.name


def whole(option):
    return option.type.startswith("int")


def refused(kind, option, value):
    """The one sentence that both the class and the text say."""
    name = option.name
    with pytest.raises(HwgenError, match=f"^option '{name}' of method '{kind.name}' must be [^\n]*$") as by_class:
        kind(**{name: value})
    with pytest.raises(HwgenError, match=f"^option '{name}' of method '{kind.name}' must be [^\n]*$"):
        method_of(f"{kind.name}:{name}={value}")
    return str(by_class.value)


def test_every_option_says_what_it_may_be():
    """But for one, which has a syntax of its own."""
    bare = [(kind.name, option.name) for kind, option in OPTIONS if (kind, option) not in NUMBERS + WORDS]
    assert bare == [("deviation", "prune")]
    assert len(NUMBERS) > 20


@pytest.mark.parametrize(("kind", "option"), NUMBERS, ids=named)
def test_numbers(kind: type[Method], option):
    values = option.metadata["values"]
    lowest = int(values.low) if whole(option) else values.low
    (method,) = method_of(f"{kind.name}:{option.name}={lowest}").methods
    assert method == kind(**{option.name: lowest})
    below = lowest - 1 if whole(option) else nextafter(lowest, -inf)
    assert refused(kind, option, below).endswith(f"must be {values}, not {below!r}")
    refused(kind, option, float("nan"))
    refused(kind, option, "some")
    if values.high < inf:
        kind(**{option.name: type(lowest)(values.high)})
        refused(kind, option, type(lowest)(values.high) + 1)


@pytest.mark.parametrize(("kind", "option"), [(k, o) for k, o in NUMBERS if whole(o)], ids=named)
def test_whole_numbers(kind, option):
    lowest = option.metadata["values"].low
    refused(kind, option, lowest + 0.5)
    kind(**{option.name: np.int64(lowest)})


@pytest.mark.parametrize(("kind", "option"), WORDS, ids=named)
def test_words(kind, option):
    words = option.metadata["values"].words
    assert [getattr(method_of(f"{kind.name}:{option.name}={word}").methods[0], option.name) for word in words] == [
        *words
    ]
    assert refused(kind, option, "other").endswith(f"must be {' or '.join(words)}, not 'other'")


@pytest.mark.parametrize(("kind", "option"), OPTIONS, ids=named)
def test_an_option_is_given_once(kind, option):
    value = {"str": "0.5" if option.name == "prune" else option.default}.get(option.type.split(" ")[0], 1)
    with pytest.raises(HwgenError, match=f"option '{option.name}' of method '{kind.name}' is given twice"):
        method_of(f"{kind.name}:{option.name}={value},{option.name}={value}")


def test_a_plus_inside_a_number_joins_nothing():
    assert method_of("auto:seconds=1e+3").methods == method_of("auto:seconds=1000").methods
    recipe = method_of("equalise:sweeps=2 + auto:seconds=+1e+1")
    assert [method.name for method in recipe.methods] == ["equalise", "auto"]
    assert recipe.rewriting == "equalise:sweeps=2"
