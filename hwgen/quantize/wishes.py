"""What is asked for single layers: their codes, by name or out of a budget, and the bits of their outputs."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import replace

from ..codes import Codebook, codebook
from ..errors import HwgenError
from ..floatnet import FloatConv, FloatNetwork
from .formats import Sharing
from .frames import Frames
from .precision import CodeBudget, choosable, choose_codes

__all__ = ["bit_widths", "book_of_code", "codebooks", "without_codes"]

MAX_LEVEL = 1 << 16
"""The largest level of a code: four times that of PoT5. With larger ones the requantization runs out of shift."""


def book_of_code(code: str | Codebook) -> Codebook:
    """The codebook of a code; :class:`HwgenError` for one that is not known or has levels too large."""
    book = code if isinstance(code, Codebook) else codebook(code)
    if book.max_level > MAX_LEVEL:
        raise HwgenError(f"levels of a code must be at most {MAX_LEVEL}, not {book.max_level}; use smaller levels")
    return book


def without_codes(network: FloatNetwork, names: Container[str]) -> FloatNetwork:
    """``network`` in which the layers called ``names`` hold no codes of the model's: they get others."""
    layers = [
        replace(layer, coded=None) if isinstance(layer, FloatConv) and layer.name in names else layer
        for layer in network.layers
    ]
    return replace(network, layers=tuple(layers))


def codebooks(
    network: FloatNetwork, frames: Frames, wanted: Mapping[str, str | Codebook], budget: CodeBudget | None
) -> dict[str, Codebook]:
    """The codes of those layers that do not have the common one."""
    bare = {layer.name for layer in network.layers if not isinstance(layer, FloatConv)}
    _check_names(network, wanted)
    for name in wanted:
        if name in bare:
            raise HwgenError(f"layer {name!r} has no weights, so it can have no code")
    forced = {name: book_of_code(code) for name, code in wanted.items()}
    if budget is None:
        return forced
    return choose_codes(
        network, frames, [book_of_code(code) for code in budget.codes], budget.budget, budget.costs, forced
    )


def bit_widths(network: FloatNetwork, wanted: Mapping[str, int]) -> dict[str, int]:
    """``wanted``, the bits of single tensors, for all that share a format with them."""
    _check_names(network, wanted)
    groups = {group[0]: group for group in choosable(network)}
    leaders = Sharing(network).leaders()
    for name in wanted:
        if name not in groups:
            why = "the network's outputs and the formats that a model prescribes have none to choose"
            where = leaders[name] if leaders[name] != name and leaders[name] in groups else None
            raise HwgenError(
                f"the bits of layer {name!r} cannot be chosen: " + (f"they are those of {where!r}" if where else why)
            )
    return {member: bits for name, bits in wanted.items() for member in groups[name]}


def _check_names(network: FloatNetwork, names: Iterable[str]) -> None:
    known = {layer.name for layer in network.layers}
    for name in names:
        if name not in known:
            raise HwgenError(f"there is no layer {name!r}; `hwgen check` lists the layers of a model")
