"""What every quantization method is: options, a rewriting of the float network, a coder of weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ...codes import Codebook
from ...floatnet import FloatNetwork
from .problem import Coder

__all__ = ["Method"]


@dataclass(frozen=True)
class Method:
    """A quantization method. Its dataclass fields are its options, as in ``--method name:option=value``.

    A method rewrites the float network into an equal one that quantizes better, or codes the weights of its layers.
    """

    name: ClassVar[str]
    """What ``--method`` calls it."""

    def rewrite(self, network: FloatNetwork, codebook: Codebook) -> FloatNetwork:
        """``network`` or one that computes the same. Depends on nothing but the arguments."""
        return network

    def coder(self, network: FloatNetwork, codebook: Codebook) -> Coder | None:
        """What codes the weights of ``network``, or None if this method only rewrites."""
        return None
