"""The methods by name, and the text of ``--method``: ``name``, ``name:option=value,...``, several joined by ``+``."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace

from ...codes import Codebook
from ...errors import HwgenError
from ...floatnet import FloatNetwork
from ..rewrite import Equalise, Factorise, Split
from .auto import Auto
from .deviation import Deviation
from .feedback import Feedback
from .fixing import Fixing
from .gpfq import GPFQ, SPFQ
from .layering import Layering
from .method import Method
from .plain import Plain
from .problem import Coder
from .sawb import Sawb
from .shift import Shift
from .tensors import Mmse
from .weight_pool import WeightPool

__all__ = ["DEFAULT_METHOD", "METHODS", "Recipe", "method_of"]

METHODS: dict[str, type[Method]] = {
    method.name: method
    for method in (
        *(Auto, Plain, Feedback, GPFQ, SPFQ, Mmse, Sawb, Deviation, Shift, Fixing, WeightPool, Layering),
        *(Equalise, Split, Factorise),
    )
}
"""Every method that ``--method`` knows."""

DEFAULT_METHOD = "auto"
"""The method that is used when none is asked for."""


@dataclass(frozen=True)
class Recipe:
    """Methods that go together: any number that rewrite the network, in order, and one that codes its weights."""

    text: str
    methods: tuple[Method, ...]

    @property
    def rewriting(self) -> str:
        """The text of those that rewrite the network; empty if none does."""
        parts = zip(_parts(self.text), self.methods, strict=True)
        return "+".join(part for part, method in parts if type(method).rewrite is not Method.rewrite)

    @property
    def keeps_code(self) -> bool:
        """Whether every layer gets the code that it is asked to have."""
        return all(method.keeps_code for method in self.methods)

    def rewrite(self, network: FloatNetwork, codebook: Codebook) -> FloatNetwork:
        """``network`` as all of them rewrite it, one after the other. A note names those that changed nothing."""
        for method in self.methods:
            before, network = network, method.rewrite(network, codebook)
            if network is before and type(method).rewrite is not Method.rewrite:
                network = replace(network, notes=(*network.notes, f"{method.name} found nothing to rewrite."))
        return network

    def coder(self, network: FloatNetwork, codebook: Codebook) -> Coder:
        """The coder of the one that has one, else the default's. ``network`` is already rewritten."""
        coders = [coder for method in self.methods if (coder := method.coder(network, codebook)) is not None]
        if len(coders) > 1:
            raise HwgenError(f"method {self.text!r} rounds weights in {len(coders)} ways; give only one of them")
        default = METHODS[DEFAULT_METHOD]().coder(network, codebook)
        assert default is not None
        return coders[0] if coders else default


def method_of(text: str | Recipe) -> Recipe:
    """The recipe written as ``text``; :class:`HwgenError` for a name, an option or a value that does not exist."""
    if isinstance(text, Recipe):
        return text
    return Recipe(text, tuple(_method(part) for part in _parts(text)))


def _parts(text: str) -> list[str]:
    """The texts of the methods that ``text`` joins. A ``+`` with no name behind it may be part of a number: 1e+3."""
    return [part.strip() for part in re.split(r"\+(?=\s*[A-Za-z])", text)]


def _method(text: str) -> Method:
    name, _, options = text.partition(":")
    if name not in METHODS:
        raise HwgenError(f"there is no quantization method {name!r}; choose one of {', '.join(METHODS)}")
    kind = METHODS[name]
    types = {field.name: field.type for field in fields(kind)}
    given: dict[str, int | float | str] = {}
    for option in filter(None, options.split(",")):
        key, _, value = option.partition("=")
        if key not in types:
            known = f"its options are {', '.join(types)}" if types else "it has no options"
            raise HwgenError(f"method {name!r} has no option {key!r}; {known}")
        if key in given:
            raise HwgenError(f"option {key!r} of method {name!r} is given twice; leave one of them")
        given[key] = _value(name, key, value, str(types[key]))
    return kind(**given)


def _value(name: str, key: str, text: str, kind: str) -> int | float | str:
    """``text`` as what the field's annotation says: int, float or str."""
    convert = {"int": int, "float": float}.get(kind.split(" ")[0], str)
    try:
        return convert(text)
    except ValueError:
        what = "a whole number" if convert is int else "a number"
        raise HwgenError(f"option {key!r} of method {name!r} must be {what}, not {text!r}") from None
