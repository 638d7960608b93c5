"""The float network that is quantized in the end: clips where values are made, and rewritten as methods want it."""

from __future__ import annotations

from collections.abc import Mapping

from ..codes import Codebook, codebook
from ..floatnet import FloatNetwork
from ..network import Rewriting, Tensor
from .clips import push_clips
from .coded import DEFAULT, OWN, without_wide_codes
from .methods import Recipe, method_of

__all__ = ["prepared", "prepared_again"]


def prepared(
    network: FloatNetwork, inputs: Mapping[str, Tensor], book: Codebook, *, own: bool, recipe: Recipe
) -> FloatNetwork:
    """``network`` as :func:`~hwgen.quantize.quantize` walks it: a layer for each of the quantized network's.

    inputs: the network's input tensors by name; own: whether codes that the model holds stay however wide they are.
    """
    return recipe.rewrite(push_clips(network if own else without_wide_codes(network, book.bits), inputs), book)


def prepared_again(network: FloatNetwork, inputs: Mapping[str, Tensor], rewriting: Rewriting | None) -> FloatNetwork:
    """The same for a network that was quantized before: rewriting depends on nothing but the model and the code."""
    if rewriting is None:
        return push_clips(network, inputs)
    own = rewriting.code == OWN
    book = codebook(DEFAULT if own else rewriting.code)
    return prepared(network, inputs, book, own=own, recipe=method_of(rewriting.methods))
