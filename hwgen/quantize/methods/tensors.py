"""Several tensors of a short code where one is not enough: OMSE (Choukroun et al. 2019, arXiv 1902.06822).

One tensor is plain rounding, whose scales already are the best of those that hardware can undo. Two or three are added
up with shifts between them, so that their sum is one explicit codebook (:mod:`hwgen.quantize.tensors`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from ...codes import Codebook
from ...errors import HwgenError
from ...floatnet import FloatConv, FloatNetwork
from ..mse import SortedValues
from ..scales import CodedWeights, code_weights
from ..tensors import MAX_TENSORS, Sums, least_noise, pooled, tensor_sums
from .method import Method, option
from .plain import plain
from .problem import Coder, Problem

__all__ = ["Mmse", "allotted"]

MAX_BITS = 5
"""Bits of a code up to which a layer may get several tensors: all that is left of the 8 bits of their sums' code."""


@dataclass(frozen=True)
class Mmse(Method):
    """See the module's text.

    tensors: of every layer, 1 to 3; 1 by default. budget: stored bits per weight, the mean of all layers. With it the
    layers that one tensor approximates worst get more of them, up to ``tensors``, which then is 3 by default.
    """

    name: ClassVar[str] = "mmse"
    keeps_code: ClassVar[bool] = False

    tensors: int | None = option(None, 1, MAX_TENSORS)
    budget: float | None = option(None, 1)

    def coder(self, network: FloatNetwork, codebook: Codebook) -> Coder:
        most = self.tensors or (1 if self.budget is None else MAX_TENSORS)
        if most > 1 and codebook.bits > MAX_BITS:
            raise HwgenError(
                f"several tensors need a code of at most {MAX_BITS} bits, not the {codebook.bits} of {codebook.name}; "
                "choose a shorter code"
            )
        if self.budget is None:
            candidates = {} if most == 1 else dict.fromkeys(_names(network), tensor_sums(codebook, most))
        else:
            candidates = allotted(network, codebook, most, self.budget)

        def code(problem: Problem) -> CodedWeights:
            if most > 1 and problem.codebook != codebook:  # the model's own, or one that was asked for
                return replace(plain(problem), note=f"one tensor only, in codes other than {codebook.name}")
            found = candidates.get(problem.layer.name)
            return plain(problem) if found is None else summed(problem, found)

        return code


def summed(problem: Problem, candidates: tuple[Sums, ...]) -> CodedWeights:
    """The weights of ``problem`` in the one of ``candidates`` that fits them best."""
    values = pooled(problem.weight, problem.importance)
    best = min(candidates, key=lambda sums: least_noise(values, sums.codebook))
    coded = code_weights(problem.weight, best.codebook, problem.ratio, problem.importance)
    note = (
        f"the sum of {best.count} tensors of {best.base.name}, as one code; an engine that adds them up in "
        f"{best.count} passes would need the products of {best.base.name} only"
    )
    return replace(coded, note=note)


def allotted(network: FloatNetwork, codebook: Codebook, most: int, budget: float) -> dict[str, tuple[Sums, ...]]:
    """Layers that get several tensors of ``codebook``, at most ``most``, and among which sums each may choose.

    budget: the mean number of stored bits per weight that is not exceeded. Again and again the one change is made that
    reduces noise most per bit, until none fits; a layer's noise counts relative to its signal, as that is what reaches
    the output of the network. Only the float weights are looked at. Raises :class:`HwgenError` for a budget that one
    tensor exceeds.
    """
    if not budget >= codebook.bits:
        raise HwgenError(
            f"a budget of {budget:g} bits per weight is less than the {codebook.bits} of one tensor of "
            f"{codebook.name}; raise it or choose a shorter code"
        )
    layers = [layer for layer in network.layers if isinstance(layer, FloatConv)]
    free = [layer for layer in layers if layer.coded is None]
    options = {layer.name: _options(pooled(layer.weight), codebook, most) for layer in free}
    sizes = {layer.name: layer.weight.size for layer in free}
    chosen = dict.fromkeys(options, codebook.bits)
    left = (budget - codebook.bits) * sum(layer.weight.size for layer in layers)
    while True:
        changes = [
            ((options[name][chosen[name]][0] - noise) / (sizes[name] * (bits - chosen[name])), name, bits)
            for name in options
            for bits, (noise, _) in options[name].items()
            if bits > chosen[name] and sizes[name] * (bits - chosen[name]) <= left
        ]
        # Of equal changes the first, in the order of the layers.
        gain, name, bits = max(changes, key=lambda change: change[0], default=(0.0, "", 0))
        if gain <= 0:
            break
        left -= sizes[name] * (bits - chosen[name])
        chosen[name] = bits
    return {name: options[name][bits][1] for name, bits in chosen.items() if options[name][bits][1]}


def _options(values: SortedValues, codebook: Codebook, most: int) -> dict[int, tuple[float, tuple[Sums, ...]]]:
    """For each number of bits that a layer's codes may have: the noise of its best sums, and all sums of those bits.

    The codebook itself comes without any. Sums of more tensors replace those of fewer if they are better.
    """
    options: dict[int, tuple[float, tuple[Sums, ...]]] = {codebook.bits: (least_noise(values, codebook), ())}
    for count in range(2, most + 1):
        found: dict[int, list[Sums]] = {}
        for sums in tensor_sums(codebook, count):
            found.setdefault(sums.codebook.bits, []).append(sums)
        for bits, candidates in found.items():
            noise = min(least_noise(values, sums.codebook) for sums in candidates)
            if bits not in options or noise < options[bits][0]:
                options[bits] = noise, tuple(candidates)
    return options


def _names(network: FloatNetwork) -> list[str]:
    return [layer.name for layer in network.layers if isinstance(layer, FloatConv)]
