"""Nested codes: one stored network that is several, of fewer bits each (:mod:`hwgen.quantize.layering`)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ...codes import Codebook
from ...errors import HwgenError
from ...floatnet import FloatNetwork
from ..layering import CODE_BITS, nesting_of, nestings
from ..mse import SortedValues
from ..requant import exponent_grid, nearest_factor
from ..scales import OCTAVES_BELOW, CodedWeights, on_grid, with_levels
from ..tensors import least_noise, pooled
from .method import Method, option
from .plain import plain
from .problem import Coder, Problem
from .saturation import without_zeros

__all__ = ["Layering", "nested", "shared_scales"]


@dataclass(frozen=True)
class Layering(Method):
    """Codes that are chains of codes of the base, the most significant first, as many as 8 bits hold.

    terms: how many of them are kept; all by default. Weights are rounded as if all were kept, so that a network with
    fewer terms is the one that ``hwgen drop`` makes of one with more.
    """

    name: ClassVar[str] = "layering"
    keeps_code: ClassVar[bool] = False

    terms: int | None = option(None, 1, CODE_BITS)

    def coder(self, network: FloatNetwork, codebook: Codebook) -> Coder:
        most = CODE_BITS // codebook.bits
        if most < 2:
            raise HwgenError(
                f"layering needs a code of at most {CODE_BITS // 2} bits, not the {codebook.bits} of {codebook.name}; "
                "choose a shorter code"
            )
        if all(nesting_of(nesting.codebook) is None for nesting in nestings(codebook, most)):
            raise HwgenError(f"layering needs a code that --code can name, not {codebook.name!r}; list its levels")
        terms = most if self.terms is None else self.terms
        if not 1 <= terms <= most:
            raise HwgenError(
                f"layering has 1 to {most} terms of the {codebook.bits} bits of {codebook.name}, not {terms}"
            )

        def code(problem: Problem) -> CodedWeights:
            if problem.codebook != codebook:  # the model's own, or one that was asked for
                return replace(plain(problem), note=f"not nested, in codes other than {codebook.name}")
            return nested(problem, most, terms)

        return code


def nested(problem: Problem, terms: int, kept: int) -> CodedWeights:
    """The weights of ``problem`` in codes of ``terms`` terms of its codebook, cut down to the first ``kept``."""
    base = problem.codebook
    values = pooled(problem.weight, problem.importance)
    whole = min(nestings(base, terms), key=lambda nesting: least_noise(values, nesting.codebook))
    books = [replace(whole, kept=count).codebook for count in range(1, terms + 1)]
    scale = shared_scales(problem.weight, books, problem.ratio, problem.importance)
    if base.zero_free:
        scale = without_zeros(scale, problem.ratio)
    mul, shift = on_grid(scale, problem.ratio)
    on = problem.ratio * mul / 2.0**shift
    codes = whole.codebook.encode(whole.codebook.nearest(problem.weight / on[:, None, None, None]))
    book = books[kept - 1]
    levels = book.decode(codes >> (terms - kept) * base.bits)
    note = (
        f"codes are nested terms of {base.name}, of which `hwgen drop` leaves some away; with a weight memory for each "
        "term one core could choose at run time how many it reads"
    )
    return with_levels(levels, book, problem.ratio, mul, shift, note)


def shared_scales(
    weight: npt.NDArray[np.float64],
    books: list[Codebook],
    ratio: float,
    importance: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """The scale of each channel (O,) that serves all of ``books`` best: points of the grid of requantization factors.

    Least is the sum of the squared errors, each relative to the least that its codebook could reach with a scale of its
    own: every precision counts the same. 0 for a channel without weights.
    """
    scales = np.zeros(len(weight))
    for channel, row in enumerate(weight):
        data = SortedValues(row, importance[channel])
        if not data.peak:
            continue
        _, octave = nearest_factor(2 * data.peak / books[-1].max_level / ratio)
        points = ratio * exponent_grid(octave - OCTAVES_BELOW - 1, octave).ravel()
        errors = np.stack([data.squared_error(book.sorted_levels, points) for book in books])
        least = errors.min(axis=1, keepdims=True)
        # An error of 0 cannot be compared by its ratio; relative to the energy it says as much.
        relative = errors / np.where(least > 0, least, data.energy)
        scales[channel] = points[np.argmin(relative.sum(axis=0))]
    return scales
