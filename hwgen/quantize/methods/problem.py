"""What a method is asked, and what it answers: one layer's weights, and their codes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ...codes import Codebook
from ...floatnet import FloatConv
from ..gram import Gram, Real
from ..scales import CodedWeights

__all__ = ["Coder", "Problem"]


@dataclass(frozen=True, eq=False)
class Problem:
    """One convolution whose weights are to become codes.

    layer: the float layer; ``layer.weight`` is (O, kh, kw, I / groups). codebook: the one asked for; a method may
    answer with another. ratio: ``s_out / s_in``, which sets the grid of scales (:mod:`hwgen.quantize.scales`).
    importance: (O, kh, kw, I / groups), positive, the variance of the quantized input under each weight.
    measure: makes the :attr:`gram`, which costs time that not every method needs. rows: at most so many input rows
    without their mean, of the quantized and of the float network, (G, R, K) each.
    """

    layer: FloatConv
    codebook: Codebook
    ratio: float
    importance: npt.NDArray[np.float64]
    measure: Callable[[], Gram]
    rows: Callable[[int], tuple[Real, Real]]

    @property
    def weight(self) -> npt.NDArray[np.float64]:
        """The float weights (O, kh, kw, I / groups)."""
        return self.layer.weight

    @property
    def inputs(self) -> int:
        """Inputs of one output channel."""
        return self.layer.weight[0].size

    @cached_property
    def gram(self) -> Gram:
        """Second moments of the layer's input, see :mod:`hwgen.quantize.gram`; measured once, when first asked for."""
        return self.measure()


Coder = Callable[[Problem], CodedWeights]
"""Solves the problem of one layer after another, in the order of the network."""
